import type { ClusterConfig } from "../cluster/config.ts";
import { isAtLeast, minorOf } from "../lib/semver.ts";
import { knownNodeImage, kubernetesVersionOf, nodeImagesOf } from "../versions/releases.ts";

/** Versions and settings that must be compatible. */
export interface VersionCombination {
  readonly kindVersion: string;
  /** The image of every node. */
  readonly images: readonly string[];
  readonly config: ClusterConfig;
  /** The cgroup version of the Docker daemon's machine, if known. */
  readonly cgroupVersion: 1 | 2 | undefined;
}

/**
 * Finds combinations that are known not to work, so that they fail at once, not after a minute.
 *
 * @returns a reason for each, with a combination that works
 */
export function findIncompatibilities(combination: VersionCombination): string[] {
  const reasons = combination.images.flatMap((image) => [
    ...cgroupReasons(combination, image),
    ...containerdReasons(combination, image),
    ...kubeadmReasons(combination, image),
  ]);
  return [...new Set(reasons)];
}

/** In Kubernetes 1.35, `failCgroupV1: true` became the kubelet's default, and kind's images no longer override it. */
function cgroupReasons({ cgroupVersion, config }: VersionCombination, image: string): string[] {
  const kubernetes = kubernetesVersionOf(image);
  if (cgroupVersion !== 1 || kubernetes === undefined || !isAtLeast(kubernetes, "v1.35.0")) return [];
  if (config.kubeadmPatches.some((patch) => patch.failCgroupV1 === false)) return [];
  return [
    `Kubernetes ${kubernetes} does not run on cgroup v1, which the Docker daemon has: use \`kubernetes_version: 1.34\`, or a runner with cgroup v2 (Ubuntu 22.04 or later)`,
  ];
}

/** Node images of kind v0.32 and later contain containerd 2.3, whose configuration (version 4) an older kind cannot read. */
function containerdReasons({ kindVersion }: VersionCombination, image: string): string[] {
  if (isAtLeast(kindVersion, "v0.32.0")) return [];
  const known = knownNodeImage(image);
  const kubernetes = kubernetesVersionOf(image);
  const madeForNewer = known !== undefined && isAtLeast(known.kind, "v0.32");
  const needsNewer = known === undefined && kubernetes !== undefined && isAtLeast(kubernetes, "v1.36.0");
  if (!madeForNewer && !needsNewer) return [];
  const newest = nodeImagesOf(kindVersion)[0];
  const alternative =
    newest === undefined
      ? ""
      : `, or \`kubernetes_version: ${minorOf(newest.kubernetes).slice(1)}\` with kind ${kindVersion}`;
  return [
    `kind ${kindVersion} cannot load images into ${image}, because it does not support the containerd version of this image: use \`version: v0.32.0\` or later${alternative}`,
  ];
}

/** kind writes kubeadm's configuration as v1beta4 from Kubernetes 1.36 on. A patch for another version has no effect. */
function kubeadmReasons({ config }: VersionCombination, image: string): string[] {
  const kubernetes = kubernetesVersionOf(image);
  if (kubernetes === undefined || !isAtLeast(kubernetes, "v1.23.0")) return [];
  const used = `kubeadm.k8s.io/${isAtLeast(kubernetes, "v1.36.0") ? "v1beta4" : "v1beta3"}`;
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
        `the patch for ${kind} has apiVersion ${apiVersion}, but kind configures Kubernetes ${kubernetes} with ${used}, so the patch has no effect: change its apiVersion to ${used}, or remove the apiVersion`,
    );
}

const fits = (apiVersion: string | undefined, used: string) =>
  apiVersion === undefined || apiVersion === used;
