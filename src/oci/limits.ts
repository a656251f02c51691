/**
 * Maximum size of a manifest, index or config, in bytes. Registries have to accept manifests of this size (OCI
 * distribution-spec, "Pushing Manifests"); configs, with labels and history, are some kilobytes. containerd reads 20 MiB, but
 * parsed JSON may take a hundred times the memory of its text.
 */
export const maxManifestBytes = 4 * 1024 ** 2;
/** Maximum number of layers. Docker creates at most 127, overlayfs mounts at most 500. */
export const maxLayers = 1_000;
/** Maximum number of images in an archive, platforms of an image, and names of an image. */
export const maxImages = 1_000;
/** Maximum number of platforms listed in a message. Official images of Docker Hub have at most ten. */
export const maxListedPlatforms = 10;
