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

const take = (from: CacheStore, diffId = layer) => acquireLayer(from, diffId, { background: false });

/** Takes a layer, and waits until all of it is there. */
async function taken(from: CacheStore, diffId = layer): Promise<RestoredLayer> {
  const one = take(from, diffId);
  await one.written;
  return one;
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

describe("a layer in the cache", () => {
  it("is there for all images that need it at the time, and restored once for them", async () => {
    const [first, second] = await Promise.all([taken(store), taken(store)]);
    expect(await readFile(first.path, "utf8")).toBe("a layer");
    expect(second.path).toBe(first.path);
    expect(cache.calls).toEqual([`restore ${key}`]);
  });

  it("is gone when the last of them leaves it, however often each says so", async () => {
    const [first, second] = [await taken(store), await taken(store)];
    await first.release();
    await first.release();
    expect(existsSync(first.path)).toBe(true);
    await second.release();
    expect(readdirSync(store.folder)).toEqual([]);
  });

  it("is restored again for one that comes later, also while it is being removed", async () => {
    const first = await taken(store);
    const left = first.release();
    const second = await taken(store);
    await left;
    expect(await readFile(second.path, "utf8")).toBe("a layer");
    await second.release();
    const third = await taken(store);
    await first.release();
    expect(await readFile(third.path, "utf8")).toBe("a layer");
    expect(cache.calls).toHaveLength(3);
  });

  it("is each run's own", async () => {
    const [mine, theirs] = [await taken(store), await taken(cache.store())];
    await mine.release();
    expect([mine, theirs].map(({ path }) => existsSync(path))).toEqual([false, true]);
  });

  it("that is not there is an error for each who needs it, and the next one asks again", async () => {
    cache.instead = () => ({ outcome: "miss" });
    const takers = [take(store), take(store)];
    for (const { written } of takers)
      await expect(written).rejects.toThrow(`the layer sha256:${layer}: miss`);
    for (const { release: leave } of takers) await leave();
    cache.instead = () => undefined;
    expect(await readFile((await taken(store)).path, "utf8")).toBe("a layer");
  });

  it("may be left by one who has not waited for it", async () => {
    cache.instead = () => ({ outcome: "failed", reason: "read ECONNRESET" });
    await take(store).release();
  });
});

describe("a layer that is saved", () => {
  it("is what is in its place in an archive, and leaves no file behind", async () => {
    const file = join(temporaryFolder(), "archive.tar");
    writeFileSync(file, "before|the layer|behind");
    const other = "b".repeat(64);
    const { outcome } = await saveLayer(store, other, { file, offset: 7, size: 9 });
    expect(outcome).toBe("saved");
    expect(readdirSync(store.folder)).toEqual([]);
    expect(await readFile((await taken(store, other)).path, "utf8")).toBe("the layer");
  });

  it("leaves no file behind where it cannot be read either", async () => {
    const gone = { file: join(temporaryFolder(), "gone"), offset: 0, size: 9 };
    await expect(saveLayer(store, layer, gone)).rejects.toThrow("ENOENT");
    expect(readdirSync(store.folder)).toEqual([]);
  });
});
