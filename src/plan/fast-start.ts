import { join } from "node:path";
import { type ConfigAdditions, renderClusterConfig } from "../cluster/config.ts";
import { defaultPodSubnet } from "../cluster/fast-start/kindnet-manifest.ts";
import type { FastStartPlan } from "../cluster/fast-start/plan.ts";
import { fastStartSettings, manifestPatchesFolder } from "../cluster/fast-start/settings.ts";
import type { Inputs } from "./inputs.ts";

/**
 * Decides which settings make a cluster ready sooner.
 *
 * @returns the kind configuration with the settings, and the files that they need
 */
export function planFastStart(
  { config }: Inputs,
  cluster: {
    readonly name: string;
    readonly images: readonly string[];
    readonly nodes: readonly { readonly name: string; readonly role: string }[];
    /** A temporary folder of this run. */
    readonly folder: string;
    /** Whether the Docker daemon can mount folders of this machine into nodes. */
    readonly canMount: boolean;
    /** Additions to the configuration for registries. */
    readonly additions: Pick<ConfigAdditions, "containerdPatches" | "mounts">;
    /** The name of the container that serves the API. */
    readonly apiContainer: string;
  },
): FastStartPlan & { config: string } {
  const { name, images, nodes, additions } = cluster;
  const { settings, manifests, ...patches } = fastStartSettings(config, cluster.canMount);
  const folder = join(cluster.folder, "kubeadm-patches");
  const mounts =
    Object.keys(manifests).length > 0 ? [{ hostPath: folder, containerPath: manifestPatchesFolder }] : [];
  const render = (disableDefaultCni: boolean) =>
    renderClusterConfig(config, name, images, {
      ...patches,
      ...additions,
      disableDefaultCni,
      mounts: [...mounts, ...additions.mounts],
    });
  const first = nodes.find(({ role }) => role === "control-plane");
  return {
    settings,
    folder,
    files: manifests,
    config: render(false),
    configWithout: renderClusterConfig(config, name, images, additions),
    cni:
      first === undefined || config.disableDefaultCNI
        ? undefined
        : {
            image: images[nodes.indexOf(first)] ?? "",
            controlPlane: first.name,
            podSubnet: config.podSubnet ?? defaultPodSubnet[config.ipFamily],
            endpoint: `${cluster.apiContainer}:6443`,
            config: render(true),
          },
  };
}
