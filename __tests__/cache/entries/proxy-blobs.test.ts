import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { restoreProxies, saveProxies } from "../../../src/cache/entries/proxy-blobs.ts";
import { readStorage } from "../../../src/registries/storage.ts";
import { type MemoryCache, memoryCache } from "../../fixtures/memory-cache.ts";
import { recordingLog } from "../../fixtures/recording.ts";
import { blobOf, type StoredImage, storeImage, textsIn } from "../../fixtures/registry-storage.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";

const prefix = "proxies-of-a-job-";

/** An image of a manifest and layers, which are what they are called. */
const image = (repository: string, ...layers: string[]): StoredImage => ({
  repository,
  tag: "v1",
  manifest: `manifest of ${repository}`,
  layers,
});

/** What nodes pull, by the upstream's name. */
type Pulls = Readonly<Record<string, readonly StoredImage[]>>;

/** All of an image's blobs. */
const blobsOf = (...images: readonly StoredImage[]) =>
  images.flatMap(({ manifest, layers }) => [manifest, ...layers]).map(blobOf);

/** What a job's run does with the cache: its proxies get back what they had, nodes pull, and what is new is saved. */
async function run(
  cache: MemoryCache,
  pulls: Pulls,
  on: { used?: readonly string[]; most?: number; folders?: ReadonlyMap<string, string> } = {},
) {
  const store = cache.store();
  const own = temporaryFolder();
  const folders = on.folders ?? new Map(Object.keys(pulls).map((name) => [name, join(own, name)]));
  const log = recordingLog();
  const restored = await restoreProxies(store, folders, prefix, log);
  const back = await contentsOf(folders);
  for (const [name, images] of Object.entries(pulls))
    for (const each of images) await storeImage(folders.get(name) ?? "", each);
  const before = new Set(cache.entries.keys());
  const bound = { prefix, most: on.most ?? 1e9 };
  await saveProxies(store, folders, new Set(on.used), bound, log);
  const saved = [...cache.entries].filter(([key]) => !before.has(key));
  return {
    restored,
    back,
    saved: saved.map(([key]) => key),
    log,
    folders,
    left: await textsIn(store.folder),
  };
}

/** What proxies hold, without tags. */
async function contentsOf(folders: ReadonlyMap<string, string>) {
  const contents: Record<string, Awaited<ReturnType<typeof readStorage>>> = {};
  for (const [name, folder] of folders) contents[name] = await readStorage(folder);
  return contents;
}

/** What proxies hold that have pulled all this themselves. */
async function afterPulling(pulls: Pulls) {
  const own = temporaryFolder();
  const folders = new Map(Object.keys(pulls).map((name) => [name, join(own, name)]));
  for (const [name, images] of Object.entries(pulls))
    for (const each of images) await storeImage(folders.get(name) ?? "", each);
  return contentsOf(folders);
}

const isIndex = (key: string) => key.startsWith(prefix);

/** The blobs in entries of the cache. */
const blobsIn = (cache: MemoryCache, keys: readonly string[]) =>
  keys
    .filter((key) => !isIndex(key))
    .flatMap((key) => [...(cache.entries.get(key)?.files ?? [])])
    .flatMap(([path, kept]) => (kept === "folder" ? [] : [path.split("/").at(-1) ?? ""]));

const web = image("shop/web", "config of web", "layer of web", "layer of all");
const api = image("shop/api", "config of api", "layer of api", "layer of all");

describe("what proxies hold", () => {
  it("comes back in the next run: blobs, and the repositories that find them", async () => {
    const cache = memoryCache();
    const pulls = { "docker.io": [web], "ghcr.io": [image("team/tool", "layer of tool")] };
    const first = await run(cache, pulls);
    expect(first.restored).toEqual({ outcome: "miss", bytes: 0 });
    const { restored, back } = await run(cache, pulls);
    expect(back).toEqual(await afterPulling(pulls));
    const bytes = ["manifest of shop/web", ...web.layers, "manifest of team/tool", "layer of tool"].join(
      "",
    ).length;
    expect(restored).toEqual({ outcome: "hit", bytes });
  });

  it("comes back without tags: what those mean, the upstream is asked each time", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web] });
    const { folders } = await run(cache, { "docker.io": [] });
    const paths = Object.keys(await textsIn(folders.get("docker.io") ?? ""));
    expect(paths.length).toBeGreaterThan(0);
    expect(paths.filter((path) => path.includes("/tags/"))).toEqual([]);
  });

  it("is not saved again where nothing was pulled that the cache has not", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web, api] });
    const before = cache.calls.length;
    const { saved, log } = await run(cache, { "docker.io": [web] });
    expect(saved).toEqual([]);
    expect(cache.calls.slice(before).filter((call) => call.startsWith("save"))).toEqual([]);
    expect(log.lines).toContain("Nothing was pulled that is not in the cache already.");
  });

  it("is saved in so far as it is new: what is there already stays where it is", async () => {
    const cache = memoryCache();
    const [part = ""] = (await run(cache, { "docker.io": [web] })).saved.filter((key) => !isIndex(key));
    const untouched = cache.entries.get(part);
    const { saved } = await run(cache, { "docker.io": [web, api] });
    expect(blobsIn(cache, saved).toSorted()).toEqual(
      blobsOf(api)
        .filter((blob) => blob !== blobOf("layer of all"))
        .toSorted(),
    );
    expect(cache.entries.get(part)).toBe(untouched);
    const { back } = await run(cache, { "docker.io": [] });
    expect(back).toEqual(await afterPulling({ "docker.io": [web, api] }));
  });

  it("is saved once, whichever upstreams have the same: each gets it back", async () => {
    const cache = memoryCache();
    const pulls = { "docker.io": [web], "quay.io": [web, api] };
    const { saved } = await run(cache, pulls);
    expect(blobsIn(cache, saved).toSorted()).toEqual([...new Set(blobsOf(web, api))].toSorted());
    const { back, restored } = await run(cache, { "docker.io": [], "quay.io": [] });
    expect(back).toEqual(await afterPulling(pulls));
    expect(restored.bytes).toBe(
      [...new Set([web, api].flatMap((of) => [of.manifest, ...of.layers]))].join("").length,
    );
  });

  it("is found by another repository as well, once that was asked for the same", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web], "quay.io": [] });
    const { saved } = await run(cache, {
      "docker.io": [{ ...web, repository: "shop/copy" }],
      "quay.io": [web],
    });
    expect(blobsIn(cache, saved)).toEqual([]);
    const { back } = await run(cache, { "docker.io": [], "quay.io": [] });
    expect(back).toEqual(
      await afterPulling({ "docker.io": [web, { ...web, repository: "shop/copy" }], "quay.io": [web] }),
    );
  });

  it("is nothing where nothing was pulled, and then nothing is saved", async () => {
    const cache = memoryCache();
    expect((await run(cache, { "docker.io": [], "ghcr.io": [] })).saved).toEqual([]);
    expect((await run(cache, {})).saved).toEqual([]);
  });

  it("leaves nothing behind in the run's folder but the index", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web] });
    const { left } = await run(cache, { "docker.io": [web, api] });
    expect(Object.keys(left)).toEqual(["proxies-index/index.json"]);
  });
});

describe("several runs", () => {
  it("that have pulled the same save the same, which is there once, in whatever order they did", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web, api], "ghcr.io": [image("tool", "layer of tool")] });
    const first = [...cache.entries.keys()];
    // The other job of the matrix has looked before there was anything.
    cache.instead = (call) => (call.startsWith("restore") ? { outcome: "miss" } : undefined);
    await run(cache, { "ghcr.io": [image("tool", "layer of tool")], "docker.io": [api, web] });
    expect([...cache.entries.keys()]).toEqual(first);
  });

  it("find what the newest of them has saved", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web] });
    await run(cache, { "docker.io": [api] });
    expect((await run(cache, { "docker.io": [] })).back).toEqual(
      await afterPulling({ "docker.io": [web, api] }),
    );
  });

  it("do not leave many small entries behind: what was added bit by bit is packed together again", async () => {
    const cache = memoryCache();
    const store = cache.store();
    const folders = new Map([["docker.io", join(temporaryFolder(), "docker.io")]]);
    const images = Array.from({ length: 20 }, (_, index) => image(`app-${index}`, `layer ${index}`));
    for (const each of images) {
      await storeImage(folders.get("docker.io") ?? "", each);
      await saveProxies(store, folders, new Set(), { prefix, most: 1e9 }, recordingLog());
    }
    const before = cache.calls.length;
    const { back } = await run(cache, { "docker.io": [] });
    expect(back).toEqual(await afterPulling({ "docker.io": images }));
    const restored = cache.calls.slice(before).filter((call) => call.startsWith("restore kind-action-blobs"));
    expect(restored.length).toBeLessThan(5);
  });

  it("of one job share their folders: what an earlier cluster has pulled is not brought again", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web, api] });
    const folders = new Map([["docker.io", join(temporaryFolder(), "docker.io")]]);
    await storeImage(folders.get("docker.io") ?? "", web);
    const { restored, back } = await run(cache, {}, { folders });
    expect(restored).toEqual({
      outcome: "hit",
      bytes: ["manifest of shop/api", "config of api", "layer of api"].join("").length,
    });
    expect(back).toEqual(await afterPulling({ "docker.io": [web, api] }));
    const before = cache.calls.length;
    await run(cache, {}, { folders });
    expect(cache.calls.slice(before).filter((call) => !call.endsWith(prefix))).toEqual([]);
  });

  it("get back what belongs to their upstreams alone", async () => {
    const cache = memoryCache();
    const tool = image("tool", "layer of tool");
    await run(cache, { "docker.io": [web], "ghcr.io": [tool] });
    const { restored, back } = await run(cache, { "ghcr.io": [] });
    expect(back).toEqual(await afterPulling({ "ghcr.io": [tool] }));
    expect(restored.bytes).toBe("manifest of toollayer of tool".length);
  });
});

describe("more than is to be kept", () => {
  const old = image("old", "a layer that nobody wants any more");

  it("goes where this run did not ask for it", async () => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [old] });
    const used = blobsOf(web);
    await run(cache, { "docker.io": [web] }, { used, most: 80 });
    expect((await run(cache, { "docker.io": [] })).back).toEqual(await afterPulling({ "docker.io": [web] }));
  });

  it("stays where what this run asked for names it: nodes have layers without asking for them", async () => {
    const cache = memoryCache();
    const layers = ["the config", "the layer"];
    const [config, ...others] = layers.map((of) => ({ digest: `sha256:${blobOf(of)}` }));
    const manifest = JSON.stringify({ config, layers: others });
    const index = JSON.stringify({ manifests: [{ digest: `sha256:${blobOf(manifest)}` }] });
    const wanted = { "docker.io": [{ repository: "web", manifest, layers: [...layers, index] }] };
    const most = `${layers.join("")}${manifest}${index}`.length;
    const listed = {
      "docker.io": [...wanted["docker.io"], { repository: "web", manifest: index, layers: [] }],
    };
    await run(cache, { "docker.io": [...listed["docker.io"], old] }, { used: [blobOf(index)], most });
    const { back } = await run(cache, { "docker.io": [] });
    expect([...(back["docker.io"]?.blobs.keys() ?? [])].toSorted()).toEqual(
      [...layers, manifest, index].map(blobOf).toSorted(),
    );
  });

  it("goes from the largest on where all of it was asked for: small ones are many, and each costs a request", async () => {
    const cache = memoryCache();
    const large = image("web", "small", "a layer that is larger than all others");
    await run(cache, { "docker.io": [large] }, { used: blobsOf(large), most: 30 });
    const { back } = await run(cache, { "docker.io": [] });
    expect([...(back["docker.io"]?.blobs.keys() ?? [])].toSorted()).toEqual(
      [blobOf("small"), blobOf("manifest of web")].toSorted(),
    );
  });

  it("is kept within the bound, whatever comes", async () => {
    const cache = memoryCache();
    for (const number of [1, 2, 3, 4, 5]) {
      const next = image(`app-${number}`, `layer ${number}`);
      await run(cache, { "docker.io": [next] }, { used: blobsOf(next), most: 60 });
      const { restored } = await run(cache, { "docker.io": [] });
      expect(restored.bytes).toBeLessThanOrEqual(60);
      expect(restored.bytes).toBeGreaterThan(0);
    }
  });
});

describe("a cache that does not do its part", () => {
  it.each([
    ["skipped", { outcome: "skipped", reason: "the job has no cache" }] as const,
    ["failed", { outcome: "failed", reason: "it took longer than 120 s" }] as const,
    ["a miss", { outcome: "miss" }] as const,
  ])("is no cause for anything else: %s", async (_, result) => {
    const cache = memoryCache();
    await run(cache, { "docker.io": [web] });
    cache.instead = () => result;
    const { restored, back, log } = await run(cache, { "docker.io": [] });
    expect(restored).toEqual({ outcome: result.outcome, bytes: 0 });
    expect(back).toEqual({ "docker.io": { repositories: [], blobs: new Map(), named: new Map() } });
    expect(log.lines.join("\n")).toContain("reason" in result ? result.reason : "");
    expect(log.warnings).toEqual([]);
  });

  it("has lost a part: the rest is used, and the part is saved again when it was pulled", async () => {
    const cache = memoryCache();
    const [part = ""] = (await run(cache, { "docker.io": [web] })).saved;
    await run(cache, { "docker.io": [api] });
    cache.entries.delete(part);
    const { back, restored, saved } = await run(cache, { "docker.io": [web, api] });
    const [repository] = back["docker.io"]?.repositories ?? [];
    expect(repository).toMatchObject({ name: "shop/api", manifests: [blobOf(api.manifest)] });
    expect(restored.outcome).toBe("hit");
    expect(saved).toContain(part);
    expect((await run(cache, { "docker.io": [] })).back).toEqual(
      await afterPulling({ "docker.io": [web, api] }),
    );
  });

  it("fails in the middle: what has come is used, and nothing is taken for lost", async () => {
    const cache = memoryCache();
    const [part = ""] = (await run(cache, { "docker.io": [web] })).saved;
    await run(cache, { "docker.io": [api] });
    cache.instead = (call) =>
      call === `restore ${part}` ? { outcome: "failed", reason: "the connection ended" } : undefined;
    const { restored, back, saved } = await run(cache, { "docker.io": [web] });
    expect(restored).toEqual({
      outcome: "hit",
      bytes: ["manifest of shop/api", "config of api", "layer of api"].join("").length,
    });
    expect(back["docker.io"]?.repositories.map(({ name }) => name)).toEqual(["shop/api"]);
    expect(saved).toEqual([]);
  });

  it("takes not all that is to be saved: then no index names it", async () => {
    const cache = memoryCache();
    cache.instead = (call) =>
      call.startsWith("save kind-action-blobs") ? { outcome: "failed", reason: "no quota" } : undefined;
    const { saved, left } = await run(cache, { "docker.io": [web] });
    expect(saved).toEqual([]);
    expect(left).toEqual({});
    cache.instead = () => undefined;
    await run(cache, { "docker.io": [web] });
    expect((await run(cache, { "docker.io": [] })).back).toEqual(await afterPulling({ "docker.io": [web] }));
  });

  it("has an entry that another job was faster to save: that one counts", async () => {
    const cache = memoryCache();
    cache.instead = (call) =>
      call.startsWith("save kind-action-blobs") ? { outcome: "exists", key: call.slice(5) } : undefined;
    const { saved } = await run(cache, { "docker.io": [web] });
    expect(saved).toEqual([expect.stringMatching(isIndexKey)]);
  });
});

const isIndexKey = new RegExp(`^${prefix}[0-9a-f]{32}$`);
