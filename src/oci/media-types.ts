const ociIndex = "application/vnd.oci.image.index.v1+json";
const dockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json";
const ociManifest = "application/vnd.oci.image.manifest.v1+json";
const ociConfig = "application/vnd.oci.image.config.v1+json";

/** Docker's manifest. containerd writes it for archives without manifests. */
export const dockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
/** Docker's config, with the same fields as that of OCI. */
export const dockerConfig = "application/vnd.docker.container.image.v1+json";
/** Docker's uncompressed layer. */
export const dockerLayer = "application/vnd.docker.image.rootfs.diff.tar";

/** The accepted media types of a request for a manifest or an index. */
export const manifestTypes: readonly string[] = [ociIndex, dockerManifestList, ociManifest, dockerManifest];

export const isIndex = (mediaType: string): boolean => [ociIndex, dockerManifestList].includes(mediaType);
export const isManifest = (mediaType: string): boolean => [ociManifest, dockerManifest].includes(mediaType);
export const isConfig = (mediaType: string): boolean => [ociConfig, dockerConfig].includes(mediaType);

/** The layer types of containerd (core/images/mediatypes.go, IsLayerType). */
const layerTypes =
  /^application\/vnd\.(?:oci\.image\.layer\.[\w.+-]{1,128}|docker\.image\.rootfs\.diff\.tar(?:\.gzip|\.zstd)?|erofs\.layer\.v1)$/;
export const isLayer = (mediaType: string): boolean => layerTypes.test(mediaType);

/** Whether a layer is non-distributable (foreign): its content is fetched from its publisher. */
export const isForeignLayer = (mediaType: string): boolean =>
  /^application\/vnd\.(?:oci\.image\.layer\.nondistributable\.|docker\.image\.rootfs\.foreign\.)/.test(
    mediaType,
  );
