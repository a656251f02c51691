import { mkdir, mkdtemp, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { readArchive } from "../../archive/read-archive.ts";
import type { Engine } from "../../docker/engine.ts";
import type { Platform } from "../../docker/images.ts";
import { loadIntoDaemon } from "../../images/docker-load.ts";
import { saveDaemonImages } from "../../images/docker-save.ts";
import { errorMessage } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { fetchManifestChain, verifyManifestChain } from "../../oci/resolve-image.ts";
import { readIndex, writeIndex } from "../index-file.ts";
import type { CacheStore } from "../transport/store.ts";
import { acquireLayer, saveLayer } from "./layer.ts";

/** An image that is named by its digest. */
export interface PinnedImage {
  readonly reference: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string;
  readonly platform: Platform;
  /** What it is called in the Docker daemon when it comes out of the cache, which knows no digests. */
  readonly tag: string;
}

/** What of an image is in the cache, beside its layers: these have entries of their own, which images share. */
const index = z.strictObject({
  version: z.literal(1),
  /** The texts that lead from the digest to the layers. */
  documents: z.array(z.string()).max(3),
  /** The bytes of each layer, in order. */
  layers: z.array(z.int().nonnegative()).max(127),
  /** How long it took to pull it, in seconds. */
  pulled: z.number(),
  /** How long it took to restore it, if that was longer. */
  restored: z.number().optional(),
});

export interface RestoredImage {
  readonly outcome: "hit" | "miss" | "skipped" | "failed";
  /** That came out of the cache. */
  readonly bytes: number;
  /** How long it took to pull it in an earlier run, in seconds. */
  readonly pulled?: number;
}

const indexPath = (image: PinnedImage) => `image-${short(image.digest)}`;
const prefixOf = ({ digest, platform }: PinnedImage) =>
  `kind-action-image-v1-${platform.architecture}-${hexOf(digest)}-`;
const indexKey = (image: PinnedImage, slow = false) => `${prefixOf(image)}${slow ? "slow" : "image"}`;
const hexOf = (digest: string) => digest.replace("sha256:", "");
const short = (digest: string) => hexOf(digest).slice(0, 16);

/** The name that an image has in the Docker daemon when it comes out of the cache. */
export const restoredTag = (digest: string): string => `kind-action/restored:${short(digest)}`;

/** Left free on a disk that is not ours alone. */
const spare = 500_000_000;

/**
 * Gives the Docker daemon an image out of the cache. The image is the one with the digest, whatever the cache holds: texts
 * lead from the digest to the config and the hashes of all layers, which the daemon compares.
 *
 * `onlyIfFaster`: an image that took longer to restore than to pull is left to be pulled. `labels`: of what the daemon
 * has only meanwhile.
 */
export async function restoreImage(
  cache: CacheStore,
  engine: Engine,
  image: PinnedImage,
  { onlyIfFaster, labels }: { onlyIfFaster: boolean; labels: Readonly<Record<string, string>> },
  log: Log,
): Promise<RestoredImage> {
  const prefix = prefixOf(image);
  const found = await cache.restore({ path: indexPath(image), key: prefix, prefixes: [prefix] });
  if (found.outcome !== "hit") {
    if (found.reason !== undefined) log.line(`Not from the cache: ${found.reason}`);
    return {
      outcome: found.outcome === "skipped" || found.outcome === "failed" ? found.outcome : "miss",
      bytes: 0,
    };
  }
  try {
    const { documents, layers, pulled, restored } = await readIndex(cache, indexPath(image), index);
    const { configDigest, diffIds } = verifyManifestChain(image.digest, image.platform, documents);
    if ((await engine.images.findId(configDigest)) !== undefined) {
      await engine.images.tag(configDigest, image.tag);
      return { outcome: "hit", bytes: 0, pulled };
    }
    if (onlyIfFaster && restored !== undefined) {
      log.line(`Not from the cache: restoring took ${restored} s, pulling ${pulled} s.`);
      return { outcome: "skipped", bytes: 0 };
    }
    const bytes = layers.reduce((sum, size) => sum + size, 0);
    const { bavail, bsize } = await statfs(cache.folder);
    if (bavail * bsize < 3 * bytes + spare) {
      log.line(`Not from the cache: the disk has ${bavail * bsize} bytes free, and it takes ${3 * bytes}.`);
      return { outcome: "skipped", bytes: 0 };
    }
    const taken = diffIds.map(hexOf).map((diffId, index) => ({
      diffId,
      // The others are unpacked on the first one.
      ...acquireLayer(cache, diffId, { background: index > 0 }),
    }));
    try {
      const config = documents.at(-1) ?? "";
      await loadIntoDaemon(
        engine,
        { config, id: hexOf(configDigest), name: image.tag, layers: taken },
        labels,
      );
    } finally {
      await Promise.allSettled(taken.map(({ written }) => written));
      // What resists goes with the run's folder.
      await Promise.allSettled(taken.map(({ release: leave }) => leave()));
    }
    const id = await engine.images.findId(image.tag);
    if (id === configDigest) return { outcome: "hit", bytes, pulled };
    if (id !== undefined) await engine.images.untag(image.tag);
    throw new Error(`the Docker daemon has made ${id} of it, not ${configDigest}`);
  } catch (error) {
    log.line(`The entry ${found.key} is not used: ${errorMessage(error)}`);
    return { outcome: "miss", bytes: 0 };
  }
}

/**
 * Keeps an image of the Docker daemon in the cache.
 *
 * @param seconds how long it took to pull it
 * @param folder for the daemon's export
 */
export async function saveImage(
  cache: CacheStore,
  engine: Engine,
  image: PinnedImage,
  { seconds, folder }: { seconds: number; folder: string },
  log: Log,
): Promise<void> {
  if (!(await cache.isMissing({ path: indexPath(image), key: indexKey(image) }))) {
    log.line(`${image.reference} is in the cache already, or cannot be saved.`);
    return;
  }
  const { chain: documents } = await fetchManifestChain(image.reference, image.platform);
  const { configDigest, diffIds } = verifyManifestChain(image.digest, image.platform, documents);
  if ((await engine.images.findId(image.reference)) !== configDigest) {
    log.line(`${image.reference} is not cached: this Docker daemon does not keep images by their configs.`);
    return;
  }
  // A name of our own: with another one of its repository, Docker would remove the digest, too.
  const name = restoredTag(image.digest);
  await mkdir(folder, { recursive: true });
  const own = await mkdtemp(join(folder, "image-"));
  try {
    await engine.images.tag(configDigest, name);
    const on = { engine, platform: image.platform, folder: own };
    const archive = await saveDaemonImages([{ reference: name, fullName: name, id: configDigest }], on);
    const read = await readArchive(archive, { platform: image.platform, scratch: own });
    const layers = read.images[0]?.layers ?? [];
    for (const [position, layer] of layers.entries()) {
      const diffId = hexOf(diffIds[position] ?? "");
      if (hexOf(layer.digest) !== diffId || layer.offset === undefined) {
        log.line(`${image.reference} is not cached: this Docker daemon keeps its layers packed.`);
        return;
      }
      const part = { file: read.file, offset: layer.offset, size: layer.size };
      const { outcome, reason } = await saveLayer(cache, diffId, part);
      log.line(`layer ${diffId.slice(0, 12)}: ${outcome}${reason ? `, ${reason}` : ""}, ${layer.size} bytes`);
      if (outcome !== "saved" && outcome !== "exists") return;
    }
    await saveIndex(
      cache,
      image,
      {
        version: 1,
        documents: [...documents],
        layers: layers.map(({ size }) => size),
        pulled: seconds,
      },
      log,
    );
  } finally {
    await rm(own, { recursive: true, force: true });
    await engine.images.untag(name);
  }
}

/** Notes that an image takes longer to restore than to pull. */
export async function saveRestoreTime(
  cache: CacheStore,
  image: PinnedImage,
  restored: number,
  log: Log,
): Promise<void> {
  const before = await readIndex(cache, indexPath(image), index);
  if (restored > before.pulled) await saveIndex(cache, image, { ...before, restored }, log);
}

async function saveIndex(
  cache: CacheStore,
  image: PinnedImage,
  content: z.infer<typeof index>,
  log: Log,
): Promise<void> {
  await writeIndex(cache, indexPath(image), content);
  const key = indexKey(image, content.restored !== undefined);
  const { outcome } = await cache.save({ path: indexPath(image), key });
  log.line(`${key}: ${outcome}`);
}
