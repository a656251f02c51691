import { InvalidArchiveError } from "../../archive/errors.ts";
import type { ArchiveImage } from "../../archive/image-archive.ts";
import type { NodeInventory } from "../../node/containerd/client.ts";
import type { FileBlob } from "../../node/content/hardlink.ts";

/** An image to load. */
export interface SourceImage {
  /** Full names. */
  readonly names: readonly string[];
  readonly id: string;
  /** The archive or the image of the Docker daemon, as the user named it; for messages. */
  readonly from: string;
  /** Undefined for an image that every node has already, maybe under another name. */
  readonly content: ImageContent | undefined;
}

/** The blobs of an image. */
export interface ImageContent extends Pick<ArchiveImage, "target" | "manifests" | "layers"> {
  /** The uncompressed tar that contains the layers, at their offsets. */
  readonly file: string;
}

/** An image that a node lacks. */
export interface MissingImage extends SourceImage {
  readonly content: ImageContent;
}

/** The steps that load all images into one node. */
export interface NodeLoadPlan {
  /** Images that the node has under all their names. */
  readonly present: readonly SourceImage[];
  /** Images that the node has, and the names that it lacks. */
  readonly retag: readonly { readonly image: SourceImage; readonly names: readonly string[] }[];
  /** Images that the node lacks, or lacks blobs of. */
  readonly import: readonly MissingImage[];
  /** Blobs to hard-link into the node's content store. */
  readonly hardlink: readonly FileBlob[];
  /** Blobs to upload to containerd. */
  readonly upload: readonly FileBlob[];
}

/** The minimum size for a hard link: it costs 8 ms in all, and uploading a megabyte through Docker about 5 ms. */
const minHardlinkBytes = 4_000_000;
/** The minimum total size for starting the hard-link helper container: it costs 250 ms of CPU time. */
const minTotalHardlinkBytes = 32_000_000;

/**
 * Plans how to load images into a node. Pure.
 *
 * @param canLink whether blobs can be hard-linked into the node's content store
 * @throws InvalidArchiveError when an image would replace one of the node image, or has a layer that neither the archive nor
 *   the node has
 */
export function planNodeLoad(
  images: readonly SourceImage[],
  inventory: NodeInventory,
  canLink: boolean,
): NodeLoadPlan {
  const present: SourceImage[] = [];
  const retag: { image: SourceImage; names: readonly string[] }[] = [];
  const missing: MissingImage[] = [];
  for (const image of images) {
    const names = image.names.filter((name) => inventory.idByName.get(name) !== image.id);
    for (const name of names) assertReplaceable(name, image, inventory);
    if (!isComplete(image, inventory)) missing.push(withContent(image));
    else if (names.length > 0) retag.push({ image, names });
    else present.push(image);
  }
  const blobs = missingBlobs(missing, inventory);
  const large = blobs.filter(({ size }) => size >= minHardlinkBytes);
  const hardlink = canLink && bytesOf(large) >= minTotalHardlinkBytes ? large : [];
  return {
    present,
    retag,
    import: missing,
    hardlink,
    upload: blobs.filter((blob) => !hardlink.includes(blob)),
  };
}

/** @throws InvalidArchiveError when the name belongs to an image of the node image */
function assertReplaceable(name: string, { from }: SourceImage, inventory: NodeInventory): void {
  const replaced = inventory.idByName.get(name);
  if (replaced !== undefined && inventory.preloadedIds.has(replaced))
    throw new InvalidArchiveError(
      from,
      `it would replace ${name}, which is part of the node image and which the cluster itself runs`,
      "Give the image another name. For another Kubernetes version, use another node image",
    );
}

/** Returns the layers that a node lacks, each once. @throws InvalidArchiveError for a layer that no archive contains */
function missingBlobs(images: readonly MissingImage[], { blobDigests }: NodeInventory): FileBlob[] {
  const blobs = new Map<string, FileBlob>();
  for (const { content } of images) {
    for (const { digest, size, offset } of content.layers) {
      if (offset === undefined || blobDigests.has(digest) || blobs.has(digest)) continue;
      blobs.set(digest, { digest, size, offset, file: content.file });
    }
  }
  for (const { from, names, content } of images) {
    const layer = content.layers.find(({ digest }) => !blobDigests.has(digest) && !blobs.has(digest));
    if (layer !== undefined)
      throw new InvalidArchiveError(
        from,
        `layer ${layer.digest} of ${names.join(", ")} is neither in the archive nor in the node`,
        "Save the image again; with Docker's containerd image store, use `docker save --platform`",
      );
  }
  return [...blobs.values()];
}

/**
 * Whether a node has an image with all its blobs: a node may list an image whose blobs were lost, and pods could not run it.
 * Images of the node image are complete, though their layers may only exist unpacked.
 */
function isComplete({ id, content }: SourceImage, inventory: NodeInventory): boolean {
  if (!inventory.imageIds.has(id)) return false;
  if (content === undefined || inventory.preloadedIds.has(id)) return true;
  const blobs = [...content.manifests, ...content.layers.filter(({ offset }) => offset !== undefined)];
  return blobs.every(({ digest }) => inventory.blobDigests.has(digest));
}

function withContent(image: SourceImage): MissingImage {
  const { content } = image;
  if (content === undefined) throw new Error(`${image.from} was removed from a node meanwhile.`);
  return { ...image, content };
}

const bytesOf = (blobs: readonly { readonly size: number }[]) =>
  blobs.reduce((sum, { size }) => sum + size, 0);

/**
 * Merges the images of several archives into one list, each image once with all its names.
 *
 * @throws InvalidArchiveError when two archives have different images under one name
 */
export function mergeImages(images: readonly SourceImage[]): SourceImage[] {
  const byId = new Map<string, SourceImage>();
  const byName = new Map<string, SourceImage>();
  for (const image of images) {
    for (const name of image.names) {
      const other = byName.get(name);
      if (other !== undefined && other.id !== image.id) {
        throw new InvalidArchiveError(
          image.from,
          `its ${name} differs from the image of that name in ${other.from}, and a node can have only one of them`,
          "Load one of the two, or give them different tags",
        );
      }
      byName.set(name, image);
    }
    const same = byId.get(image.id);
    byId.set(
      image.id,
      same === undefined ? image : { ...same, names: [...new Set([...same.names, ...image.names])] },
    );
  }
  return [...byId.values()];
}
