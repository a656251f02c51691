import { mkdir, rm } from "node:fs/promises";
import type { ArchiveFile } from "../../archive/find-archives.ts";
import type { ArchiveImage } from "../../archive/image-archive.ts";
import { readArchive } from "../../archive/read-archive.ts";
import type { Engine } from "../../docker/engine.ts";
import { mapConcurrently } from "../../lib/concurrency.ts";
import type { Log } from "../../lib/log.ts";
import type { RunProgram } from "../../lib/subprocess.ts";
import { formatBytes, formatSeconds, secondsSince } from "../../lib/units.ts";
import { soleSchedulableNode } from "../../node/nodes.ts";
import type { ConnectedNode } from "../../node/sessions.ts";
import type { Platform } from "../../oci/platform.ts";
import { type DaemonImage, findDaemonImages, saveDaemonImages } from "../docker-save.ts";
import { pullWarnings } from "../pull-warnings.ts";
import { type ImportedImage, loadIntoNodes, type TargetNode } from "./load-into-nodes.ts";
import { mergeImages, type SourceImage } from "./plan-node.ts";

/** The images to load. */
export interface LoadPlan {
  readonly archives: readonly ArchiveFile[];
  /** Names of images in the runner's Docker daemon. */
  readonly images: readonly string[];
  /** A folder for exports and decompressed archives. It is created, and removed afterwards. */
  readonly folder: string;
}

/** An image, as the output `images` lists it. */
export interface LoadedImage extends ImportedImage {
  /** The time from the start until every node had the image. */
  readonly seconds: number;
}

/** The cluster that images are loaded into. */
export interface LoadTarget {
  readonly platform: Platform;
  /** All nodes of the cluster, once their containers run. */
  readonly nodes: Promise<readonly ConnectedNode[]>;
  /** The names of the nodes to load into. */
  readonly into: readonly string[];
  /** The time that their containerd may take to start, in milliseconds. */
  readonly startTimeoutMs: number;
  /** Whether the cluster runs the admission plugin AlwaysPullImages. */
  readonly alwaysPulls: boolean;
}

/** The Docker daemon that loading works with. */
export interface LoadContext {
  readonly engine: Engine;
  readonly runProgram: RunProgram;
  /** The labels of helper containers. */
  readonly labels: Record<string, string>;
}

/** Whether there are images to load. */
export const hasImages = ({ archives, images }: Pick<LoadPlan, "archives" | "images">): boolean =>
  archives.length + images.length > 0;

/**
 * Loads images into the nodes of a cluster. While the nodes are still starting, archives are read and images looked up.
 *
 * @returns the outcome for each image
 * @throws InvalidArchiveError for an archive that cannot be loaded
 * @throws NodeLoadError when nodes fail
 * @throws Error naming the image that the Docker daemon cannot pull or export
 */
export async function loadImages(
  plan: LoadPlan,
  target: LoadTarget,
  ctx: LoadContext,
  log: Log,
): Promise<LoadedImage[]> {
  const startMs = performance.now();
  const { platform } = target;
  const { folder } = plan;
  await mkdir(folder, { recursive: true });
  try {
    const [fromArchives, daemonImages, nodes] = await Promise.all([
      readArchives(plan.archives, platform, folder),
      findDaemonImages(plan.images, ctx, log),
      target.nodes.then((nodes) => targetNodes(nodes, target)),
    ]);
    const fromDaemon = await exportMissing(daemonImages, nodes, platform, folder, ctx.engine);
    const imported = await loadIntoNodes(mergeImages([...fromArchives, ...fromDaemon]), nodes, {
      ...ctx,
      log,
      unpackOn: soleSchedulableNode(await target.nodes)?.name,
    });
    const seconds = secondsSince(startMs);
    const images = imported.map((image) => ({ ...image, seconds }));
    for (const image of images) log.line(describe(image));
    const names = images.flatMap((image) => image.names);
    for (const warning of pullWarnings(names, target.alwaysPulls)) log.warning(warning);
    return images;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Returns the nodes to load into, and starts to list their images. */
const targetNodes = (nodes: readonly ConnectedNode[], { into, startTimeoutMs }: LoadTarget): TargetNode[] =>
  nodes
    .filter(({ name }) => into.includes(name))
    .map(({ session }) => {
      const inventory = session.inventory(startTimeoutMs);
      // Consumers await it; this avoids an unhandled rejection if none does.
      inventory.catch(() => {});
      return { session, inventory };
    });

/** Uncompressed archives are read in milliseconds; decompressing takes one processor per archive. */
const archiveConcurrency = 4;

async function readArchives(
  archives: readonly ArchiveFile[],
  platform: Platform,
  scratch: string,
): Promise<SourceImage[]> {
  const images = await mapConcurrently(archives, archiveConcurrency, async ({ path }) => {
    const archive = await readArchive(path, { platform, scratch });
    return archive.images.map((image) => toSourceImage(image, path, archive.file));
  });
  return images.flat();
}

/** Exports the images that a node lacks. The others have no content: their name and ID are enough to add names. */
async function exportMissing(
  images: readonly DaemonImage[],
  nodes: readonly TargetNode[],
  platform: Platform,
  folder: string,
  engine: Engine,
): Promise<SourceImage[]> {
  if (images.length === 0) return [];
  const inventories = await Promise.allSettled(nodes.map((node) => node.inventory));
  const imageIds = inventories.flatMap((result) =>
    result.status === "fulfilled" ? [result.value.imageIds] : [],
  );
  const missing = images.filter(({ id }) => !imageIds.every((ids) => ids.has(id)));
  const present = images.filter((image) => !missing.includes(image));
  const exported = missing.length === 0 ? [] : await exportImages(missing, platform, folder, engine);
  return [
    ...present.map(({ fullName, id }) => ({ names: [fullName], id, from: fullName, content: undefined })),
    ...exported,
  ];
}

async function exportImages(
  images: readonly DaemonImage[],
  platform: Platform,
  folder: string,
  engine: Engine,
): Promise<SourceImage[]> {
  const path = await saveDaemonImages(images, { engine, platform, folder });
  const archive = await readArchive(path, { platform, scratch: folder });
  const from = images.map(({ reference }) => reference).join(", ");
  // The order of images in Docker's archives varies.
  const position = ({ names }: ArchiveImage) => images.findIndex(({ fullName }) => names.includes(fullName));
  return archive.images
    .toSorted((a, b) => position(a) - position(b))
    .map((image) => toSourceImage(image, from, archive.file));
}

const toSourceImage = ({ names, id, ...content }: ArchiveImage, from: string, file: string): SourceImage => ({
  names,
  id,
  from,
  content: { ...content, file },
});

const describe = ({ names, outcome, nodes, bytes, seconds }: LoadedImage) =>
  outcome === "loaded"
    ? `${names.join(", ")}: loaded into ${nodes.join(", ")}, ${formatBytes(bytes)}, ${formatSeconds(seconds)}`
    : `${names.join(", ")}: ${outcome} in ${nodes.join(", ")}`;
