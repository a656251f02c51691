import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import type { CacheStore } from "../../src/cache/store.ts";
import { leaveLayer, saveLayer, takeLayer } from "../../src/images/kept-layers.ts";
import { type MemoryCache, memoryCache } from "../fixtures/memory-cache.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const layer = "a".repeat(64);
const key = `kind-action-layer-v1-${layer}`;

let cache: MemoryCache;
let store: CacheStore;

/** Takes a layer, and waits until all of it is there. @returns its file */
async function taken(from: CacheStore, diffId = layer): Promise<string> {
  const { path, written } = takeLayer(from, diffId, { background: false });
  await written;
  return path;
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
    expect(await readFile(first, "utf8")).toBe("a layer");
    expect(second).toBe(first);
    expect(cache.calls).toEqual([`restore ${key}`]);
  });

  it("is gone when the last of them leaves it", async () => {
    const file = await taken(store);
    await taken(store);
    await leaveLayer(store, layer);
    expect(existsSync(file)).toBe(true);
    await leaveLayer(store, layer);
    expect(readdirSync(store.folder)).toEqual([]);
  });

  it("is restored again for one that comes later, also while it is being removed", async () => {
    await taken(store);
    const left = leaveLayer(store, layer);
    const file = await taken(store);
    await left;
    expect(await readFile(file, "utf8")).toBe("a layer");
    await leaveLayer(store, layer);
    expect(await readFile(await taken(store), "utf8")).toBe("a layer");
    expect(cache.calls).toHaveLength(3);
  });

  it("is each run's own", async () => {
    const other = cache.store();
    const files = [await taken(store), await taken(other)];
    await leaveLayer(store, layer);
    expect(files.map((file) => existsSync(file))).toEqual([false, true]);
  });

  it("that is not there is an error for each who needs it, and the next one asks again", async () => {
    cache.instead = () => ({ outcome: "miss" });
    const why = `the layer sha256:${layer}: miss`;
    const takers = [taken(store), taken(store)];
    for (const taker of takers) await expect(taker).rejects.toThrow(why);
    for (const _ of takers) await leaveLayer(store, layer);
    cache.instead = () => undefined;
    expect(await readFile(await taken(store), "utf8")).toBe("a layer");
  });

  it("may be left by one who has not waited for it", async () => {
    cache.instead = () => ({ outcome: "failed", reason: "read ECONNRESET" });
    takeLayer(store, layer, { background: false });
    await leaveLayer(store, layer);
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
    expect(await readFile(await taken(store, other), "utf8")).toBe("the layer");
  });

  it("leaves no file behind where it cannot be read either", async () => {
    const gone = { file: join(temporaryFolder(), "gone"), offset: 0, size: 9 };
    await expect(saveLayer(store, layer, gone)).rejects.toThrow("ENOENT");
    expect(readdirSync(store.folder)).toEqual([]);
  });
});
