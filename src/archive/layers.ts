import type { Config, Manifest } from "../oci/schemas.ts";
import { layoutBlobPath } from "./blob-reader.ts";
import { ArchiveError, quote } from "./errors.ts";
import type { Layer } from "./read-archive.ts";
import type { TarIndex } from "./tar-index.ts";

/** Docker's layers as its own manifests call them. */
export const dockerLayer = "application/vnd.docker.image.rootfs.diff.tar";

/** What containerd takes for a layer (core/images/mediatypes.go, IsLayerType). */
const layerTypes =
  /^application\/vnd\.(?:oci\.image\.layer\.[\w.+-]{1,128}|docker\.image\.rootfs\.diff\.tar(?:\.gzip|\.zstd)?|erofs\.layer\.v1)$/;
const foreignTypes =
  /^application\/vnd\.(?:oci\.image\.layer\.nondistributable\.|docker\.image\.rootfs\.foreign\.)/;

/**
 * Looks the layers of a manifest up in an OCI layout. Their bytes are not read: who copies them compares the digests.
 *
 * @throws Refused when one is not of the size it should be, or none that can be loaded
 */
export function findLayers(manifest: Manifest, tar: TarIndex): Layer[] {
  return manifest.layers.map(({ digest, size, mediaType, urls }) => {
    if (foreignTypes.test(mediaType) || urls.length > 0)
      throw new ArchiveError(
        `its layer ${digest} is not distributable: it is to be fetched from where its maker has it`,
        "Build the image on another one",
      );
    if (!layerTypes.test(mediaType))
      throw new ArchiveError(
        `its layer ${digest} is of the type ${quote(mediaType)}, which containerd does not unpack`,
        "Build the image with layers that are tar archives, plain or compressed with gzip or zstd",
      );
    const content = tar.find(layoutBlobPath(digest));
    if (content !== undefined && content.size !== size)
      throw new ArchiveError(
        `it is damaged: the layer ${digest} should have ${size} bytes, and has ${content.size}`,
      );
    return { digest, size, mediaType, offset: content?.offset };
  });
}

/** @throws Refused when a config is not that of an image with so many layers */
export function checkLayerCount(layers: readonly unknown[], config: Config, id: string): void {
  if (layers.length !== config.rootfs.length)
    throw new ArchiveError(
      `it is damaged: the image ${id} has ${layers.length} layers, and ${config.rootfs.length} according to its config`,
    );
}
