import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { readArchive } from "../../archive/read-archive.ts";
import type { Engine } from "../../docker/engine.ts";
import { loadIntoDaemon } from "../../images/docker-load.ts";
import { saveDaemonImages } from "../../images/docker-save.ts";
import { type PinnedImage, pinImage, restoredTag } from "../../images/pinned-image.ts";
import { errorMessage } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { formatBytes, formatSeconds } from "../../lib/units.ts";
import { hexOf } from "../../oci/digest.ts";
import { fetchManifestChain, verifyManifestChain } from "../../oci/resolve-image.ts";
import { type CacheReport, defineEntry } from "../entry.ts";
import { readIndex, writeIndex } from "../index-file.ts";
import type { CacheStore } from "../transport/store.ts";
import type { CacheContext } from "./context.ts";
import { lackOfSpace } from "./free-space.ts";
import { acquireLayer, saveLayer } from "./layer.ts";

/** The index of an image in the cache. The layers are separate cache entries, because images share them. */
const index = z.strictObject({
  version: z.literal(1),
  /** The index, the manifest and the config, as text: they link the image's digest to the diff IDs of its layers. */
  chain: z.array(z.string()).max(3),
  /** The sizes of the layers' tars in bytes, in order. */
  layers: z.array(z.int().nonnegative()).max(127),
  /** The seconds that pulling the image took. */
  pullSeconds: z.number(),
  /** The seconds that restoring the image took, if that was longer than pulling it. */
  restoreSeconds: z.number().optional(),
});
type Index = z.infer<typeof index>;

const shortHex = (digest: string) => hexOf(digest).slice(0, 16);
const indexPath = (image: PinnedImage) => `image-${shortHex(image.digest)}`;
const keyPrefix = ({ digest, platform }: PinnedImage) =>
  `kind-action-image-v2-${platform.architecture}-${hexOf(digest)}-`;
const indexKey = (image: PinnedImage, isSlow = false) => `${keyPrefix(image)}${isSlow ? "slow" : "image"}`;

/** An image to restore. */
interface NodeImageTarget {
  readonly image: PinnedImage;
  /** Whether an image that took longer to restore than to pull is not restored. */
  readonly onlyIfFaster: boolean;
  /** Labels of the temporary image that the daemon has during the restore. */
  readonly labels: Readonly<Record<string, string>>;
}

/** An image that post saves; or, if main restored it, the time that this took. */
const pendingImage = z.strictObject({
  reference: z.string(),
  tag: z.string().optional(),
  architecture: z.string(),
  /** Whether the image was restored; otherwise it was pulled. */
  restored: z.boolean(),
  /** The seconds that restoring or pulling took. */
  seconds: z.number(),
});
type PendingImage = z.infer<typeof pendingImage>;

/** The images of nodes, of the load balancer and of registries. */
export const nodeImageEntry = defineEntry<CacheContext, NodeImageTarget, PendingImage>({
  name: "node-image",
  optional: true,
  key: ({ image }) => keyPrefix(image),
  restore: ({ image, ...options }, { store, engine }, log) =>
    restoreImage(store, engine, image, options, log),
  pending: pendingImage,
  async save({ reference, tag, architecture, restored, seconds }, { store, engine, folder }, log) {
    const image = pinImage(reference, { os: "linux", architecture }, tag);
    if (image === undefined) return;
    if (restored) await saveRestoreTime(store, image, seconds, log);
    else await saveImage(store, engine, image, { seconds, folder: join(folder, "images") }, log);
  },
});

/**
 * Restores an image into the Docker daemon. The cache is not trusted: the manifest chain links the image's digest to the
 * config and to the diff IDs of all layers, and the daemon verifies the diff IDs when it loads the layers.
 */
export async function restoreImage(
  store: CacheStore,
  engine: Engine,
  image: PinnedImage,
  { onlyIfFaster, labels }: Omit<NodeImageTarget, "image">,
  log: Log,
): Promise<CacheReport> {
  const prefix = keyPrefix(image);
  const found = await store.restore({ path: indexPath(image), key: prefix, prefixes: [prefix] });
  if (found.outcome !== "hit") {
    if (found.reason !== undefined) log.line(`${image.reference} was not restored: ${found.reason}`);
    const outcome = found.outcome === "skipped" || found.outcome === "failed" ? found.outcome : "miss";
    return { outcome, bytes: 0 };
  }
  try {
    const entry = await readIndex(store, indexPath(image), index);
    const { configDigest, diffIds } = verifyManifestChain(image.digest, image.platform, entry.chain);
    const hit = { outcome: "hit", downloadSeconds: entry.pullSeconds } as const;
    if ((await engine.images.findId(configDigest)) !== undefined) {
      await engine.images.tag(configDigest, image.tag);
      return { ...hit, bytes: 0 };
    }
    const bytes = entry.layers.reduce((sum, size) => sum + size, 0);
    const reason = await reasonToSkip(entry, bytes, onlyIfFaster, store.folder);
    if (reason !== undefined) {
      log.line(`${image.reference} was not restored: ${reason}`);
      return { outcome: "skipped", bytes: 0 };
    }
    await loadLayers(
      store,
      engine,
      { image, configDigest, diffIds, config: entry.chain.at(-1) ?? "" },
      labels,
    );
    return { ...hit, bytes };
  } catch (error) {
    log.line(`Cache entry ${found.key} is not usable: ${errorMessage(error)}`);
    return { outcome: "miss", bytes: 0 };
  }
}

/** Returns why an image in the cache is not restored, as a clause; undefined if it is. */
async function reasonToSkip(
  { pullSeconds, restoreSeconds }: Index,
  bytes: number,
  onlyIfFaster: boolean,
  folder: string,
): Promise<string | undefined> {
  if (onlyIfFaster && restoreSeconds !== undefined)
    return `in an earlier run, restoring took ${formatSeconds(restoreSeconds)} and pulling ${formatSeconds(pullSeconds)}`;
  // The compressed layers, the uncompressed layers, and the image in the Docker daemon.
  return await lackOfSpace(folder, 3 * bytes);
}

/** Loads an image into the daemon while its layers are restored. @throws Error when the loaded image has another ID */
async function loadLayers(
  store: CacheStore,
  engine: Engine,
  source: { image: PinnedImage; configDigest: string; diffIds: readonly string[]; config: string },
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  const { image, configDigest, config } = source;
  const layers = source.diffIds.map(hexOf).map((diffId, position) => ({
    diffId,
    // The daemon unpacks layers from the first one up.
    ...acquireLayer(store, diffId, { background: position > 0 }),
  }));
  try {
    await loadIntoDaemon(engine, { config, id: hexOf(configDigest), name: image.tag, layers }, labels);
  } finally {
    await Promise.allSettled(layers.map(({ written }) => written));
    // Post removes the run's folder, and with it files that cannot be removed now.
    await Promise.allSettled(layers.map(({ release }) => release()));
  }
  const id = await engine.images.findId(image.tag);
  if (id === configDigest) return;
  if (id !== undefined) await engine.images.untag(image.tag);
  throw new Error(`the Docker daemon loaded it as ${id}, not as ${configDigest}`);
}

/**
 * Saves an image of the Docker daemon.
 *
 * @param options.seconds the seconds that pulling the image took
 * @param options.folder the folder for the daemon's export
 * @throws Error when the registry or the daemon does not return the image
 */
export async function saveImage(
  store: CacheStore,
  engine: Engine,
  image: PinnedImage,
  { seconds, folder }: { seconds: number; folder: string },
  log: Log,
): Promise<void> {
  if (!(await store.isMissing({ path: indexPath(image), key: indexKey(image) }))) {
    log.line(`${image.reference} is not saved: the cache already has it, or cannot be written.`);
    return;
  }
  const { chain } = await fetchManifestChain(image.reference, image.platform);
  const { configDigest, diffIds } = verifyManifestChain(image.digest, image.platform, chain);
  if ((await engine.images.findId(image.reference)) !== configDigest) {
    log.line(
      `${image.reference} is not saved: this Docker daemon does not identify images by the digest of their config.`,
    );
    return;
  }
  await mkdir(folder, { recursive: true });
  const exportFolder = await mkdtemp(join(folder, "image-"));
  // A temporary tag in another repository: removing a tag of the image's repository would also remove its digest.
  const name = restoredTag(image.digest);
  try {
    await engine.images.tag(configDigest, name);
    const options = { engine, platform: image.platform, folder: exportFolder };
    const archive = await saveDaemonImages([{ reference: name, fullName: name, id: configDigest }], options);
    const sizes = await saveLayers(store, image, diffIds, { archive, scratch: exportFolder }, log);
    if (sizes === undefined) return;
    const entry: Index = { version: 1, chain: [...chain], layers: sizes, pullSeconds: seconds };
    await saveIndex(store, image, entry, log);
  } finally {
    await rm(exportFolder, { recursive: true, force: true });
    await engine.images.untag(name);
  }
}

/** Saves each layer of an exported image. @returns the sizes of the layers; undefined if one could not be saved */
async function saveLayers(
  store: CacheStore,
  { reference, platform }: PinnedImage,
  diffIds: readonly string[],
  { archive, scratch }: { archive: string; scratch: string },
  log: Log,
): Promise<number[] | undefined> {
  const { file, images } = await readArchive(archive, { platform, scratch });
  const layers = images[0]?.layers ?? [];
  for (const [position, layer] of layers.entries()) {
    const diffId = hexOf(diffIds[position] ?? "");
    if (hexOf(layer.digest) !== diffId || layer.offset === undefined) {
      log.line(`${reference} is not saved: this Docker daemon exports its layers compressed.`);
      return undefined;
    }
    const source = { file, offset: layer.offset, size: layer.size };
    const { outcome, reason } = await saveLayer(store, diffId, source);
    log.line(
      `Layer ${diffId.slice(0, 12)}: ${outcome}${reason ? `, ${reason}` : ""}, ${formatBytes(layer.size)}`,
    );
    if (outcome !== "saved" && outcome !== "exists") return undefined;
  }
  return layers.map(({ size }) => size);
}

/** Records the time that restoring an image took, if it was longer than pulling. @param restoreSeconds seconds */
export async function saveRestoreTime(
  store: CacheStore,
  image: PinnedImage,
  restoreSeconds: number,
  log: Log,
): Promise<void> {
  const entry = await readIndex(store, indexPath(image), index);
  if (restoreSeconds > entry.pullSeconds) await saveIndex(store, image, { ...entry, restoreSeconds }, log);
}

async function saveIndex(store: CacheStore, image: PinnedImage, entry: Index, log: Log): Promise<void> {
  await writeIndex(store, indexPath(image), entry);
  const key = indexKey(image, entry.restoreSeconds !== undefined);
  const { outcome } = await store.save({ path: indexPath(image), key });
  log.line(`${key}: ${outcome}`);
}
