import { readdirSync } from "node:fs";
import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import {
  type PinnedImage,
  restoredTag,
  restoreImage,
  saveImage,
  saveRestoreTime,
} from "../../../src/cache/entries/node-image.ts";
import type { CacheStore } from "../../../src/cache/transport/store.ts";
import {
  digestOf,
  dockerSaveNew,
  goContainerRegistry,
  imageOf,
  type Sample,
  sample,
} from "../../archive/archives.ts";
import { noise, tar } from "../../archive/tar-files.ts";
import { type DockerDaemon, dockerDaemon } from "../../fixtures/docker-daemon.ts";
import { type MemoryCache, memoryCache } from "../../fixtures/memory-cache.ts";
import { recordingLog } from "../../fixtures/recording.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import {
  changeIndex,
  give,
  labels,
  type PublishedImage,
  pinned,
  publish,
} from "../../oci/published-images.ts";

const hex = (digest: string) => digest.replace("sha256:", "");
const bytesOf = ({ layers }: Sample) => layers.reduce((sum, layer) => sum + layer.length, 0);
const indexKey = ({ digest }: PinnedImage, kind = "image") =>
  `kind-action-image-v1-amd64-${hex(digest)}-${kind}`;
const layerKeys = ({ layers }: Sample) =>
  layers.map((layer) => `kind-action-layer-v1-${hex(digestOf(layer))}`);

/** Saves an image as a run does that has pulled it. */
async function save(
  cache: MemoryCache,
  published: PublishedImage,
  on: { daemon?: DockerDaemon; tag?: string } = {},
) {
  const daemon = on.daemon ?? (await dockerDaemon());
  if (on.daemon === undefined) give(daemon, published);
  const before = [...daemon.images];
  const log = recordingLog();
  const [folder, store] = [temporaryFolder(), cache.store()];
  const saved = saveImage(store, daemon.engine, pinned(published, on.tag), { seconds: 12.5, folder }, log);
  const outcome = await saved.then(
    () => "done",
    (error: unknown) => (error instanceof Error ? error.message : error),
  );
  // However it went, the daemon has what it had, and nothing lies about.
  expect([...daemon.images]).toEqual(before);
  expect(readdirSync(folder)).toEqual([]);
  expect(readdirSync(store.folder).filter((name) => name.startsWith("layer-"))).toEqual([]);
  return { outcome, lines: log.lines, daemon };
}

/** Restores an image in a run whose daemon has nothing, unless it is given one. */
async function restore(
  cache: MemoryCache | CacheStore,
  image: PinnedImage,
  { onlyIfFaster = true, daemon: given }: { onlyIfFaster?: boolean; daemon?: DockerDaemon } = {},
) {
  const daemon = given ?? (await dockerDaemon());
  const log = recordingLog();
  const store = "store" in cache ? cache.store() : cache;
  const restored = await restoreImage(store, daemon.engine, image, { onlyIfFaster, labels }, log);
  expect(readdirSync(store.folder).filter((name) => name.startsWith("layer-"))).toEqual([]);
  return { restored, daemon, lines: log.lines, store };
}

describe("an image that one run has pulled", () => {
  it("is the next one's without a pull, under a name of its own", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node", { layers: 3 }));
    expect(await save(cache, published)).toMatchObject({ outcome: "done" });
    const image = pinned(published);
    const { restored, daemon } = await restore(cache, image);
    expect(restored).toEqual({ outcome: "hit", bytes: bytesOf(published.image), pulled: 12.5 });
    expect([...daemon.images]).toEqual([[restoredTag(image.digest), published.image.id]]);
    expect(daemon.contents.get(published.image.id)).toEqual(published.image);
  });

  it("has the name that others use for it, where there is one", async () => {
    const cache = memoryCache();
    const published = await publish(sample("envoy"));
    const daemon = await dockerDaemon();
    give(daemon, published);
    const tag = published.reference.replace(/@.*/, "");
    daemon.images.set(tag, published.image.id);
    await save(cache, published, { daemon, tag });
    const next = await restore(cache, pinned(published, tag));
    expect(next.restored.outcome).toBe("hit");
    expect([...next.daemon.images]).toEqual([[tag, published.image.id]]);
  });

  it("may have the same layer twice", async () => {
    const cache = memoryCache();
    const [one, other] = [tar([{ name: "one" }]), tar([{ name: "other" }])];
    const published = await publish(imageOf([one, other, one]));
    await save(cache, published);
    const { restored, daemon } = await restore(cache, pinned(published));
    expect(restored.outcome).toBe("hit");
    expect(daemon.contents.get(published.image.id)).toEqual(published.image);
  });

  it("costs nothing where the daemon has it by another name: no layer is asked for", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    await save(cache, published);
    cache.calls.length = 0;
    const daemon = await dockerDaemon();
    daemon.images.set("kindest/node:mine", published.image.id);
    const image = pinned(published);
    const { restored } = await restore(cache, image, { daemon });
    expect(restored).toEqual({ outcome: "hit", bytes: 0, pulled: 12.5 });
    expect(daemon.images.get(image.tag)).toBe(published.image.id);
    expect(cache.calls).toHaveLength(1);
  });

  it("comes with its lowest layer first: the others are unpacked on it", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node", { layers: 3 }));
    await save(cache, published);
    await restore(cache, pinned(published));
    expect(cache.background).toEqual(layerKeys(published.image).slice(1));
  });

  it("is not there for another architecture, or by another digest", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    await save(cache, published);
    const image = pinned(published);
    const arm = { ...image, platform: { os: "linux", architecture: "arm64" } };
    const other = { ...image, digest: `sha256:${"0".repeat(64)}` };
    for (const wanted of [arm, other])
      expect((await restore(cache, wanted)).restored).toEqual({ outcome: "miss", bytes: 0 });
  });
});

describe("what the cache has of images", () => {
  it("is an entry for each layer, and an index with the texts that lead to them", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node", { layers: 2 }));
    const { lines } = await save(cache, published);
    expect([...cache.entries.keys()]).toEqual([...layerKeys(published.image), indexKey(pinned(published))]);
    const [index] = [...(cache.entries.get(indexKey(pinned(published)))?.files.values() ?? [])].filter(
      Buffer.isBuffer,
    );
    expect(JSON.parse(String(index))).toEqual({
      version: 1,
      documents: published.documents,
      layers: published.image.layers.map((layer) => layer.length),
      pulled: 12.5,
    });
    expect(lines).toEqual([
      ...published.image.layers.map(
        (layer) => `layer ${hex(digestOf(layer)).slice(0, 12)}: saved, ${layer.length} bytes`,
      ),
      `${indexKey(pinned(published))}: saved`,
    ]);
  });

  it("is not brought there again: the daemon exports nothing for that", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    const { daemon } = await save(cache, published);
    const { length } = daemon.changes;
    expect(await save(cache, published, { daemon })).toMatchObject({
      outcome: "done",
      lines: [`${published.reference} is in the cache already, or cannot be saved.`],
    });
    expect(daemon.changes).toHaveLength(length);
  });

  it("is shared by images that share layers", async () => {
    const cache = memoryCache();
    const base = tar([{ name: "base", content: noise("base", 900) }]);
    const images = ["one", "other"].map((own) =>
      imageOf([base, tar([{ name: own, content: noise(own, 900) }])]),
    );
    const published = await Promise.all(images.map((image) => publish(image)));
    for (const each of published) await save(cache, each);
    expect([...cache.entries.keys()].filter((key) => key.startsWith("kind-action-layer-"))).toEqual([
      ...new Set(images.flatMap(layerKeys)),
    ]);
    expect([...cache.entries.keys()]).toHaveLength(3 + 2);
  });

  it("is as good where an earlier job was ended before its index", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    await save(cache, published);
    cache.entries.delete(indexKey(pinned(published)));
    const { lines } = await save(cache, published);
    expect(lines[0]).toMatch(/^layer [0-9a-f]{12}: exists, /);
    expect((await restore(cache, pinned(published))).restored.outcome).toBe("hit");
  });

  it("is of the daemon's image, whichever way it exports that", async () => {
    const published = await publish(sample("node"));
    const daemon = await dockerDaemon();
    give(daemon, published);
    daemon.exported = ({ names }) =>
      Readable.from([tar(dockerSaveNew([{ image: published.image, tags: names }]))]);
    const cache = memoryCache();
    await save(cache, published, { daemon });
    expect((await restore(cache, pinned(published))).restored.outcome).toBe("hit");
  });
});

describe("images that are restored at once", () => {
  it("take a layer that they share out of the cache once, and none takes it from another", async () => {
    const cache = memoryCache();
    const base = tar([{ name: "base", content: noise("base", 900) }]);
    const images = ["one", "other"].map((own) =>
      imageOf([base, tar([{ name: own, content: noise(own, 900) }])]),
    );
    const [first, second] = await Promise.all(images.map((image) => publish(image)));
    if (first === undefined || second === undefined) throw new Error("there are two");
    for (const each of [first, second]) await save(cache, each);
    cache.calls.length = 0;
    // The second one's own layer comes when the first image is done.
    const gate = Promise.withResolvers<void>();
    const store = cache.store();
    const [, own = ""] = layerKeys(second.image);
    const slow: CacheStore = {
      ...store,
      restore: async (entry) => {
        if (entry.key === own) await gate.promise;
        return await store.restore(entry);
      },
    };
    const daemon = await dockerDaemon();
    const log = recordingLog();
    const late = restoreImage(slow, daemon.engine, pinned(second), { onlyIfFaster: true, labels }, log);
    const early = restoreImage(slow, daemon.engine, pinned(first), { onlyIfFaster: true, labels }, log);
    expect((await early).outcome).toBe("hit");
    gate.resolve();
    expect((await late).outcome).toBe("hit");
    const [shared = ""] = layerKeys(first.image);
    expect(cache.calls.filter((call) => call === `restore ${shared}`)).toHaveLength(1);
    expect(readdirSync(store.folder).filter((name) => name.startsWith("layer-"))).toEqual([]);
    // Nothing is thought to be there that is gone.
    expect((await restore(slow, pinned(first))).restored.outcome).toBe("hit");
  });
});

describe("an image that cannot be kept", () => {
  it("is one whose registry does not tell what it is made of: nothing is saved, and why is told", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    const elsewhere = { ...published, reference: published.reference.replace("shop/node", "shop/private") };
    const { outcome } = await save(cache, elsewhere);
    expect(outcome).toMatch(/^The documents of .*shop\/private.* cannot be had: .*status 404/);
    expect(cache.entries.size).toBe(0);
  });

  it("is one that the daemon has by its manifest, as with the containerd image store", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    const daemon = await dockerDaemon();
    daemon.images.set(published.reference, published.reference.split("@")[1] ?? "");
    expect(await save(cache, published, { daemon })).toMatchObject({
      outcome: "done",
      lines: [
        `${published.reference} is not cached: this Docker daemon does not keep images by their configs.`,
      ],
    });
    expect(cache.entries.size).toBe(0);
    expect(daemon.changes).toEqual([]);
  });

  it("is one whose layers the daemon has packed", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    const daemon = await dockerDaemon();
    give(daemon, published);
    daemon.exported = ({ names }) =>
      Readable.from([tar(goContainerRegistry([{ image: published.image, tags: names }]))]);
    expect(await save(cache, published, { daemon })).toMatchObject({
      outcome: "done",
      lines: [`${published.reference} is not cached: this Docker daemon keeps its layers packed.`],
    });
    expect(cache.entries.size).toBe(0);
  });

  it("is one that the daemon stops to export", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    const daemon = await dockerDaemon();
    give(daemon, published);
    daemon.exported = () =>
      Readable.from(
        (async function* () {
          yield Buffer.alloc(512, "half of it");
          throw new Error("no space left on device");
        })(),
      );
    const { outcome } = await save(cache, published, { daemon });
    expect(outcome).toMatch(/^The Docker daemon does not export kind-action\/restored:[0-9a-f]{16}: /);
    expect(cache.entries.size).toBe(0);
  });

  it.each(["failed", "skipped"] as const)(
    "has no index where a layer of it is not saved: %s",
    async (outcome) => {
      const cache = memoryCache();
      const published = await publish(sample("node", { layers: 3 }));
      const [first = "", second = ""] = layerKeys(published.image);
      cache.instead = (call) =>
        call === `save ${second}` ? { outcome, reason: "there was no time left" } : undefined;
      const { lines } = await save(cache, published);
      expect([...cache.entries.keys()]).toEqual([first]);
      expect(lines.at(-1)).toMatch(new RegExp(`^layer [0-9a-f]{12}: ${outcome}, there was no time left, `));
      expect((await restore(cache, pinned(published))).restored).toEqual({ outcome: "miss", bytes: 0 });
    },
  );
});

describe("an image that took longer to restore than to pull", () => {
  /** Saved by one run, and restored by the next in so many seconds. */
  async function restoredIn(seconds: number) {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    await save(cache, published);
    const image = pinned(published);
    const { store } = await restore(cache, image);
    const log = recordingLog();
    await saveRestoreTime(store, image, seconds, log);
    cache.calls.length = 0;
    return { cache, image, published, lines: log.lines };
  }

  it("is left to be pulled from then on, and it is said why", async () => {
    const { cache, image, lines } = await restoredIn(20.5);
    expect(lines).toEqual([`${indexKey(image, "slow")}: saved`]);
    const { restored, daemon, lines: said } = await restore(cache, image);
    expect(restored).toEqual({ outcome: "skipped", bytes: 0 });
    expect(said).toEqual(["Not from the cache: restoring took 20.5 s, pulling 12.5 s."]);
    expect(cache.calls).toHaveLength(1);
    expect([...daemon.images]).toEqual([]);
  });

  it("is restored all the same where the user has named what is to be cached", async () => {
    const { cache, image, published } = await restoredIn(20.5);
    const { restored, daemon } = await restore(cache, image, { onlyIfFaster: false });
    expect(restored).toEqual({ outcome: "hit", bytes: bytesOf(published.image), pulled: 12.5 });
    expect(daemon.images.get(image.tag)).toBe(published.image.id);
  });

  it("is no other: one that was faster is asked for again", async () => {
    for (const seconds of [0.1, 12.5]) {
      const { cache, image, lines } = await restoredIn(seconds);
      expect(lines).toEqual([]);
      expect((await restore(cache, image)).restored.outcome).toBe("hit");
    }
  });

  it("costs nothing where the daemon has it", async () => {
    const { cache, image, published } = await restoredIn(20.5);
    const daemon = await dockerDaemon();
    daemon.images.set("kindest/node:mine", published.image.id);
    expect((await restore(cache, image, { daemon })).restored.outcome).toBe("hit");
  });
});

describe("a cache that is not used", () => {
  it.each(["skipped", "failed"] as const)("says why: %s", async (outcome) => {
    const cache = memoryCache();
    cache.instead = () => ({ outcome, reason: "the job has no cache" });
    const { restored, lines } = await restore(cache, pinned(await publish(sample("node"))));
    expect(restored).toEqual({ outcome, bytes: 0 });
    expect(lines).toEqual(["Not from the cache: the job has no cache"]);
  });

  it("is one that has nothing, of which there is nothing to say", async () => {
    const { lines } = await restore(memoryCache(), pinned(await publish(sample("node"))));
    expect(lines).toEqual([]);
  });

  it("is one that would fill the disk", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    await save(cache, published);
    const image = pinned(published);
    changeIndex(cache, indexKey(image), (index) => ({ ...index, layers: [4e15] }));
    cache.calls.length = 0;
    const { restored, lines } = await restore(cache, image);
    expect(restored).toEqual({ outcome: "skipped", bytes: 0 });
    expect(lines).toEqual([
      expect.stringMatching(
        /^Not from the cache: the disk has \d+ bytes free, and it takes 12000000000000000\.$/,
      ),
    ]);
    expect(cache.calls).toHaveLength(1);
  });
});
