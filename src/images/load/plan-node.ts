import { type ArchiveImage, InvalidArchiveError } from "../../archive/read-archive.ts";
import type { NodeInventory } from "../../node/containerd/client.ts";
import type { FileBlob } from "../../node/content/hardlink.ts";

/** An image that is to be in nodes. */
export interface SourceImage {
  /** Full names. */
  readonly names: readonly string[];
  readonly id: string;
  /** Where it is from, in the user's words; for messages. */
  readonly from: string;
  /** Undefined for an image that every node has, maybe under another name. */
  readonly content: ImageContent | undefined;
}

/** What an image consists of. */
export interface ImageContent extends Pick<ArchiveImage, "target" | "manifests" | "layers"> {
  /** The plain tar that the offsets of the layers count in. */
  readonly file: string;
}

/** An image that a node lacks. */
export interface MissingImage extends SourceImage {
  readonly content: ImageContent;
}

/** What one node takes to have all images. */
export interface NodeLoadPlan {
  /** There already, under all their names. */
  readonly present: readonly SourceImage[];
  /** There already, under other names. */
  readonly retag: readonly { readonly image: SourceImage; readonly names: readonly string[] }[];
  readonly import: readonly MissingImage[];
  /** Blobs that are linked into the node's content store. */
  readonly hardlink: readonly FileBlob[];
  /** Blobs that travel in the archive that the node imports. */
  readonly upload: readonly FileBlob[];
}

/** From here on a blob is worth linking: it costs 8 ms in all, and sending a megabyte through Docker about 5. */
const minHardlinkBytes = 4_000_000;
/** From here on the container that links is worth starting: it costs 250 ms of a processor. */
const minTotalHardlinkBytes = 32_000_000;

/**
 * Decides what a node needs. Pure.
 *
 * @param canLink whether blobs can be linked into this node's content store
 * @throws when an image would replace one that the node image brought, or needs what neither the archive nor the node has
 */
export function planNodeLoad(
  images: readonly SourceImage[],
  has: NodeInventory,
  canLink: boolean,
): NodeLoadPlan {
  const present: SourceImage[] = [];
  const retag: { image: SourceImage; names: readonly string[] }[] = [];
  const bring: MissingImage[] = [];
  for (const image of images) {
    const names = image.names.filter((name) => has.idByName.get(name) !== image.id);
    for (const name of names) {
      const replaced = has.idByName.get(name);
      if (replaced !== undefined && has.preloadedIds.has(replaced))
        throw new InvalidArchiveError(
          image.from,
          `it would replace ${name}, which the node image brought and the cluster itself runs`,
          "Give the image another name; for another Kubernetes, take another node image",
        );
    }
    if (!isWhole(image, has)) bring.push(withContent(image));
    else if (names.length > 0) retag.push({ image, names });
    else present.push(image);
  }
  const missing = new Map<string, FileBlob>();
  for (const { content } of bring) {
    for (const { digest, size, offset } of content.layers) {
      if (offset === undefined || has.blobDigests.has(digest) || missing.has(digest)) continue;
      missing.set(digest, { digest, size, offset, file: content.file });
    }
  }
  for (const image of bring) {
    for (const { digest } of image.content.layers) {
      if (!has.blobDigests.has(digest) && !missing.has(digest))
        throw new InvalidArchiveError(
          image.from,
          `it does not hold the layer ${digest} of ${image.names.join(", ")}, and neither does a node`,
          "Save the image again: with Docker's containerd image store, by `docker save --platform`",
        );
    }
  }
  const blobs = [...missing.values()];
  const large = blobs.filter(({ size }) => size >= minHardlinkBytes);
  const linked = canLink && bytesOf(large) >= minTotalHardlinkBytes ? large : [];
  return {
    present,
    retag,
    import: bring,
    hardlink: linked,
    upload: blobs.filter((blob) => !linked.includes(blob)),
  };
}

/**
 * Whether a node has an image with all its blobs: one may be listed though blobs of it are lost, and no pod would start.
 * What the node image brought is as it is.
 */
function isWhole({ id, content }: SourceImage, has: NodeInventory): boolean {
  if (!has.imageIds.has(id)) return false;
  if (content === undefined || has.preloadedIds.has(id)) return true;
  const blobs = [...content.manifests, ...content.layers.filter(({ offset }) => offset !== undefined)];
  return blobs.every(({ digest }) => has.blobDigests.has(digest));
}

function withContent(image: SourceImage): MissingImage {
  const { content } = image;
  if (content === undefined) throw new Error(`${image.from}: a node that had it has lost it.`);
  return { ...image, content };
}

const bytesOf = (blobs: readonly { readonly size: number }[]) =>
  blobs.reduce((sum, { size }) => sum + size, 0);

/**
 * The images of several archives as one list, each once.
 *
 * @throws when two archives mean different images by one name
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
          `its ${name} is another image than that of ${other.from}, and a node has one of a name`,
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
