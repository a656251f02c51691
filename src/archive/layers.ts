import { quote } from "../lib/quote.ts";
import { isForeignLayer, isLayer } from "../oci/media-types.ts";
import type { Config, Manifest } from "../oci/schemas.ts";
import { layoutBlobPath } from "./blob-reader.ts";
import { ArchiveError } from "./errors.ts";
import type { Layer } from "./image-archive.ts";
import type { TarIndex } from "./tar-index.ts";

/**
 * Finds the layers of a manifest in an OCI layout. Their content is not read: the digest is verified when it is copied.
 *
 * @throws ArchiveError when a layer has the wrong size, is non-distributable, or has an unsupported media type
 */
export function findLayers(manifest: Manifest, tar: TarIndex): Layer[] {
  return manifest.layers.map(({ digest, size, mediaType, urls }) => {
    if (isForeignLayer(mediaType) || urls.length > 0)
      throw new ArchiveError(
        `the layer ${digest} is non-distributable: it has to be fetched from its publisher`,
        "Use another base image",
      );
    if (!isLayer(mediaType))
      throw new ArchiveError(
        `the layer ${digest} has the media type ${quote(mediaType)}, which containerd does not unpack`,
        "Build the image with layers that are tar archives, plain or compressed with gzip or zstd",
      );
    const content = tar.find(layoutBlobPath(digest));
    if (content !== undefined && content.size !== size)
      throw new ArchiveError(
        `the archive is corrupt: the layer ${digest} has ${content.size} bytes instead of ${size}`,
      );
    return { digest, size, mediaType, offset: content?.offset };
  });
}

/** @throws ArchiveError when the number of layers is not that of the config */
export function checkLayerCount(layers: readonly unknown[], config: Config, id: string): void {
  if (layers.length !== config.rootfs.length)
    throw new ArchiveError(
      `the archive is corrupt: the image ${id} has ${layers.length} layers, but its config lists ${config.rootfs.length}`,
    );
}
