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

const keyPrefix = "proxies-of-a-job-";
const indexPath = "proxies-index/index.json";

const web = {
  repository: "shop/web",
  manifest: "manifest of web",
  layers: ["config of web", "layer of web"],
};
const [manifest = "", config = "", layer = ""] = [web.manifest, ...web.layers].map(blobOf);

/** A cache with the blobs of a proxy, for a test to change. */
async function savedCache() {
  const cache = memoryCache();
  const folders = new Map([["docker.io", temporaryFolder()]]);
  await storeImage(folders.get("docker.io") ?? "", web);
  await saveProxies(cache.store(), folders, new Set(), { keyPrefix, maxBytes: 1e9 }, recordingLog());
  const [[pack, content] = [], [index] = []] = cache.entries;
  if (pack === undefined || content === undefined || index === undefined)
    throw new Error("nothing was saved");
  return { cache, pack, content, index };
}

/** The folders of a run, and files outside of them that must not change. */
async function machine(cache: MemoryCache) {
  const outer = temporaryFolder();
  const outside = join(outer, "outside");
  const store = cache.store(join(outer, "run/cache"));
  await mkdir(store.folder, { recursive: true });
  await mkdir(outside);
  await writeFile(join(outside, "mine"), "not for everybody");
  // Files of another program, with the same content by chance.
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
 * Runs a job with a changed cache: restores, pulls and saves. Checks that all restored files have the right content, and that
 * files outside of the run's folders did not change.
 *
 * @returns the restored blobs
 */
async function runWith(use: Awaited<ReturnType<typeof machine>>, store = use.store) {
  const before = await use.others();
  const log = recordingLog();
  const restored = await restoreProxies(store, use.folders, keyPrefix, log);
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
  await saveProxies(store, use.folders, new Set(), { keyPrefix, maxBytes: 1e9 }, log);
  expect(await use.others()).toEqual(before);
  expect(log.warnings).toEqual([]);
  return { restored, blobs, log };
}

describe("a poisoned index", () => {
  const blob = "a".repeat(64);
  const key = `kind-action-blobs-v1-${"a".repeat(32)}`;
  const indexOf = (more: object) => ({ version: 1, packs: [], upstreams: {}, ...more });
  const withKey = (bad: string) => indexOf({ packs: [{ key: bad, blobs: { [blob]: 1 } }] });
  const withBlobs = (blobs: object) => indexOf({ packs: [{ key, blobs }] });
  const withName = (name: string) =>
    indexOf({ upstreams: { "docker.io": [{ name, manifests: [manifest], layers: [config] }] } });

  it.each([
    ["has a pack key that is the parent folder", withKey("..")],
    ["has a pack key that is the folder itself", withKey(".")],
    ["has a pack key outside of the folder", withKey("../../outside")],
    ["has a pack key that is an absolute path", withKey("/etc")],
    ["has a pack key of another cache entry", withKey("kind-action-tool-v1-kind-abc")],
    ["has an empty pack key", withKey("")],
    ["has a blob name that leads out of the folder", withBlobs({ "../../../outside/mine": 17 })],
    ["has a blob name that is not a digest", withBlobs({ mine: 17 })],
    ["has a blob name in upper case", withBlobs({ ["A".repeat(64)]: 1 })],
    ["has a negative size", withBlobs({ [blob]: -1 })],
    ["has a size that is not a number", withBlobs({ [blob]: "1" })],
    ["has a size that is too large", withBlobs({ [blob]: 1e300 })],
    ["has a repository name with ..", withName("../../../../../outside")],
    ["has a repository name with .. in the middle", withName("shop/../../../outside")],
    ["has a repository name that is an absolute path", withName("/etc")],
    ["has a repository name that is an internal folder", withName("shop/_layers")],
    ["has an empty repository name", withName("")],
    ["has a repository name longer than a path", withName("a/".repeat(3_000).concat("a"))],
    ["has a repository name longer than a file name", withName("a".repeat(256))],
    ["has too many packs", indexOf({ packs: Array(1_001).fill({ key, blobs: {} }) })],
    ["has another version", indexOf({ version: 2 })],
    ["has an unknown field", indexOf({ more: 1 })],
    ["lacks all fields", {}],
    ["is a list", []],
    ["is null", null],
  ])("is not used if it %s", async (_, content) => {
    const { cache, index } = await savedCache();
    cache.entries.set(index, indexEntry(JSON.stringify(content)));
    const { restored, blobs, log } = await runWith(await machine(cache));
    expect(restored).toEqual({ outcome: "miss", bytes: 0 });
    expect(blobs.size).toBe(0);
    expect(log.lines).toContain(`Cache entry ${index} is not usable: its index is invalid.`);
  });

  it.each([
    ["is empty", ""],
    ["is cut off", '{"version":1,"packs":['],
    ["is not JSON", "\u0000\u0001"],
    ["is nested too deeply", "[".repeat(1_000_000)],
    ["is too large", `{"version":1,"packs":[],"upstreams":{}}${" ".repeat(21_000_000)}`],
  ])("is not used if it %s", async (_, text) => {
    const { cache, index } = await savedCache();
    cache.entries.set(index, indexEntry(text));
    expect((await runWith(await machine(cache))).restored).toEqual({ outcome: "miss", bytes: 0 });
  });

  it("is neither read nor written through a symbolic link to another file", async () => {
    const { cache, index } = await savedCache();
    const use = await machine(cache);
    await writeFile(join(use.outside, "index.json"), JSON.stringify(indexOf({})));
    cache.entries.set(index, {
      path: "proxies-index",
      files: new Map([[indexPath, { link: join(use.outside, "index.json") }]]),
    });
    expect((await runWith(use)).restored.outcome).toBe("miss");
  });

  it("is not written through a symbolic link to another folder", async () => {
    const { cache, index } = await savedCache();
    const use = await machine(cache);
    cache.entries.set(index, {
      path: "proxies-index",
      files: new Map([["proxies-index", { link: use.outside }]]),
    });
    expect((await runWith(use)).restored.outcome).toBe("miss");
  });

  it("is not used if it is a folder", async () => {
    const { cache, index } = await savedCache();
    cache.entries.set(index, { path: "proxies-index", files: new Map([[indexPath, "folder"]]) });
    expect((await runWith(await machine(cache))).restored.outcome).toBe("miss");
  });

  it("is not used if it is a FIFO, which never ends", async () => {
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

  it("is not used if its packs do not fit on the disk, and the log says so", async () => {
    const { cache, index, pack } = await savedCache();
    const packs = [{ key: pack, blobs: { [layer]: Number.MAX_SAFE_INTEGER } }];
    const upstreams = { "docker.io": [{ name: "shop/web", manifests: [], layers: [layer] }] };
    cache.entries.set(index, indexEntry(JSON.stringify(indexOf({ packs, upstreams }))));
    const { restored, log } = await runWith(await machine(cache));
    expect(restored).toEqual({ outcome: "skipped", bytes: 0 });
    expect(log.lines[0]).toMatch(
      /^Proxy blobs were not restored: restoring needs \d+\.\d GB of disk space, and \d+\.\d GB is free$/,
    );
  });

  it("restores a blob once if it is in two packs, or its pack is listed twice", async () => {
    const { cache, index, pack } = await savedCache();
    const blobs = { [layer]: 12, [config]: 13 };
    const upstreams = {
      "docker.io": [{ name: "shop/web", manifests: [config], layers: [layer, config, layer] }],
    };
    const other = `kind-action-blobs-v1-${"b".repeat(32)}`;
    cache.entries.set(other, packEntry(other, { [layer]: Buffer.from("layer of web") }));
    const packs = [pack, pack, other].map((each) => ({ key: each, blobs }));
    cache.entries.set(index, indexEntry(JSON.stringify(indexOf({ packs, upstreams }))));
    const { restored, blobs: contents } = await runWith(await machine(cache));
    expect(restored.outcome).toBe("hit");
    expect([...contents].every((each) => each in blobs)).toBe(true);
  });

  it("restores nothing for an upstream that this run does not have", async () => {
    const { cache, index, pack } = await savedCache();
    const blobs = { [layer]: 12 };
    const upstreams = { "../outside": [{ name: "shop/web", manifests: [], layers: [layer] }] };
    cache.entries.set(
      index,
      indexEntry(JSON.stringify(indexOf({ packs: [{ key: pack, blobs }], upstreams }))),
    );
    const { restored, blobs: contents } = await runWith(await machine(cache));
    expect(restored).toEqual({ outcome: "hit", bytes: 0 });
    expect(contents.size).toBe(0);
  });
});

describe("a poisoned pack", () => {
  const rest = [manifest, config].toSorted();

  it.each([
    [
      "other content than the digest of a blob",
      (files: Entry["files"], path: string) => files.set(path, Buffer.from("evil")),
    ],
    ["a blob that is cut off", (files: Entry["files"], path: string) => files.set(path, Buffer.from("lay"))],
    ["a missing blob", (files: Entry["files"], path: string) => files.delete(path)],
    ["a folder instead of a blob", (files: Entry["files"], path: string) => files.set(path, "folder")],
  ])("with %s is used for its other blobs, and that blob is pulled again", async (_, change) => {
    const { cache, pack, content } = await savedCache();
    change(content.files, join(pack, layer));
    const { blobs, log, restored } = await runWith(await machine(cache));
    expect([...blobs].toSorted()).toEqual(rest);
    expect(restored).toEqual({ outcome: "hit", bytes: "manifest of webconfig of web".length });
    expect(log.lines).toContain(`${pack} has no valid blob sha256:${layer}; the proxy pulls it again.`);
  });

  it("with two swapped blobs is used for neither of them", async () => {
    const { cache, pack, content } = await savedCache();
    content.files.set(join(pack, layer), Buffer.from("config of web"));
    content.files.set(join(pack, config), Buffer.from("layer of web"));
    expect([...(await runWith(await machine(cache))).blobs]).toEqual([manifest]);
  });

  it("with a symbolic link to a file with the right content does not move that file", async () => {
    const { cache, pack, content } = await savedCache();
    const use = await machine(cache);
    content.files.set(join(pack, layer), { link: join(use.outside, layer) });
    expect([...(await runWith(use)).blobs].toSorted()).toEqual(rest);
  });

  it("that is a symbolic link to a folder with all blobs does not move those files", async () => {
    const { cache, pack } = await savedCache();
    const use = await machine(cache);
    cache.entries.set(pack, { path: pack, files: new Map([[pack, { link: use.outside }]]) });
    expect((await runWith(use)).blobs.size).toBe(0);
  });

  it("with additional files is used without them, and they are removed", async () => {
    const { cache, pack, content } = await savedCache();
    for (const name of [`${layer}.copy`, "mine", "folder/mine", blobOf("mine")])
      content.files.set(join(pack, name), Buffer.from("mine"));
    const use = await machine(cache);
    const { blobs } = await runWith(use);
    expect([...blobs].toSorted()).toEqual([...rest, layer].toSorted());
    expect(Object.keys(await textsIn(use.store.folder))).toEqual([indexPath]);
  });

  it("is not saved through a symbolic link to another folder at its path", async () => {
    const { cache, index } = await savedCache();
    const use = await machine(cache);
    const saved = memoryCache();
    const clean = await machine(saved);
    await runWith(clean);
    const keys = [...saved.entries.keys()].filter((key) => !key.startsWith(keyPrefix));
    const files: Entry["files"] = new Map(keys.map((key) => [key, { link: use.outside }]));
    cache.entries.set(index, { path: "proxies-index", files });
    await runWith(use);
    expect([...cache.entries.keys()]).toEqual(expect.arrayContaining(keys));
  });
});

function indexEntry(text: string): Entry {
  return { path: "proxies-index", files: new Map([[indexPath, Buffer.from(text)]]) };
}

function packEntry(key: string, blobs: Readonly<Record<string, Buffer>>): Entry {
  return {
    path: key,
    files: new Map(Object.entries(blobs).map(([blob, content]) => [join(key, blob), content])),
  };
}
