import { createReadStream, createWriteStream } from "node:fs";
import { lstat, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { CacheResult, CacheStore } from "../transport/store.ts";

/** Each layer is a cache entry, because images share layers. It is named by its diff ID, in hexadecimal. */
const layerPath = (diffId: string) => `layer-${diffId}`;
const layerKey = (diffId: string) => `kind-action-layer-v1-${diffId}`;

/** A layer that several images use at the same time. Its file is in the folder of the store, or being restored. */
interface SharedLayer {
  readonly written: Promise<void>;
  /** The number of images that use the layer. */
  users: number;
  /** Set when no image uses the layer any more. */
  removal?: Promise<void>;
}

const sharedLayers = new WeakMap<CacheStore, Map<string, SharedLayer>>();

/** A layer, as one image uses it. */
export interface RestoredLayer {
  /** The path of the layer's tar archive, which may still be written. */
  readonly path: string;
  /** Resolves when the file is complete. Rejects when the layer cannot be restored. */
  readonly written: Promise<void>;
  /** Removes the file, unless another image uses it. Only the first call has an effect. */
  readonly release: () => Promise<void>;
}

/**
 * Restores a layer, once for all images that use it at the same time. Each image must release the layer.
 *
 * @param options.background whether other restores have priority
 */
export function acquireLayer(
  store: CacheStore,
  diffId: string,
  { background }: { background: boolean },
): RestoredLayer {
  const layers = sharedLayers.get(store) ?? new Map<string, SharedLayer>();
  sharedLayers.set(store, layers);
  const previous = layers.get(diffId);
  const layer =
    previous?.removal === undefined && previous !== undefined
      ? previous
      : {
          written: Promise.resolve(previous?.removal).then(() => restoreLayer(store, diffId, background)),
          users: 0,
        };
  layers.set(diffId, layer);
  layer.users++;
  // Callers await it; this avoids an unhandled rejection if none does.
  layer.written.catch(() => {});
  const path = join(store.folder, layerPath(diffId));
  let released: Promise<void> | undefined;
  return { path, written: layer.written, release: () => (released ??= release(layer, path)) };
}

async function release(layer: SharedLayer, path: string): Promise<void> {
  if (--layer.users > 0) return;
  layer.removal = rm(path, { force: true, recursive: true });
  await layer.removal;
}

async function restoreLayer(store: CacheStore, diffId: string, background: boolean): Promise<void> {
  const { outcome, reason } = await store.restore({
    path: layerPath(diffId),
    key: layerKey(diffId),
    background,
  });
  if (outcome !== "hit") throw new Error(`layer sha256:${diffId}: ${reason ?? outcome}`);
  const file = join(store.folder, layerPath(diffId));
  if (!(await lstat(file)).isFile()) throw new Error(`layer sha256:${diffId} is not a regular file`);
}

/** Saves a layer. @param source the part of an archive that is the layer's tar */
export async function saveLayer(
  store: CacheStore,
  diffId: string,
  source: { file: string; offset: number; size: number },
): Promise<CacheResult> {
  const path = join(store.folder, layerPath(diffId));
  try {
    const bytes = createReadStream(source.file, {
      start: source.offset,
      end: source.offset + source.size - 1,
    });
    await pipeline(bytes, createWriteStream(path));
    return await store.save({ path: layerPath(diffId), key: layerKey(diffId) });
  } finally {
    await rm(path, { force: true });
  }
}
