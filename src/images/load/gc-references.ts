import { indexSchema, isIndex, isManifest, manifestSchema } from "../../oci/schemas.ts";
import type { ImageContent } from "./plan-node.ts";

/**
 * The digests of what a document of an image refers to: of a manifest, its config and its layers; of an index, those of
 * its documents that the image has, which is for one platform.
 */
export function childDigests(
  { mediaType, bytes }: ImageContent["manifests"][number],
  { manifests: documents }: Pick<ImageContent, "manifests">,
): string[] {
  if (isManifest(mediaType)) {
    const { config, layers } = manifestSchema.schema.parse(JSON.parse(String(bytes)));
    return [config, ...layers].map(({ digest }) => digest);
  }
  if (!isIndex(mediaType)) return [];
  const { manifests } = indexSchema.schema.parse(JSON.parse(String(bytes)));
  const here = new Set(documents.map(({ digest }) => digest));
  return manifests.map(({ digest }) => digest).filter((digest) => here.has(digest));
}
