/** A registry whose images the nodes pull through a proxy. */
export interface Upstream {
  /** As names of images begin with it: `docker.io`. */
  readonly name: string;
  /** Where it is. */
  readonly url: string;
  /** Where its images are to be had instead, if the user says so. */
  readonly mirror: string | undefined;
}

/** What `default` stands for. */
const defaults = [
  "docker.io",
  "ghcr.io",
  "quay.io",
  "gcr.io",
  "registry.k8s.io",
  "k8s.gcr.io",
  "public.ecr.aws",
  "mcr.microsoft.com",
];

/** Where a registry is: Docker Hub is the one whose images are not under its own name. */
const urlOf = (name: string) => (name === "docker.io" ? "https://registry-1.docker.io" : `https://${name}`);

/** What a file and a container can be named after. */
const longestName = 100;

const namePattern = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/;

/**
 * Reads a line of `registry_proxies`: `default`, a registry, or `REGISTRY=URL` for one whose images come from elsewhere.
 */
export function parseUpstreams(line: string): Upstream[] | { problem: string } {
  if (line === "default") return defaults.map((name) => ({ name, url: urlOf(name), mirror: undefined }));
  const [, name = "", mirror] = /^([^=]*)(?:=(.*))?$/s.exec(line) ?? [];
  if (!namePattern.test(name))
    return { problem: "wants `default`, a registry such as ghcr.io, or REGISTRY=URL" };
  if (name.length > longestName) return { problem: `is longer than ${longestName} letters` };
  if (mirror === undefined) return [{ name, url: urlOf(name), mirror }];
  const url = URL.parse(mirror);
  if (url === null || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || url.search || url.hash)
    return {
      problem: "wants behind = a URL with nothing but a host and a port, such as https://mirror.example:5000",
    };
  if (url.username || url.password)
    return {
      problem: "has credentials in its URL, which logs would show: give them in `registry_credentials`",
    };
  return [{ name, url: urlOf(name), mirror: url.origin }];
}
