import type { ClusterConfig } from "../cluster/config.ts";
import {
  compareVersions,
  knownNodeImage,
  kubernetesVersionOf,
  minorOf,
  nodeImagesOf,
} from "../versions/releases.ts";

/** What has to go together in a cluster. */
export interface VersionCombination {
  readonly kindVersion: string;
  /** The image of every node. */
  readonly images: readonly string[];
  readonly config: ClusterConfig;
  /** That of the Docker daemon's machine, where known. */
  readonly cgroupVersion: 1 | 2 | undefined;
}

/**
 * Finds combinations that are known not to work, so that they fail before a minute is spent on them.
 *
 * @returns a sentence for each: what does not go together, and what does
 */
export function findIncompatibilities(on: VersionCombination): string[] {
  return [
    ...new Set(
      on.images.flatMap((image) => [...cgroups(on, image), ...containerd(on, image), ...kubeadm(on, image)]),
    ),
  ];
}

/** Kubernetes 1.35 makes `failCgroupV1: true` the kubelet's default, and kind's images dropped their support. */
function cgroups({ cgroupVersion, config }: VersionCombination, image: string): string[] {
  const kubernetes = kubernetesVersionOf(image);
  if (cgroupVersion !== 1 || kubernetes === undefined || compareVersions(kubernetes, "v1.35.0") < 0)
    return [];
  if (config.kubeadmPatches.some((patch) => patch.failCgroupV1 === false)) return [];
  return [
    `Kubernetes ${kubernetes} does not run on cgroup v1, which the Docker daemon has: use \`kubernetes_version: 1.34\`, or a runner with cgroup v2 (every Ubuntu since 22.04)`,
  ];
}

/** Node images of kind v0.32 and later hold containerd 2.3, whose configuration (version 4) an older kind cannot read. */
function containerd({ kindVersion }: VersionCombination, image: string): string[] {
  if (compareVersions(kindVersion, "v0.32.0") >= 0) return [];
  const known = knownNodeImage(image);
  const kubernetes = kubernetesVersionOf(image);
  const madeForNewer = known !== undefined && compareVersions(`${known.kind}.0`, "v0.32.0") >= 0;
  const needsNewer =
    known === undefined && kubernetes !== undefined && compareVersions(kubernetes, "v1.36.0") >= 0;
  if (!madeForNewer && !needsNewer) return [];
  const own = nodeImagesOf(kindVersion)[0];
  const alternative =
    own === undefined
      ? ""
      : `, or \`kubernetes_version: ${minorOf(own.kubernetes).slice(1)}\` with this kind`;
  return [
    `kind ${kindVersion} cannot load images into ${image}, whose containerd is too new for it: use \`version: v0.32.0\` or later${alternative}`,
  ];
}

/** kind writes kubeadm's configuration as v1beta4 from Kubernetes 1.36 on; a patch for another version touches nothing. */
function kubeadm({ config }: VersionCombination, image: string): string[] {
  const kubernetes = kubernetesVersionOf(image);
  if (kubernetes === undefined || compareVersions(kubernetes, "v1.23.0") < 0) return [];
  const used = `kubeadm.k8s.io/${compareVersions(kubernetes, "v1.36.0") >= 0 ? "v1beta4" : "v1beta3"}`;
  const versioned = config.kubeadmPatches.filter(({ apiVersion }) =>
    apiVersion?.startsWith("kubeadm.k8s.io/"),
  );
  return versioned
    .filter(
      ({ kind, apiVersion }) =>
        apiVersion !== used &&
        !config.kubeadmPatches.some((other) => other.kind === kind && fits(other.apiVersion, used)),
    )
    .map(
      ({ kind, apiVersion }) =>
        `the patch of ${kind} is for ${apiVersion}, and kind configures Kubernetes ${kubernetes} with ${used}: it would change nothing. Write it for ${used}, or leave its apiVersion out`,
    );
}

const fits = (apiVersion: string | undefined, used: string) =>
  apiVersion === undefined || apiVersion === used;
