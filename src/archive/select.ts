import { quote } from "../lib/quote.ts";
import type { Platform } from "../oci/platform.ts";
import { formatPlatform, formatPlatforms } from "../oci/platform.ts";
import { normalizeReference } from "../oci/reference.ts";
import { ArchiveError } from "./errors.ts";
import type { ArchiveImage } from "./image-archive.ts";

/** An entry of the index of an archive: the image or images with the same names. */
export interface ImageEntry {
  /** As in the archive: short names of Docker, or full names. */
  readonly names: readonly string[];
  /** The platforms of its images. */
  readonly platforms: readonly Platform[];
  /** {@link platformMatch} of the best image for the nodes; 0 if there is none. */
  readonly match: number;
  /** The best image for the nodes; undefined if there is none. */
  readonly image: Omit<ArchiveImage, "names"> | undefined;
}

/**
 * Selects the image of every name in an archive: of several with the same name, the one for the platform of the nodes.
 *
 * @throws ArchiveError when an image has no name or an invalid one, when no image of a name runs on the nodes, or two
 * different images do
 */
export function selectImages(entries: readonly ImageEntry[], node: Platform): ArchiveImage[] {
  if (entries.length === 0) throw new ArchiveError("the archive contains no image", saveNamed);
  const images = new Map<string, Omit<ArchiveImage, "names"> & { names: string[] }>();
  for (const [name, sameName] of groupByName(entries)) {
    const image = selectBest(name, sameName, node);
    const existing = images.get(image.target.digest);
    if (existing === undefined) images.set(image.target.digest, { ...image, names: [name] });
    else existing.names.push(name);
  }
  return [...images.values()];
}

function groupByName(entries: readonly ImageEntry[]): Map<string, ImageEntry[]> {
  const groups = new Map<string, ImageEntry[]>();
  for (const entry of entries) {
    if (entry.names.length === 0) {
      const id = entry.image?.id;
      throw new ArchiveError(`${id === undefined ? "an image" : `the image ${id}`} has no name`, saveNamed);
    }
    for (const name of new Set(entry.names.map(checkName))) {
      const group = groups.get(name);
      if (group === undefined) groups.set(name, [entry]);
      else group.push(entry);
    }
  }
  return groups;
}

function checkName(reference: string): string {
  const name = normalizeReference(reference);
  if (typeof name === "string") return name;
  throw new ArchiveError(`the image name ${quote(reference)} ${name.problem}`, saveNamed);
}

function selectBest(
  name: string,
  entries: readonly ImageEntry[],
  node: Platform,
): Omit<ArchiveImage, "names"> {
  const bestMatch = Math.max(...entries.map(({ match }) => match));
  const images = entries.flatMap(({ match, image }) => (image && match === bestMatch ? [image] : []));
  const [image] = images;
  if (image === undefined) {
    const platforms = formatPlatforms(entries.flatMap((each) => each.platforms));
    throw new ArchiveError(
      `${name} has no image for ${formatPlatform(node)}, the platform of the nodes (available: ${platforms})`,
      `Build the image for this platform with \`docker buildx build --platform ${formatPlatform(node)}\``,
    );
  }
  const other = images.find(({ id }) => id !== image.id);
  if (other !== undefined)
    throw new ArchiveError(
      `${name} is the name of two different images, ${image.id} and ${other.id}`,
      "Give each image a different name",
    );
  return image;
}

/** The advice for an image without a valid name. */
const saveNamed =
  "Name the image when you save it: `docker save --output FILE NAME:TAG`, `skopeo copy … oci-archive:FILE:NAME:TAG`, " +
  "`docker buildx build --output type=oci,name=NAME:TAG,dest=FILE`";
