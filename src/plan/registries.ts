import { join } from "node:path";
import type { Problem } from "../lib/errors.ts";
import { certsFolder } from "../registries/hosts-toml.ts";
import type { RegistriesPlan } from "../registries/start.ts";
import type { Inputs } from "./inputs.ts";

/** Registry settings in the user's configuration that exclude `config_path`. */
const mirrorSettings = /registry["']?\]?[./]["']?(mirrors|configs)/;

/** The user's setting of `config_path`. */
const configPath = /config_path["']?\s*[=:]\s*["']([^"']*)["']/;

/**
 * Decides which registries a cluster gets.
 *
 * @param options.folder the temporary folder of this run
 * @param options.temp the temporary folder of the job, which contains the shared folder of the proxies of all its clusters
 * @param options.localDaemon whether the Docker daemon can mount folders of this machine
 * @param problems is extended by the problems that prevent the registries
 */
export function planRegistries(
  { registries: { image, local, upstreams, logins }, config }: Pick<Inputs, "registries" | "config">,
  options: { folder: string; temp: string; localDaemon: boolean },
  problems: Problem[],
): RegistriesPlan | undefined {
  if (local === undefined && upstreams.length === 0) return undefined;
  const input = local === undefined ? "registry_proxies" : "registry";
  if (config.mounts.some((path) => path === certsFolder || path.startsWith(`${certsFolder}/`)))
    problems.push({
      input,
      value: "",
      reason: `\`config\` mounts a folder at ${certsFolder} in a node, where the action writes registry configuration: remove the mount or this input`,
    });
  if (config.containerdPatches.some((patch) => mirrorSettings.test(patch)))
    problems.push({
      input,
      value: "",
      reason: `\`config\` has registry mirrors or configs in \`containerdConfigPatches\`, which containerd does not accept together with ${certsFolder}: remove them`,
    });
  if (
    config.containerdPatches.some(
      (patch) => !(configPath.exec(patch)?.[1] ?? certsFolder).includes(certsFolder),
    )
  )
    problems.push({
      input,
      value: "",
      reason: `\`config\` sets \`config_path\` of containerd to another folder than ${certsFolder}, where the action writes registry configuration: remove that setting`,
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
            folders: options.localDaemon
              ? { shared: join(options.temp, "kind-action-proxies"), own: join(options.folder, "proxies") }
              : undefined,
          },
  };
}
