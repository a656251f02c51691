import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { restoreProxies, saveProxies } from "../../../src/cache/entries/proxy-blobs.ts";
import type { CacheStore } from "../../../src/cache/transport/store.ts";
import { readStorage } from "../../../src/registries/storage.ts";
import { type Entry, type MemoryCache, memoryCache } from "../../fixtures/memory-cache.ts";
import { recordingLog } from "../../fixtures/recording.ts";
import { blobOf, storeImage, textsIn } from "../../fixtures/registry-storage.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";

const prefix = "proxies-of-a-job-";
const indexPath = "proxies-index/index.json";

const web = {
  repository: "shop/web",
  manifest: "manifest of web",
  layers: ["config of web", "layer of web"],
};
const [manifest = "", config = "", layer = ""] = [web.manifest, ...web.layers].map(blobOf);

/** A cache with what a proxy has pulled in an earlier run, for somebody to change. */
async function savedCache() {
  const cache = memoryCache();
  const folders = new Map([["docker.io", temporaryFolder()]]);
  await storeImage(folders.get("docker.io") ?? "", web);
  await saveProxies(cache.store(), folders, new Set(), { prefix, most: 1e9 }, recordingLog());
  const [[part, content] = [], [index] = []] = cache.entries;
  if (part === undefined || content === undefined || index === undefined)
    throw new Error("nothing was saved");
  return { cache, part, content, index };
}

/** A run's folders, and beside them what is nobody's business. */
async function machine(cache: MemoryCache) {
  const outer = temporaryFolder();
  const outside = join(outer, "outside");
  const store = cache.store(join(outer, "run/cache"));
  await mkdir(store.folder, { recursive: true });
  await mkdir(outside);
  await writeFile(join(outside, "mine"), "not for everybody");
  // A content store of somebody else's, with the same content as it happens.
  for (const content of [web.manifest, ...web.layers])
    await writeFile(join(outside, blobOf(content)), content);
  await writeFile(join(outside, "index.json"), "{}");
  await writeFile(join(outer, "run/kubeconfig"), "the cluster's");
  const folders = new Map(["docker.io", "ghcr.io"].map((name) => [name, join(outer, "proxies", name)]));
  for (const folder of folders.values()) await mkdir(folder, { recursive: true });
  const others = async () =>
    Object.fromEntries(
      Object.entries(await textsIn(outer)).filter(([path]) => !/^(proxies|run\/cache)\//.test(path)),
    );
  return { outside, store, folders, others };
}

/**
 * A run with such a cache, from its beginning to its end.
 *
 * @returns what the proxies held when it began: all of that is what it is called, and nothing else was touched
 */
async function runWith(use: Awaited<ReturnType<typeof machine>>, store = use.store) {
  const before = await use.others();
  const log = recordingLog();
  const restored = await restoreProxies(store, use.folders, prefix, log);
  const blobs = new Set<string>();
  for (const folder of use.folders.values()) {
    for (const [path, text] of Object.entries(await textsIn(folder))) {
      const [, blob = ""] = /([0-9a-f]{64})\/(?:data|link)$/.exec(path) ?? [];
      expect(text === `sha256:${blob}` || blobOf(text) === blob, path).toBe(true);
    }
    for (const [blob] of (await readStorage(folder)).blobs) blobs.add(blob);
  }
  await storeImage(use.folders.get("docker.io") ?? "", web);
  await storeImage(use.folders.get("ghcr.io") ?? "", { repository: "tool", manifest: "tool", layers: [] });
  await saveProxies(store, use.folders, new Set(), { prefix, most: 1e9 }, log);
  expect(await use.others()).toEqual(before);
  expect(log.warnings).toEqual([]);
  return { restored, blobs, log };
}

describe("an index with a lie in it", () => {
  const blob = "a".repeat(64);
  const key = `kind-action-blobs-v1-${"a".repeat(32)}`;
  const indexOf = (more: object) => ({ version: 1, parts: [], upstreams: {}, ...more });
  const withKey = (bad: string) => indexOf({ parts: [{ key: bad, blobs: { [blob]: 1 } }] });
  const withBlobs = (blobs: object) => indexOf({ parts: [{ key, blobs }] });
  const withName = (name: string) =>
    indexOf({ upstreams: { "docker.io": [{ name, manifests: [manifest], layers: [config] }] } });

  it.each([
    ["names a part that is the run's folder", withKey("..")],
    ["names a part that is the cache's folder", withKey(".")],
    ["names a part above it", withKey("../../outside")],
    ["names a part by an absolute path", withKey("/etc")],
    ["names a part that is another's entry", withKey("kind-action-tool-v1-kind-abc")],
    ["names a part that is none", withKey("")],
    ["names a blob that leads out", withBlobs({ "../../../outside/mine": 17 })],
    ["names a blob that is none", withBlobs({ mine: 17 })],
    ["names a blob in upper case", withBlobs({ ["A".repeat(64)]: 1 })],
    ["has a size below nothing", withBlobs({ [blob]: -1 })],
    ["has a size that is no number", withBlobs({ [blob]: "1" })],
    ["has a size beyond all bounds", withBlobs({ [blob]: 1e300 })],
    ["names a repository that leads out", withName("../../../../../outside")],
    ["names a repository that leads out in its middle", withName("shop/../../../outside")],
    ["names a repository by an absolute path", withName("/etc")],
    ["names a repository that is a registry's own folder", withName("shop/_layers")],
    ["names a repository that is empty", withName("")],
    ["names a repository in more letters than a path can have", withName("a/".repeat(3_000).concat("a"))],
    ["names a repository in more letters than a folder can have", withName("a".repeat(256))],
    ["has more parts than there can be", indexOf({ parts: Array(1_001).fill({ key, blobs: {} }) })],
    ["is of another version", indexOf({ version: 2 })],
    ["has more than it should", indexOf({ more: 1 })],
    ["has less than it should", {}],
    ["is a list", []],
    ["is nothing", null],
  ])("is not used, and the run is as without it: it %s", async (_, content) => {
    const { cache, index } = await savedCache();
    cache.entries.set(index, indexEntry(JSON.stringify(content)));
    const { restored, blobs, log } = await runWith(await machine(cache));
    expect(restored).toEqual({ outcome: "miss", bytes: 0 });
    expect(blobs.size).toBe(0);
    expect(log.lines).toContain(`The entry ${index} is not what it should be, and is not used.`);
  });

  it.each([
    ["is empty", ""],
    ["ends in its middle", '{"version":1,"parts":['],
    ["is no JSON", "\u0000\u0001"],
    ["nests without end", "[".repeat(1_000_000)],
    ["is larger than it can be", `{"version":1,"parts":[],"upstreams":{}}${" ".repeat(21_000_000)}`],
  ])("is not used, and the run is as without it: it %s", async (_, text) => {
    const { cache, index } = await savedCache();
    cache.entries.set(index, indexEntry(text));
    expect((await runWith(await machine(cache))).restored).toEqual({ outcome: "miss", bytes: 0 });
  });

  it("is no text but a link to somebody's file: that is neither read nor written to", async () => {
    const { cache, index } = await savedCache();
    const use = await machine(cache);
    await writeFile(join(use.outside, "index.json"), JSON.stringify(indexOf({})));
    cache.entries.set(index, {
      path: "proxies-index",
      files: new Map([[indexPath, { link: join(use.outside, "index.json") }]]),
    });
    expect((await runWith(use)).restored.outcome).toBe("miss");
  });

  it("is a link to somebody's folder: nothing is written there", async () => {
    const { cache, index } = await savedCache();
    const use = await machine(cache);
    cache.entries.set(index, {
      path: "proxies-index",
      files: new Map([["proxies-index", { link: use.outside }]]),
    });
    expect((await runWith(use)).restored.outcome).toBe("miss");
  });

  it("is a folder", async () => {
    const { cache, index } = await savedCache();
    cache.entries.set(index, { path: "proxies-index", files: new Map([[indexPath, "folder"]]) });
    expect((await runWith(await machine(cache))).restored.outcome).toBe("miss");
  });

  it("is a pipe, from which nothing ever comes", async () => {
    const { cache, index } = await savedCache();
    cache.entries.set(index, { path: "proxies-index", files: new Map([["proxies-index", "folder"]]) });
    const use = await machine(cache);
    const store: CacheStore = {
      ...use.store,
      async restore(entry) {
        const result = await use.store.restore(entry);
        if (entry.path === "proxies-index")
          await promisify(execFile)("mkfifo", [join(use.store.folder, indexPath)]);
        return result;
      },
    };
    expect((await runWith(use, store)).restored.outcome).toBe("miss");
  });

  it("says that it takes more room than there is: nothing is restored, and why is said", async () => {
    const { cache, index, part } = await savedCache();
    const parts = [{ key: part, blobs: { [layer]: Number.MAX_SAFE_INTEGER } }];
    const upstreams = { "docker.io": [{ name: "shop/web", manifests: [], layers: [layer] }] };
    cache.entries.set(index, indexEntry(JSON.stringify(indexOf({ parts, upstreams }))));
    const { restored, log } = await runWith(await machine(cache));
    expect(restored).toEqual({ outcome: "skipped", bytes: 0 });
    expect(log.lines[0]).toMatch(/^Nothing is restored: the disk has \d+\.\d MB free, and it takes /);
  });

  it("names a part twice, and a blob in two parts: it is there once", async () => {
    const { cache, index, part } = await savedCache();
    const blobs = { [layer]: 12, [config]: 13 };
    const upstreams = {
      "docker.io": [{ name: "shop/web", manifests: [config], layers: [layer, config, layer] }],
    };
    const other = `kind-action-blobs-v1-${"b".repeat(32)}`;
    cache.entries.set(other, partEntry(other, { [layer]: Buffer.from("layer of web") }));
    const parts = [part, part, other].map((each) => ({ key: each, blobs }));
    cache.entries.set(index, indexEntry(JSON.stringify(indexOf({ parts, upstreams }))));
    const { restored, blobs: back } = await runWith(await machine(cache));
    expect(restored.outcome).toBe("hit");
    expect([...back].every((each) => each in blobs)).toBe(true);
  });

  it("has an upstream that this run has not: nobody gets what that had", async () => {
    const { cache, index, part } = await savedCache();
    const blobs = { [layer]: 12 };
    const upstreams = { "../outside": [{ name: "shop/web", manifests: [], layers: [layer] }] };
    cache.entries.set(
      index,
      indexEntry(JSON.stringify(indexOf({ parts: [{ key: part, blobs }], upstreams }))),
    );
    const { restored, blobs: back } = await runWith(await machine(cache));
    expect(restored).toEqual({ outcome: "hit", bytes: 0 });
    expect(back.size).toBe(0);
  });
});

describe("a part with a lie in it", () => {
  const rest = [manifest, config].toSorted();

  it.each([
    [
      "other content under a blob's name",
      (files: Entry["files"], path: string) => files.set(path, Buffer.from("evil")),
    ],
    [
      "no more than a blob's beginning",
      (files: Entry["files"], path: string) => files.set(path, Buffer.from("lay")),
    ],
    ["nothing under a blob's name", (files: Entry["files"], path: string) => files.delete(path)],
    ["a folder under a blob's name", (files: Entry["files"], path: string) => files.set(path, "folder")],
  ])("has %s: that is pulled again, and the rest is used", async (_, change) => {
    const { cache, part, content } = await savedCache();
    change(content.files, join(part, layer));
    const { blobs, log, restored } = await runWith(await machine(cache));
    expect([...blobs].toSorted()).toEqual(rest);
    expect(restored).toEqual({ outcome: "hit", bytes: "manifest of webconfig of web".length });
    expect(log.lines).toContain(`${part} does not hold the blob sha256:${layer}: it is pulled again.`);
  });

  it("has one blob under the name of another: neither is used", async () => {
    const { cache, part, content } = await savedCache();
    content.files.set(join(part, layer), Buffer.from("config of web"));
    content.files.set(join(part, config), Buffer.from("layer of web"));
    expect([...(await runWith(await machine(cache))).blobs]).toEqual([manifest]);
  });

  it("has a link to somebody's file, which even holds what the blob is called: that stays where it is", async () => {
    const { cache, part, content } = await savedCache();
    const use = await machine(cache);
    content.files.set(join(part, layer), { link: join(use.outside, layer) });
    expect([...(await runWith(use)).blobs].toSorted()).toEqual(rest);
  });

  it("is a link to somebody's folder, which even has all of the blobs: they stay where they are", async () => {
    const { cache, part } = await savedCache();
    const use = await machine(cache);
    cache.entries.set(part, { path: part, files: new Map([[part, { link: use.outside }]]) });
    expect((await runWith(use)).blobs.size).toBe(0);
  });

  it("has more than it should: that is not kept, and in nobody's way", async () => {
    const { cache, part, content } = await savedCache();
    for (const name of [`${layer}.copy`, "mine", "folder/mine", blobOf("mine")])
      content.files.set(join(part, name), Buffer.from("mine"));
    const use = await machine(cache);
    const { blobs } = await runWith(use);
    expect([...blobs].toSorted()).toEqual([...rest, layer].toSorted());
    expect(Object.keys(await textsIn(use.store.folder))).toEqual([indexPath]);
  });

  it("lies in the place of what is to be saved, as a link to somebody's folder: nothing is put there", async () => {
    const { cache, index } = await savedCache();
    const use = await machine(cache);
    const saved = memoryCache();
    const own = await machine(saved);
    await runWith(own);
    const keys = [...saved.entries.keys()].filter((key) => !key.startsWith(prefix));
    const files: Entry["files"] = new Map(keys.map((key) => [key, { link: use.outside }]));
    cache.entries.set(index, { path: "proxies-index", files });
    await runWith(use);
    expect([...cache.entries.keys()]).toEqual(expect.arrayContaining(keys));
  });
});

function indexEntry(text: string): Entry {
  return { path: "proxies-index", files: new Map([[indexPath, Buffer.from(text)]]) };
}

function partEntry(key: string, blobs: Readonly<Record<string, Buffer>>): Entry {
  return {
    path: key,
    files: new Map(Object.entries(blobs).map(([blob, content]) => [join(key, blob), content])),
  };
}
