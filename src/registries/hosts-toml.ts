import { isAtLeast } from "../lib/semver.ts";
import { knownNodeImage } from "../versions/releases.ts";

/** containerd's folder of registry configuration, with a subfolder for each registry. */
export const certsFolder = "/etc/containerd/certs.d";

/** The hosts from which a node pulls the images of one registry. */
export interface RegistryHosts {
  /** The registry, as in image names: `docker.io`, `localhost:5000`. */
  readonly name: string;
  /** URLs, in the order in which containerd tries them. */
  readonly hosts: readonly string[];
  /** The URL that containerd tries last. */
  readonly server: string;
}

/**
 * Renders the hosts.toml files of a node. containerd reads them at each pull.
 * Format: https://github.com/containerd/containerd/blob/main/docs/hosts.md
 *
 * @returns the texts of the files, by their absolute paths
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

/** The first release of kind whose node images, with containerd 2, have this folder as the default `config_path`. */
const firstWithDefault = "v0.27";

/**
 * Returns the patch that sets `config_path` in the nodes' containerd configuration. kind restarts the containerd of each
 * node for a patch, so there is none if all node images are known to have the default.
 */
export function configPathPatches(images: readonly string[]): string[] {
  const hasDefault = (image: string) => {
    const known = knownNodeImage(image);
    return known !== undefined && isAtLeast(known.kind, firstWithDefault);
  };
  if (images.every(hasDefault)) return [];
  return [`[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = ${JSON.stringify(certsFolder)}\n`];
}
