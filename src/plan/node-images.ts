import type { Problem } from "../lib/errors.ts";
import { knownNodeImage, nodeImageFor, nodeImagesOf } from "../versions/releases.ts";
import type { Inputs } from "./inputs.ts";

/** Chooses the image of each node: that of the inputs, else that of the configuration, else the default of kind. */
export function planNodeImages(
  inputs: Inputs,
  kindVersion: string,
  problems: Problem[],
  warnings: string[],
): string[] {
  const all = inputs.nodeImage ?? releasedImage(inputs, kindVersion, problems);
  const nodes = inputs.config.nodes.length === 0 ? [{ image: undefined }] : inputs.config.nodes;
  const fallback = nodeImagesOf(kindVersion)[0]?.image;
  const images = nodes.map((node) => all ?? node.image ?? fallback);
  if (images.includes(undefined) && inputs.kubernetesVersion === undefined) {
    problems.push({
      input: "version",
      value: kindVersion,
      reason:
        "is a kind release whose node images this version of the action does not know: set one with `node_image`",
    });
  }
  const known = images.filter((image) => image !== undefined);
  for (const image of new Set(known)) {
    if (!image.includes("@sha256:"))
      warnings.push(
        `The node image ${image} has no digest, so it may change between runs and is not cached. Add its digest: NAME:TAG@sha256:…`,
      );
    else if (knownNodeImage(image) === undefined)
      warnings.push(
        `The node image ${image} is not in a kind release that this version of the action knows, so it may not work with kind ${kindVersion}.`,
      );
  }
  return known;
}

/** Finds the node image of a kind release for the input `kubernetes_version`. */
function releasedImage(inputs: Inputs, kindVersion: string, problems: Problem[]): string | undefined {
  const { kubernetesVersion } = inputs;
  if (kubernetesVersion === undefined) return undefined;
  const found = nodeImageFor(kindVersion, kubernetesVersion);
  if (found === undefined) {
    const offered = nodeImagesOf(kindVersion).map(({ kubernetes }) => kubernetes.slice(1));
    const remedy =
      offered.length === 0
        ? "this version of the action knows none of its node images. Set one with `node_image`"
        : `it has images for ${offered.join(", ")}`;
    problems.push({
      input: "kubernetes_version",
      value: kubernetesVersion,
      reason: `kind ${kindVersion} has no node image for this version: ${remedy}`,
    });
  }
  return found?.image;
}

/** Returns the name of the input that sets the node image. */
export const imageInput = (inputs: Inputs) =>
  inputs.kubernetesVersion !== undefined
    ? "kubernetes_version"
    : inputs.nodeImage !== undefined
      ? "node_image"
      : "config";
