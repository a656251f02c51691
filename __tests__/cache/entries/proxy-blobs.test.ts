import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  proxyBlobsEntry,
  proxyKeyPrefix,
  restoreProxies,
  saveProxies,
} from "../../../src/cache/entries/proxy-blobs.ts";
import { readStorage } from "../../../src/registries/storage.ts";
import { type MemoryCache, memoryCache } from "../../fixtures/memory-cache.ts";
import { recordingLog } from "../../fixtures/recording.ts";
import { blobOf, type StoredImage, storeImage, textsIn } from "../../fixtures/registry-storage.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";

const keyPrefix = "proxies-of-a-job-";

/** An image with a manifest and layers, whose content is derived from their names. */
const image = (repository: string, ...layers: string[]): StoredImage => ({
  repository,
  tag: "v1",
  manifest: `manifest of ${repository}`,
  layers,
});

/** The images that nodes pull, by the upstream's name. */
type Pulls = Readonly<Record<string, readonly StoredImage[]>>;

/** Returns all blobs of images. */
const blobsOf = (...images: readonly StoredImage[]) =>
  images.flatMap(({ manifest, layers }) => [manifest, ...layers]).map(blobOf);

/** Runs a job: restores the blobs of its proxies, lets nodes pull images, and saves new blobs. */
async function run(
  cache: MemoryCache,
  pulls: Pulls,
  options: {
    requested?: readonly string[];
    maxBytes?: number;
    folders?: ReadonlyMap<string, string>;
  } = {},
) {
  const store = cache.store();
  const root = temporaryFolder();
  const folders = options.folders ?? new Map(Object.keys(pulls).map((name) => [name, join(root, name)]));
  const log = recordingLog();
  const restored = await restoreProxies(store, folders, keyPrefix, log);
  const contents = await contentsOf(folders);
  for (const [name, images] of Object.entries(pulls))
    for (const each of images) await storeImage(folders.get(name) ?? "", each);
  const before = new Set(cache.entries.keys());
  const limits = { keyPrefix, maxBytes: options.maxBytes ?? 1e9 };
  await saveProxies(store, folders, new Set(options.requested), limits, log);
  const saved = [...cache.entries].filter(([key]) => !before.has(key));
  return {
    restored,
    contents,
    saved: saved.map(([key]) => key),
    log,
    folders,
    left: await textsIn(store.folder),
  };
}

/** Reads the storage of all proxies. */
async function contentsOf(folders: ReadonlyMap<string, string>) {
  const stored: Record<string, Awaited<ReturnType<typeof readStorage>>> = {};
  for (const [name, folder] of folders) stored[name] = await readStorage(folder);
  return stored;
}

/** Returns the storage of proxies that have pulled images from their upstreams. */
async function afterPulling(pulls: Pulls) {
  const root = temporaryFolder();
  const folders = new Map(Object.keys(pulls).map((name) => [name, join(root, name)]));
  for (const [name, images] of Object.entries(pulls))
    for (const each of images) await storeImage(folders.get(name) ?? "", each);
  return contentsOf(folders);
}

const isIndex = (key: string) => key.startsWith(keyPrefix);

/** Returns the blobs in entries of the cache. */
const blobsIn = (cache: MemoryCache, keys: readonly string[]) =>
  keys
    .filter((key) => !isIndex(key))
    .flatMap((key) => [...(cache.entries.get(key)?.files ?? [])])
    .flatMap(([path, file]) => (file === "folder" ? [] : [path.split("/").at(-1) ?? ""]));

const web = image("shop/web", "config of web", "layer of web", "layer of all");
const api = image("shop/api", "config of api", "layer of api", "layer of all");

describe("the blobs of proxies", () => {
  it("are restored in the next run, with their links to repositories", async () => {
    const cache = memoryCache();
    const pulls = { "docker.io": [web], "ghcr.io": [image("team/tool", "layer of tool")] };
    const first = await run(cache, pulls);
    expect(first.restored).toEqual({ outcome: "miss", bytes: 0 });
    const { restored, contents } = await run(cache, pulls);
    expect(contents).toEqual(await afterPulling(pulls));
    const bytes = ["manifest of shop/web", ...web.layers, "manifest of team/tool", "layer of tool"].join(
      "",
    ).length;
    expect(restored).toEqual({ outcome: "hit", bytes });
  });

  it("are restored without tags, which proxies resolve at the upstream", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web] });
    const { folders } = await run(cache, { "docker.io": [] });
    const paths = Object.keys(await textsIn(folders.get("docker.io") ?? ""));
    expect(paths.length).toBeGreaterThan(0);
    expect(paths.filter((path) => path.includes("/tags/"))).toEqual([]);
  });

  it("are not saved again if the cache already has all of them", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web, api] });
    const before = cache.calls.length;
    const { saved, log } = await run(cache, { "docker.io": [web] });
    expect(saved).toEqual([]);
    expect(cache.calls.slice(before).filter((call) => call.startsWith("save"))).toEqual([]);
    expect(log.lines).toContain("Proxy blobs are not saved: the cache already has all of them.");
  });

  it("are saved only if they are new, and existing packs are not changed", async () => {
    const cache = memoryCache();
    const [pack = ""] = (await run(cache, { "docker.io": [web] })).saved.filter((key) => !isIndex(key));
    const untouched = cache.entries.get(pack);
    const { saved } = await run(cache, { "docker.io": [web, api] });
    expect(blobsIn(cache, saved).toSorted()).toEqual(
      blobsOf(api)
        .filter((blob) => blob !== blobOf("layer of all"))
        .toSorted(),
    );
    expect(cache.entries.get(pack)).toBe(untouched);
    const { contents } = await run(cache, { "docker.io": [] });
    expect(contents).toEqual(await afterPulling({ "docker.io": [web, api] }));
  });

  it("are saved once if several upstreams have the same, and restored for each of them", async () => {
    const cache = memoryCache();
    const pulls = { "docker.io": [web], "quay.io": [web, api] };
    const { saved } = await run(cache, pulls);
    expect(blobsIn(cache, saved).toSorted()).toEqual([...new Set(blobsOf(web, api))].toSorted());
    const { contents, restored } = await run(cache, { "docker.io": [], "quay.io": [] });
    expect(contents).toEqual(await afterPulling(pulls));
    expect(restored.bytes).toBe(
      [...new Set([web, api].flatMap((each) => [each.manifest, ...each.layers]))].join("").length,
    );
  });

  it("are linked to another repository as well, once it was requested from there", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web], "quay.io": [] });
    const { saved } = await run(cache, {
      "docker.io": [{ ...web, repository: "shop/copy" }],
      "quay.io": [web],
    });
    expect(blobsIn(cache, saved)).toEqual([]);
    const { contents } = await run(cache, { "docker.io": [], "quay.io": [] });
    expect(contents).toEqual(
      await afterPulling({ "docker.io": [web, { ...web, repository: "shop/copy" }], "quay.io": [web] }),
    );
  });

  it("are not saved if there are none", async () => {
    const cache = memoryCache();
    expect((await run(cache, { "docker.io": [], "ghcr.io": [] })).saved).toEqual([]);
    expect((await run(cache, {})).saved).toEqual([]);
  });

  it("leave only the index in the folder of the store", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web] });
    const { left } = await run(cache, { "docker.io": [web, api] });
    expect(Object.keys(left)).toEqual(["proxies-index/index.json"]);
  });
});

describe("several runs", () => {
  it("that pulled the same images save the same entries, in any order", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web, api], "ghcr.io": [image("tool", "layer of tool")] });
    const first = [...cache.entries.keys()];
    // The other job of the matrix restored before there were entries.
    cache.instead = (call) => (call.startsWith("restore") ? { outcome: "miss" } : undefined);
    await run(cache, { "ghcr.io": [image("tool", "layer of tool")], "docker.io": [api, web] });
    expect([...cache.entries.keys()]).toEqual(first);
  });

  it("restore the newest index", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web] });
    await run(cache, { "docker.io": [api] });
    expect((await run(cache, { "docker.io": [] })).contents).toEqual(
      await afterPulling({ "docker.io": [web, api] }),
    );
  });

  it("do not leave many small packs: blobs that were added one by one are packed again", async () => {
    const cache = memoryCache();
    const store = cache.store();
    const folders = new Map([["docker.io", join(temporaryFolder(), "docker.io")]]);
    const images = Array.from({ length: 20 }, (_, index) => image(`app-${index}`, `layer ${index}`));
    for (const each of images) {
      await storeImage(folders.get("docker.io") ?? "", each);
      await saveProxies(store, folders, new Set(), { keyPrefix, maxBytes: 1e9 }, recordingLog());
    }
    const before = cache.calls.length;
    const { contents } = await run(cache, { "docker.io": [] });
    expect(contents).toEqual(await afterPulling({ "docker.io": images }));
    const restored = cache.calls.slice(before).filter((call) => call.startsWith("restore kind-action-blobs"));
    expect(restored.length).toBeLessThan(5);
  });

  it("of one job share their folders, and do not restore blobs that an earlier cluster pulled", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web, api] });
    const folders = new Map([["docker.io", join(temporaryFolder(), "docker.io")]]);
    await storeImage(folders.get("docker.io") ?? "", web);
    const { restored, contents } = await run(cache, {}, { folders });
    expect(restored).toEqual({
      outcome: "hit",
      bytes: ["manifest of shop/api", "config of api", "layer of api"].join("").length,
    });
    expect(contents).toEqual(await afterPulling({ "docker.io": [web, api] }));
    const before = cache.calls.length;
    await run(cache, {}, { folders });
    expect(cache.calls.slice(before).filter((call) => !call.endsWith(keyPrefix))).toEqual([]);
  });

  it("restore only blobs of their upstreams", async () => {
    const cache = memoryCache();
    const tool = image("tool", "layer of tool");
    await run(cache, { "docker.io": [web], "ghcr.io": [tool] });
    const { restored, contents } = await run(cache, { "ghcr.io": [] });
    expect(contents).toEqual(await afterPulling({ "ghcr.io": [tool] }));
    expect(restored.bytes).toBe("manifest of toollayer of tool".length);
  });
});

describe("blobs that exceed the maximum size", () => {
  const old = image("old", "a layer that is no longer used here");

  it("are left out if this run did not request them", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [old] });
    const requested = blobsOf(web);
    await run(cache, { "docker.io": [web] }, { requested, maxBytes: 80 });
    expect((await run(cache, { "docker.io": [] })).contents).toEqual(
      await afterPulling({ "docker.io": [web] }),
    );
  });

  it("are saved if a requested manifest refers to them, because nodes may already have layers", async () => {
    const cache = memoryCache();
    const layers = ["the config", "the layer"];
    const [config, ...others] = layers.map((content) => ({ digest: `sha256:${blobOf(content)}` }));
    const manifest = JSON.stringify({ config, layers: others });
    const index = JSON.stringify({ manifests: [{ digest: `sha256:${blobOf(manifest)}` }] });
    const image = { "docker.io": [{ repository: "web", manifest, layers: [...layers, index] }] };
    const maxBytes = `${layers.join("")}${manifest}${index}`.length;
    const listed = {
      "docker.io": [...image["docker.io"], { repository: "web", manifest: index, layers: [] }],
    };
    await run(
      cache,
      { "docker.io": [...listed["docker.io"], old] },
      { requested: [blobOf(index)], maxBytes },
    );
    const { contents } = await run(cache, { "docker.io": [] });
    expect([...(contents["docker.io"]?.blobs.keys() ?? [])].toSorted()).toEqual(
      [...layers, manifest, index].map(blobOf).toSorted(),
    );
  });

  it("are left out from the largest one down if all were requested, because each blob costs one request", async () => {
    const cache = memoryCache();
    const large = image("web", "small", "a layer that is larger than all others");
    await run(cache, { "docker.io": [large] }, { requested: blobsOf(large), maxBytes: 30 });
    const { contents } = await run(cache, { "docker.io": [] });
    expect([...(contents["docker.io"]?.blobs.keys() ?? [])].toSorted()).toEqual(
      [blobOf("small"), blobOf("manifest of web")].toSorted(),
    );
  });

  it("never make the saved blobs exceed it", async () => {
    const cache = memoryCache();
    for (const number of [1, 2, 3, 4, 5]) {
      const next = image(`app-${number}`, `layer ${number}`);
      await run(cache, { "docker.io": [next] }, { requested: blobsOf(next), maxBytes: 60 });
      const { restored } = await run(cache, { "docker.io": [] });
      expect(restored.bytes).toBeLessThanOrEqual(60);
      expect(restored.bytes).toBeGreaterThan(0);
    }
  });
});

describe("the blobs of proxies with a cache that does not work", () => {
  it.each([
    ["skipped", { outcome: "skipped", reason: "the job has no cache" }] as const,
    ["failed", { outcome: "failed", reason: "it took longer than 120 s" }] as const,
    ["a miss", { outcome: "miss" }] as const,
  ])("are not restored, and the log says why: %s", async (_, result) => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web] });
    cache.instead = () => result;
    const { restored, contents, log } = await run(cache, { "docker.io": [] });
    expect(restored).toEqual({ outcome: result.outcome, bytes: 0 });
    expect(contents).toEqual({ "docker.io": { repositories: [], blobs: new Map(), children: new Map() } });
    expect(log.lines.join("\n")).toContain("reason" in result ? result.reason : "");
    expect(log.warnings).toEqual([]);
  });

  it("are restored without those of a missing pack, which is saved again", async () => {
    const cache = memoryCache();
    const [pack = ""] = (await run(cache, { "docker.io": [web] })).saved;
    await run(cache, { "docker.io": [api] });
    cache.entries.delete(pack);
    const { contents, restored, saved } = await run(cache, { "docker.io": [web, api] });
    const [repository] = contents["docker.io"]?.repositories ?? [];
    expect(repository).toMatchObject({ name: "shop/api", manifests: [blobOf(api.manifest)] });
    expect(restored.outcome).toBe("hit");
    expect(saved).toContain(pack);
    expect((await run(cache, { "docker.io": [] })).contents).toEqual(
      await afterPulling({ "docker.io": [web, api] }),
    );
  });

  it("are restored up to a failure, and packs that failed are not saved again", async () => {
    const cache = memoryCache();
    const [pack = ""] = (await run(cache, { "docker.io": [web] })).saved;
    await run(cache, { "docker.io": [api] });
    cache.instead = (call) =>
      call === `restore ${pack}` ? { outcome: "failed", reason: "the connection ended" } : undefined;
    const { restored, contents, saved } = await run(cache, { "docker.io": [web] });
    expect(restored).toEqual({
      outcome: "hit",
      bytes: ["manifest of shop/api", "config of api", "layer of api"].join("").length,
    });
    expect(contents["docker.io"]?.repositories.map(({ name }) => name)).toEqual(["shop/api"]);
    expect(saved).toEqual([]);
  });

  it("get no index if a pack cannot be saved", async () => {
    const cache = memoryCache();
    cache.instead = (call) =>
      call.startsWith("save kind-action-blobs") ? { outcome: "failed", reason: "no quota" } : undefined;
    const { saved, left } = await run(cache, { "docker.io": [web] });
    expect(saved).toEqual([]);
    expect(left).toEqual({});
    cache.instead = () => undefined;
    await run(cache, { "docker.io": [web] });
    expect((await run(cache, { "docker.io": [] })).contents).toEqual(
      await afterPulling({ "docker.io": [web] }),
    );
  });

  it("use a pack that another job saved first", async () => {
    const cache = memoryCache();
    cache.instead = (call) =>
      call.startsWith("save kind-action-blobs") ? { outcome: "exists", key: call.slice(5) } : undefined;
    const { saved } = await run(cache, { "docker.io": [web] });
    expect(saved).toEqual([expect.stringMatching(isIndexKey)]);
  });
});

const isIndexKey = new RegExp(`^${keyPrefix}[0-9a-f]{32}$`);

describe("the key prefix of proxies", () => {
  const job = { workflow: "CI", id: "test", architecture: "amd64" };

  it("depends on the workflow, the job and the architecture", () => {
    const others = [
      { ...job, workflow: "Nightly" },
      { ...job, id: "lint" },
      { ...job, architecture: "arm64" },
    ];
    const prefixes = [job, ...others].map(proxyKeyPrefix);
    expect(new Set(prefixes).size).toBe(4);
    expect(prefixes[0]).toMatch(/^kind-action-proxies-v1-amd64-[0-9a-f]{16}-$/);
  });

  it("is the same for all combinations of a matrix", () => {
    expect(proxyKeyPrefix({ ...job })).toBe(proxyKeyPrefix(job));
  });

  it("is the key of the cache entry", () => {
    expect(proxyBlobsEntry.key({ job, folders: new Map() })).toBe(proxyKeyPrefix(job));
  });
});
