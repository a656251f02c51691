/** A registry whose images nodes pull through a proxy. */
export interface Upstream {
  /** The registry, as in image names: `docker.io`. */
  readonly name: string;
  /** The URL of its API. */
  readonly url: string;
  /** The URL of a mirror, if the user sets one. */
  readonly mirror: string | undefined;
}

/** The registries that `default` stands for. */
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

/** Returns the URL of a registry's API. Only that of Docker Hub has another host than its image names. */
const urlOf = (name: string) => (name === "docker.io" ? "https://registry-1.docker.io" : `https://${name}`);

/** The name is part of the names of files and containers. */
const maxNameLength = 100;

const namePattern = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/;

/** Parses a line of `registry_proxies`: `default`, a registry, or `REGISTRY=URL` for a registry with a mirror. */
export function parseUpstreams(line: string): Upstream[] | { problem: string } {
  if (line === "default") return defaults.map((name) => ({ name, url: urlOf(name), mirror: undefined }));
  const [, name = "", mirror] = /^([^=]*)(?:=(.*))?$/s.exec(line) ?? [];
  if (!namePattern.test(name))
    return { problem: "must be `default`, a registry such as ghcr.io, or REGISTRY=URL" };
  if (name.length > maxNameLength) return { problem: `is longer than ${maxNameLength} characters` };
  if (mirror === undefined) return [{ name, url: urlOf(name), mirror }];
  const url = URL.parse(mirror);
  if (url === null || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || url.search || url.hash)
    return {
      problem: "must have a URL with only a host and a port after `=`, such as https://mirror.example:5000",
    };
  if (url.username || url.password)
    return {
      problem: "has credentials in its URL, which logs would show: set them in `registry_credentials`",
    };
  return [{ name, url: urlOf(name), mirror: url.origin }];
}
