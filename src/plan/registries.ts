import { join } from "node:path";
import type { Problem } from "../lib/errors.ts";
import { certsFolder } from "../registries/hosts-toml.ts";
import type { LocalRegistryPlan } from "../registries/local-registry.ts";
import type { ProxiesPlan } from "../registries/proxies.ts";
import type { Inputs } from "../runner/inputs.ts";

/** Registries on the cluster's network. */
export interface RegistriesPlan {
  /** What all of them run. */
  readonly image: string;
  readonly local: LocalRegistryPlan | undefined;
  readonly proxies: ProxiesPlan | undefined;
}

/** What the user's configuration has of its own where the action would have to write. */
const ownMirrors = /registry["']?\]?[./]["']?(mirrors|configs)/;

const ownFolder = /config_path["']?\s*[=:]\s*["']([^"']*)["']/;

/**
 * Decides which registries a cluster gets.
 *
 * @param on.folder of this run's own
 * @param on.temp the job's, which has one folder for the proxies of all clusters that it makes
 * @param on.localDaemon whether containers can have folders of this machine
 * @param problems gets what stands in their way
 */
export function planRegistries(
  { registries: { image, local, upstreams, logins }, config }: Pick<Inputs, "registries" | "config">,
  on: { folder: string; temp: string; localDaemon: boolean },
  problems: Problem[],
): RegistriesPlan | undefined {
  if (local === undefined && upstreams.length === 0) return undefined;
  const input = local === undefined ? "registry_proxies" : "registry";
  if (config.mounts.some((path) => path === certsFolder || path.startsWith(`${certsFolder}/`)))
    problems.push({
      input,
      value: "",
      reason: `\`config\` mounts a folder of yours at ${certsFolder} in a node, where the action would have to write: leave the mount out, or the registry to it`,
    });
  if (config.containerdPatches.some((patch) => ownMirrors.test(patch)))
    problems.push({
      input,
      value: "",
      reason: `\`config\` has registry mirrors of its own in \`containerdConfigPatches\`, which containerd does not take together with ${certsFolder}: leave them out`,
    });
  if (
    config.containerdPatches.some(
      (patch) => !(ownFolder.exec(patch)?.[1] ?? certsFolder).includes(certsFolder),
    )
  )
    problems.push({
      input,
      value: "",
      reason: `\`config\` has containerd look for registries elsewhere than in ${certsFolder} (\`config_path\`): leave that out, and the action's are found`,
    });
  return {
    image,
    local,
    proxies:
      upstreams.length === 0
        ? undefined
        : {
            upstreams,
            logins,
            folders: on.localDaemon
              ? { shared: join(on.temp, "kind-action-proxies"), own: join(on.folder, "proxies") }
              : undefined,
          },
  };
}
