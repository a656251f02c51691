import { compareVersions, minorOf } from "../lib/semver.ts";
import { kindChecksums, kubectlChecksums, nodeImages } from "./release-table.ts";

/** A node image that was published with a kind release. */
export interface NodeImage {
  /** The minor release of kind: `v0.33`. */
  readonly kind: string;
  /** The Kubernetes version: `v1.37.0`. */
  readonly kubernetes: string;
  /** The reference with a digest, because tags may be pushed again. */
  readonly image: string;
}

export type Architecture = "amd64" | "arm64";

/** The newest kind release in the table: the default of the input `version`. */
export const newestKind: string = Object.keys(kindChecksums).toSorted(compareVersions).at(-1) ?? "";

/** Whether a version is one of Kubernetes, such as `v1.34` or `1.34.4`: the major version of kind is 0. */
export const looksLikeKubernetes = (version: string): boolean => /^v?1\.\d+(\.\d+)?$/.test(version);

/** Returns the SHA-256 checksum of a tool; undefined if the table does not contain the version. */
export function knownChecksum(
  tool: "kind" | "kubectl",
  version: string,
  architecture: Architecture,
): string | undefined {
  const table = tool === "kind" ? kindChecksums : kubectlChecksums;
  return table[version]?.[architecture];
}

/** Returns the newest kubectl of a minor release (`v1.34`) whose checksum the table contains. */
export function newestKubectlOf(minor: string): string | undefined {
  return Object.keys(kubectlChecksums)
    .filter((version) => minorOf(version) === minor)
    .toSorted(compareVersions)
    .at(-1);
}

/** Returns the node images of a kind release, newest Kubernetes first. The first is the default of that release. */
export function nodeImagesOf(kindVersion: string): readonly NodeImage[] {
  return nodeImages
    .filter((image) => image.kind === minorOf(kindVersion))
    .toSorted((a, b) => compareVersions(b.kubernetes, a.kubernetes));
}

/**
 * Returns the node image of a kind release.
 *
 * @param kubernetesVersion `v1.34.11`, `1.34` for its newest patch release, or `stable` for the newest image
 */
export function nodeImageFor(kindVersion: string, kubernetesVersion: string): NodeImage | undefined {
  const images = nodeImagesOf(kindVersion);
  if (kubernetesVersion === "stable") return images[0];
  const version = kubernetesVersion.replace(/^v?/, "v");
  return images.find(({ kubernetes }) => kubernetes === version || minorOf(kubernetes) === version);
}

/**
 * Returns the image of the load balancer that a kind release runs in front of several control planes: the tag that kind
 * uses (pkg/cluster/internal/loadbalancer/const.go), and the reference with its digest.
 *
 * @returns undefined for other releases, which use or may use another image
 */
export function loadBalancerOf(kindVersion: string): { reference: string; tag: string } | undefined {
  if (!["v0.32", "v0.33"].includes(minorOf(kindVersion))) return undefined;
  const tag = "docker.io/envoyproxy/envoy:v1.36.2";
  return { tag, reference: `${tag}@sha256:4972515dd9a069b44beb43cebba7851596e72a8c61cd7a7c33d8f48efc5280ba` };
}

/** Returns the node image in the table that has the digest of an image reference. */
export function knownNodeImage(image: string): NodeImage | undefined {
  const digest = image.split("@")[1];
  return digest === undefined ? undefined : nodeImages.findLast((known) => known.image.endsWith(digest));
}

/** Returns the Kubernetes version in a node image: from the table by digest, else from the tag. */
export function kubernetesVersionOf(image: string): string | undefined {
  return knownNodeImage(image)?.kubernetes ?? /:(v1\.\d+\.\d+)(?:@|$)/.exec(image)?.[1];
}
