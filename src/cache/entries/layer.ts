import { createReadStream, createWriteStream } from "node:fs";
import { lstat, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { CacheResult, CacheStore } from "../transport/store.ts";

/** A layer has an entry of its own, named by the SHA-256 of its tar in hexadecimal: images share it. */
const pathOf = (diffId: string) => `layer-${diffId}`;
const keyOf = (diffId: string) => `kind-action-layer-v1-${diffId}`;

/** A layer in the folder of a cache, or on its way there. */
interface SharedLayer {
  readonly written: Promise<void>;
  /** How many images need it: some are restored at once. */
  users: number;
  /** Set when nobody needs it any more. */
  removal?: Promise<void>;
}

const sharedLayers = new WeakMap<CacheStore, Map<string, SharedLayer>>();

/** A layer, as one image has it. */
export interface RestoredLayer {
  /** Its file, which may still be written. */
  readonly path: string;
  /** Settles when all of it is there. */
  readonly written: Promise<void>;
  /** Removes the file, unless another image needs it. It may be said more than once. */
  readonly release: () => Promise<void>;
}

/**
 * A layer, restored once for all images that need it now. Each of them has to leave it.
 *
 * @param background whether others are needed sooner
 */
export function acquireLayer(
  cache: CacheStore,
  diffId: string,
  { background }: { background: boolean },
): RestoredLayer {
  const layers = sharedLayers.get(cache) ?? new Map<string, SharedLayer>();
  sharedLayers.set(cache, layers);
  const before = layers.get(diffId);
  const layer =
    before?.removal === undefined && before !== undefined
      ? before
      : {
          written: Promise.resolve(before?.removal).then(() => restoreLayer(cache, diffId, background)),
          users: 0,
        };
  layers.set(diffId, layer);
  layer.users++;
  // Whoever waits for it is told. Nobody may have come to that.
  layer.written.catch(() => {});
  const path = join(cache.folder, pathOf(diffId));
  let left: Promise<void> | undefined;
  return { path, written: layer.written, release: () => (left ??= leave(layer, path)) };
}

async function leave(layer: SharedLayer, path: string): Promise<void> {
  if (--layer.users > 0) return;
  layer.removal = rm(path, { force: true, recursive: true });
  await layer.removal;
}

async function restoreLayer(cache: CacheStore, diffId: string, background: boolean): Promise<void> {
  const { outcome, reason } = await cache.restore({ path: pathOf(diffId), key: keyOf(diffId), background });
  if (outcome !== "hit") throw new Error(`the layer sha256:${diffId}: ${reason ?? outcome}`);
  const file = join(cache.folder, pathOf(diffId));
  if (!(await lstat(file)).isFile()) throw new Error(`the layer sha256:${diffId} is no file`);
}

/** Keeps a layer. @param from where its bytes are */
export async function saveLayer(
  cache: CacheStore,
  diffId: string,
  from: { file: string; offset: number; size: number },
): Promise<CacheResult> {
  const path = join(cache.folder, pathOf(diffId));
  try {
    const bytes = createReadStream(from.file, { start: from.offset, end: from.offset + from.size - 1 });
    await pipeline(bytes, createWriteStream(path));
    return await cache.save({ path: pathOf(diffId), key: keyOf(diffId) });
  } finally {
    await rm(path, { force: true });
  }
}
