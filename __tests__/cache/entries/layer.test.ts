import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { acquireLayer, type RestoredLayer, saveLayer } from "../../../src/cache/entries/layer.ts";
import type { CacheStore } from "../../../src/cache/transport/store.ts";
import { type MemoryCache, memoryCache } from "../../fixtures/memory-cache.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";

const layer = "a".repeat(64);
const key = `kind-action-layer-v1-${layer}`;

let cache: MemoryCache;
let store: CacheStore;

const acquire = (from: CacheStore, diffId = layer) => acquireLayer(from, diffId, { background: false });

/** Acquires a layer, and waits until it is complete. */
async function acquired(from: CacheStore, diffId = layer): Promise<RestoredLayer> {
  const restored = acquire(from, diffId);
  await restored.written;
  return restored;
}

/** A cache that has a layer. */
beforeEach(() => {
  cache = memoryCache();
  cache.entries.set(key, {
    path: `layer-${layer}`,
    files: new Map([[`layer-${layer}`, Buffer.from("a layer")]]),
  });
  store = cache.store();
});

describe("acquireLayer", () => {
  it("restores a layer once for all images that use it at the same time", async () => {
    const [first, second] = await Promise.all([acquired(store), acquired(store)]);
    expect(await readFile(first.path, "utf8")).toBe("a layer");
    expect(second.path).toBe(first.path);
    expect(cache.calls).toEqual([`restore ${key}`]);
  });

  it("keeps the file until the last image has released it, and ignores repeated releases", async () => {
    const [first, second] = [await acquired(store), await acquired(store)];
    await first.release();
    await first.release();
    expect(existsSync(first.path)).toBe(true);
    await second.release();
    expect(readdirSync(store.folder)).toEqual([]);
  });

  it("restores a released layer again, also while its file is being removed", async () => {
    const first = await acquired(store);
    const released = first.release();
    const second = await acquired(store);
    await released;
    expect(await readFile(second.path, "utf8")).toBe("a layer");
    await second.release();
    const third = await acquired(store);
    await first.release();
    expect(await readFile(third.path, "utf8")).toBe("a layer");
    expect(cache.calls).toHaveLength(3);
  });

  it("does not share files between stores", async () => {
    const [mine, theirs] = [await acquired(store), await acquired(cache.store())];
    await mine.release();
    expect([mine, theirs].map(({ path }) => existsSync(path))).toEqual([false, true]);
  });

  it("rejects for each user of a missing layer, and tries again for the next one", async () => {
    cache.instead = () => ({ outcome: "miss" });
    const layers = [acquire(store), acquire(store)];
    for (const { written } of layers) await expect(written).rejects.toThrow(`layer sha256:${layer}: miss`);
    for (const { release } of layers) await release();
    cache.instead = () => undefined;
    expect(await readFile((await acquired(store)).path, "utf8")).toBe("a layer");
  });

  it("allows a release before the restore has failed", async () => {
    cache.instead = () => ({ outcome: "failed", reason: "read ECONNRESET" });
    await acquire(store).release();
  });
});

describe("saveLayer", () => {
  it("saves a part of an archive, and leaves no file behind", async () => {
    const file = join(temporaryFolder(), "archive.tar");
    writeFileSync(file, "before|the layer|behind");
    const other = "b".repeat(64);
    const { outcome } = await saveLayer(store, other, { file, offset: 7, size: 9 });
    expect(outcome).toBe("saved");
    expect(readdirSync(store.folder)).toEqual([]);
    expect(await readFile((await acquired(store, other)).path, "utf8")).toBe("the layer");
  });

  it("leaves no file behind if the archive cannot be read", async () => {
    const gone = { file: join(temporaryFolder(), "gone"), offset: 0, size: 9 };
    await expect(saveLayer(store, layer, gone)).rejects.toThrow("ENOENT");
    expect(readdirSync(store.folder)).toEqual([]);
  });
});
