import { kindChecksums, kubectlChecksums, nodeImages } from "./release-table.ts";

/** A node image that a kind release was made for. */
export interface NodeImage {
  /** The minor release of kind: `v0.33`. */
  readonly kind: string;
  readonly kubernetes: string;
  /** With its digest: tags are pushed again. */
  readonly image: string;
}

export type Architecture = "amd64" | "arm64";

/** The newest release of kind in the table, and what `version` is by default. */
export const newestKind: string = Object.keys(kindChecksums).toSorted(compareVersions).at(-1) ?? "";

/** `v1.34`, `1.34.4`: Kubernetes is at 1, kind at 0. */
export const looksLikeKubernetes = (version: string): boolean => /^v?1\.\d+(\.\d+)?$/.test(version);

/** The published SHA-256 sum of a tool, if the table knows that version. */
export function knownChecksum(
  tool: "kind" | "kubectl",
  version: string,
  architecture: Architecture,
): string | undefined {
  const table = tool === "kind" ? kindChecksums : kubectlChecksums;
  return table[version]?.[architecture];
}

/** The newest kubectl of a minor release (`v1.34`) that the table knows by hash. */
export function newestKubectlOf(minor: string): string | undefined {
  return Object.keys(kubectlChecksums)
    .filter((version) => minorOf(version) === minor)
    .toSorted(compareVersions)
    .at(-1);
}

/** The node images of a kind release, newest Kubernetes first: the first is what that kind uses by itself. */
export function nodeImagesOf(kindVersion: string): readonly NodeImage[] {
  return nodeImages
    .filter((image) => image.kind === minorOf(kindVersion))
    .toSorted((a, b) => compareVersions(b.kubernetes, a.kubernetes));
}

/**
 * The node image of a kind release for `1.34` (its newest patch), `v1.34.11` or `stable` (the newest there is).
 */
export function nodeImageFor(kindVersion: string, kubernetesVersion: string): NodeImage | undefined {
  const images = nodeImagesOf(kindVersion);
  if (kubernetesVersion === "stable") return images[0];
  const wanted = kubernetesVersion.replace(/^v?/, "v");
  return images.find(({ kubernetes }) => kubernetes === wanted || minorOf(kubernetes) === wanted);
}

/**
 * What a kind release puts before several control planes: the name that it asks for
 * (pkg/cluster/internal/loadbalancer/const.go), and the image by its digest. Others have, or may have, another one.
 */
export function loadBalancerOf(kindVersion: string): { reference: string; tag: string } | undefined {
  if (!["v0.32", "v0.33"].includes(minorOf(kindVersion))) return undefined;
  const tag = "docker.io/envoyproxy/envoy:v1.36.2";
  return { tag, reference: `${tag}@sha256:4972515dd9a069b44beb43cebba7851596e72a8c61cd7a7c33d8f48efc5280ba` };
}

/** Whatever the table knows of an image, by its digest. */
export function knownNodeImage(image: string): NodeImage | undefined {
  const digest = image.split("@")[1];
  return digest === undefined ? undefined : nodeImages.findLast((known) => known.image.endsWith(digest));
}

/** The Kubernetes version in an image: from the table by digest, else from a tag that looks like one. */
export function kubernetesVersionOf(image: string): string | undefined {
  return knownNodeImage(image)?.kubernetes ?? /:(v1\.\d+\.\d+)(?:@|$)/.exec(image)?.[1];
}

/** `v1.34.11` -> `v1.34` */
export const minorOf = (version: string): string => version.split(".").slice(0, 2).join(".");

/** Orders versions such as v0.9.0 and v0.33.0 by their numbers; a pre-release comes before its release. */
export function compareVersions(a: string, b: string): number {
  const [coreA = "", preA] = a.replace(/^v/, "").split(/-(.*)/s);
  const [coreB = "", preB] = b.replace(/^v/, "").split(/-(.*)/s);
  const numbersB = coreB.split(".").map(Number);
  for (const [index, number] of coreA.split(".").map(Number).entries()) {
    const difference = number - (numbersB[index] ?? 0);
    if (difference !== 0) return difference;
  }
  if (preA === undefined || preB === undefined)
    return (preA === undefined ? 1 : 0) - (preB === undefined ? 1 : 0);
  return preA < preB ? -1 : preA > preB ? 1 : 0;
}
