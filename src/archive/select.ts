import type { Platform } from "../docker/images.ts";
import { formatPlatform } from "../oci/platform.ts";
import { normalizeReference } from "../oci/reference.ts";
import { ArchiveError, quote } from "./errors.ts";
import type { ArchiveImage } from "./read-archive.ts";

/** What an archive offers under some names. */
export interface ImageEntry {
  /** As in the archive: Docker's short names, or full ones. */
  readonly names: readonly string[];
  /** What it is made for. */
  readonly platforms: readonly Platform[];
  /** How well what fits best runs on the nodes; 0 for not at all. */
  readonly fitness: number;
  /** Undefined if nothing fits. */
  readonly image: Omit<ArchiveImage, "names"> | undefined;
}

/**
 * Gives every name of an archive its image: of several under one name, the one for the nodes' platform.
 *
 * @throws Refused when an image has no name or one that is none, when nothing under a name runs on the nodes, or two
 * different images do
 */
export function selectImages(candidates: readonly ImageEntry[], node: Platform): ArchiveImage[] {
  if (candidates.length === 0) throw new ArchiveError("it holds no image", saveNamed);
  const images = new Map<string, Omit<ArchiveImage, "names"> & { names: string[] }>();
  for (const [name, named] of byName(candidates)) {
    const image = best(name, named, node);
    const known = images.get(image.target.digest);
    if (known === undefined) images.set(image.target.digest, { ...image, names: [name] });
    else known.names.push(name);
  }
  return [...images.values()];
}

function byName(candidates: readonly ImageEntry[]): Map<string, ImageEntry[]> {
  const named = new Map<string, ImageEntry[]>();
  for (const candidate of candidates) {
    if (candidate.names.length === 0) {
      const id = candidate.image?.id;
      throw new ArchiveError(
        `${id === undefined ? "an image" : `the image ${id}`} in it has no name`,
        saveNamed,
      );
    }
    for (const name of new Set(candidate.names.map(checkedName))) {
      const known = named.get(name);
      if (known === undefined) named.set(name, [candidate]);
      else known.push(candidate);
    }
  }
  return named;
}

function checkedName(given: string): string {
  const name = normalizeReference(given);
  if (typeof name === "string") return name;
  throw new ArchiveError(`the name ${quote(given)} of an image in it ${name.problem}`, saveNamed);
}

function best(name: string, candidates: readonly ImageEntry[], node: Platform): Omit<ArchiveImage, "names"> {
  const most = Math.max(...candidates.map(({ fitness }) => fitness));
  const images = candidates.flatMap(({ fitness, image }) => (image && fitness === most ? [image] : []));
  const [image] = images;
  if (image === undefined) {
    const platforms = [...new Set(candidates.flatMap((each) => each.platforms.map(formatPlatform)))];
    const shown = platforms.length > mostShown ? [...platforms.slice(0, mostShown), "…"] : platforms;
    throw new ArchiveError(
      `${name} in it is for ${shown.join(", ") || "no platform"}, and the nodes run ${formatPlatform(node)}`,
      `Build the image for it, with \`docker buildx build --platform ${formatPlatform(node)}\``,
    );
  }
  const other = images.find(({ id }) => id !== image.id);
  if (other !== undefined)
    throw new ArchiveError(
      `${name} in it names two images, ${image.id} and ${other.id}`,
      "Give each a name of its own",
    );
  return image;
}

/** The official images of Docker Hub are for ten platforms at most. */
const mostShown = 10;

/** How the tools that make archives are told a name. */
const saveNamed =
  "Name it when it is saved: `docker save --output FILE NAME:TAG`, `skopeo copy … oci-archive:FILE:NAME:TAG`, " +
  "`docker buildx build --output type=oci,name=NAME:TAG,dest=FILE`";
