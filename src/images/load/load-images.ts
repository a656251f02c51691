import { mkdir, rm } from "node:fs/promises";
import type { ArchiveFile } from "../../archive/find-archives.ts";
import { type ArchiveImage, readArchive } from "../../archive/read-archive.ts";
import type { Endpoint } from "../../docker/endpoint.ts";
import type { Engine } from "../../docker/engine.ts";
import type { Platform } from "../../docker/images.ts";
import type { Log } from "../../lib/log.ts";
import type { RunProgram } from "../../lib/subprocess.ts";
import { type ClusterNode, soleSchedulableNode } from "../../node/nodes.ts";
import { connectNode } from "../../node/session.ts";
import { type DaemonImage, findDaemonImages, saveDaemonImages } from "../docker-save.ts";
import { pullWarnings } from "../pull-warnings.ts";
import { type ImportedImage, loadIntoNodes, type TargetNode } from "./load-into-nodes.ts";
import { mergeImages, type SourceImage } from "./plan-node.ts";

/** What is to be in the nodes. */
export interface LoadPlan {
  readonly archives: readonly ArchiveFile[];
  /** Names of images of the runner's Docker daemon. */
  readonly images: readonly string[];
  /** A folder of this run's own for exports and decompressed archives: made, and removed afterwards. */
  readonly folder: string;
}

/** An image, as the `images` output lists it. */
export interface LoadedImage extends ImportedImage {
  /** From the beginning until every node had it. */
  readonly seconds: number;
}

/** What images are loaded into. */
export interface LoadTarget {
  readonly platform: Platform;
  /** All nodes, as soon as their containers run. */
  readonly nodes: Promise<readonly ClusterNode[]>;
  /** The names of those to load into. */
  readonly into: readonly string[];
  /** How long their containerd may take to come up, in milliseconds. */
  readonly starting: number;
  /** Whether every pod pulls its images, whatever is loaded. */
  readonly alwaysPulls: boolean;
}

/** What loading works on. */
export interface LoadContext {
  readonly engine: Engine;
  readonly endpoint: Endpoint;
  readonly run: RunProgram;
  /** On the containers that it takes. */
  readonly labels: Record<string, string>;
}

export const hasImages = ({ archives, images }: Pick<LoadPlan, "archives" | "images">): boolean =>
  archives.length + images.length > 0;

/**
 * Brings images into the nodes of a cluster, which may still be starting: archives are read and images looked up
 * meanwhile.
 *
 * @returns what became of each image
 * @throws for what cannot be loaded, with the archive's or the image's name and the reason; for nodes that fail
 */
export async function loadImages(
  plan: LoadPlan,
  cluster: LoadTarget,
  on: LoadContext,
  log: Log,
): Promise<LoadedImage[]> {
  const began = performance.now();
  await mkdir(plan.folder, { recursive: true });
  const targets = cluster.nodes.then((nodes) =>
    nodes
      .filter(({ name }) => cluster.into.includes(name))
      .map(({ name, container }) => {
        const session = connectNode(on.engine, { name, container }, cluster.starting);
        // Who needs the answer hears of it.
        session.catch(() => {});
        return { name, container, session };
      }),
  );
  try {
    const [fromArchives, daemonImages, nodes] = await Promise.all([
      readArchives(
        plan.archives.map(({ path }) => path),
        cluster.platform,
        plan.folder,
      ),
      findDaemonImages(plan.images, on, log),
      targets,
    ]);
    const fromDaemon = await missingImages(daemonImages, nodes, cluster.platform, plan.folder, on.engine);
    const loaded = await loadIntoNodes(mergeImages([...fromArchives, ...fromDaemon]), nodes, {
      ...on,
      log,
      unpackOn: soleSchedulableNode(await cluster.nodes)?.name,
    });
    const seconds = Math.round(performance.now() - began) / 1000;
    const images = loaded.map((image) => ({ ...image, seconds }));
    for (const image of images) log.line(describe(image));
    const names = images.flatMap((image) => image.names);
    for (const warning of pullWarnings(names, cluster.alwaysPulls)) log.warning(warning);
    return images;
  } finally {
    // What went wrong is told at once: nobody waits for nodes that are yet to come up.
    targets
      .then((nodes) =>
        Promise.allSettled(nodes.map(async ({ session }) => (await session).containerd.close())),
      )
      .catch(() => {});
    await rm(plan.folder, { recursive: true, force: true });
  }
}

/** Plain archives are read in milliseconds; each compressed one takes a processor while it is decompressed. */
const archivesAtOnce = 4;

async function readArchives(
  paths: readonly string[],
  platform: Platform,
  scratch: string,
): Promise<SourceImage[]> {
  const waiting = [...paths.entries()];
  const images: SourceImage[][] = [];
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, path] = next;
      const archive = await readArchive(path, { platform, scratch });
      images[index] = archive.images.map((image) => source(image, path, archive.file));
    }
  };
  await Promise.all(Array.from({ length: archivesAtOnce }, worker));
  return images.flat();
}

/**
 * Images of the daemon: those that some node lacks are exported, the others have nothing but their name and ID, which
 * is enough to give them another name.
 */
async function missingImages(
  images: readonly DaemonImage[],
  nodes: readonly TargetNode[],
  platform: Platform,
  folder: string,
  engine: Engine,
): Promise<SourceImage[]> {
  if (images.length === 0) return [];
  const session = await Promise.allSettled(nodes.map((node) => node.session));
  const has = session.flatMap((node) => (node.status === "fulfilled" ? [node.value.inventory.imageIds] : []));
  const missing = images.filter(({ id }) => !has.every((ids) => ids.has(id)));
  const known = images.filter((image) => !missing.includes(image));
  const saved = missing.length === 0 ? [] : await readSaved(missing, platform, folder, engine);
  return [
    ...known.map(({ fullName, id }) => ({ names: [fullName], id, from: fullName, content: undefined })),
    ...saved,
  ];
}

async function readSaved(
  images: readonly DaemonImage[],
  platform: Platform,
  folder: string,
  engine: Engine,
): Promise<SourceImage[]> {
  const path = await saveDaemonImages(images, { engine, platform, folder });
  const { file, images: found } = await readArchive(path, { platform, scratch: folder });
  const from = images.map(({ reference }) => reference).join(", ");
  // Docker writes them in an order of its own, which changes.
  const position = ({ names }: ArchiveImage) => images.findIndex(({ fullName }) => names.includes(fullName));
  return found.toSorted((a, b) => position(a) - position(b)).map((image) => source(image, from, file));
}

const source = ({ names, id, ...content }: ArchiveImage, from: string, file: string): SourceImage => ({
  names,
  id,
  from,
  content: { ...content, file },
});

const describe = ({ names, outcome, nodes, bytes, seconds }: LoadedImage) =>
  outcome === "loaded"
    ? `${names.join(", ")}: loaded into ${nodes.join(", ")}, ${(bytes / 1e6).toFixed(1)} MB, ${seconds.toFixed(1)} s`
    : `${names.join(", ")}: ${outcome} in ${nodes.join(", ")}`;
