import type { Descriptor } from "../oci/descriptor.ts";

/** A layer, with its position in {@link ImageArchive.file}. */
export interface Layer extends Descriptor {
  /**
   * Bytes from the start of the file; the layer is the next `size` bytes. Undefined if the archive does not contain the layer
   * (`docker save` omits layers that a containerd image store never fetched): the image can then only be loaded if a node
   * already has the layer.
   */
  readonly offset: number | undefined;
}

/** An image for one platform, in the form that containerd stores. */
export interface ArchiveImage {
  /** Full names as in containerd: docker.io/library/web:1, ghcr.io/x/y:2, localhost/z:latest. At least one. */
  readonly names: readonly string[];
  /** The digest of the config, which is the image ID of Docker, crictl and Kubernetes. */
  readonly id: string;
  /** Platform of the config, such as `linux/arm64/v8`; that of the nodes if the config has none. */
  readonly platform: string;
  /** The target of the names: the platform's manifest, or the index that lists it. */
  readonly target: Descriptor;
  /** Indexes (if any), manifest and config, the target first. Their digests have been verified. */
  readonly manifests: readonly (Descriptor & { readonly bytes: Buffer })[];
  /** The lowest first. Their digests have not been verified. */
  readonly layers: readonly Layer[];
}

/** The images of an archive. */
export interface ImageArchive {
  /** Path of the archive, as in the input. */
  readonly path: string;
  /** Path of the uncompressed tar that `offset` refers to: the archive itself, or its copy in the scratch folder. */
  readonly file: string;
  /** At least one, no two with the same target. */
  readonly images: readonly ArchiveImage[];
}
