import { compareVersions, knownNodeImage } from "../versions/releases.ts";

/** Where a node's containerd looks for the registries that stand for another, a folder for each name. */
export const certsFolder = "/etc/containerd/certs.d";

/** What a node is to ask for the images of one registry. */
export interface RegistryHosts {
  /** The registry, as names of images begin with it: `docker.io`, `localhost:5000`. */
  readonly name: string;
  /** URLs, in the order in which they are asked. */
  readonly hosts: readonly string[];
  /** The URL that is asked last. */
  readonly server: string;
}

/**
 * The files that tell a node's containerd where images come from. It reads them at each pull.
 * Format: https://github.com/containerd/containerd/blob/main/docs/hosts.md
 *
 * @returns texts by their absolute paths
 */
export function renderHostsToml(registries: readonly RegistryHosts[]): Record<string, string> {
  return Object.fromEntries(
    registries.map(({ name, hosts, server }) => {
      const tables = hosts.map(
        (host) => `\n[host.${JSON.stringify(host)}]\n  capabilities = ["pull", "resolve"]\n`,
      );
      const text = `server = ${JSON.stringify(server)}\n${tables.join("")}`;
      return [`${certsFolder}/${name}/hosts.toml`, text];
    }),
  );
}

/** The first kind whose node images, with containerd 2, look into the folder by themselves. */
const firstWithFolder = "v0.27";

/**
 * The patch with which the nodes' containerd looks into the folder. kind restarts each node's containerd for it: so
 * there is none where all images are known to do without.
 */
export function configPathPatches(images: readonly string[]): string[] {
  const looksByItself = (image: string) => {
    const known = knownNodeImage(image);
    return known !== undefined && compareVersions(known.kind, firstWithFolder) >= 0;
  };
  if (images.every(looksByItself)) return [];
  return [`[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = ${JSON.stringify(certsFolder)}\n`];
}
