import { isIndex, isManifest } from "../../oci/media-types.ts";
import { indexSchema, manifestSchema } from "../../oci/schemas.ts";
import type { ImageContent } from "./plan-node.ts";

/**
 * Returns the digests of the blobs that a manifest, index or config of an image refers to: the config and layers of a
 * manifest; the manifests of an index that the image has: an image is for one platform, and an index lists several.
 */
export function childDigests(
  { mediaType, bytes }: ImageContent["manifests"][number],
  content: Pick<ImageContent, "manifests">,
): string[] {
  if (isManifest(mediaType)) {
    const { config, layers } = manifestSchema.schema.parse(JSON.parse(String(bytes)));
    return [config, ...layers].map(({ digest }) => digest);
  }
  if (!isIndex(mediaType)) return [];
  const { manifests } = indexSchema.schema.parse(JSON.parse(String(bytes)));
  const available = new Set(content.manifests.map(({ digest }) => digest));
  return manifests.map(({ digest }) => digest).filter((digest) => available.has(digest));
}
