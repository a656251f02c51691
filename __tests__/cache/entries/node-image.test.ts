import { readdirSync } from "node:fs";
import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { restoreImage, saveImage, saveRestoreTime } from "../../../src/cache/entries/node-image.ts";
import type { CacheStore } from "../../../src/cache/transport/store.ts";
import { type PinnedImage, restoredTag } from "../../../src/images/pinned-image.ts";
import { formatBytes } from "../../../src/lib/units.ts";
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
  `kind-action-image-v2-amd64-${hex(digest)}-${kind}`;
const layerKeys = ({ layers }: Sample) =>
  layers.map((layer) => `kind-action-layer-v1-${hex(digestOf(layer))}`);

/** Saves an image that a run has pulled. */
async function save(
  cache: MemoryCache,
  published: PublishedImage,
  { daemon: given, tag }: { daemon?: DockerDaemon; tag?: string } = {},
) {
  const daemon = given ?? (await dockerDaemon());
  if (given === undefined) give(daemon, published);
  const before = [...daemon.images];
  const log = recordingLog();
  const [folder, store] = [temporaryFolder(), cache.store()];
  const saved = saveImage(store, daemon.engine, pinned(published, tag), { seconds: 12.5, folder }, log);
  const outcome = await saved.then(
    () => "done",
    (error: unknown) => (error instanceof Error ? error.message : error),
  );
  // In any case, the images of the daemon are unchanged, and no temporary files are left.
  expect([...daemon.images]).toEqual(before);
  expect(readdirSync(folder)).toEqual([]);
  expect(readdirSync(store.folder).filter((name) => name.startsWith("layer-"))).toEqual([]);
  return { outcome, lines: log.lines, daemon };
}

/** Restores an image, by default into an empty daemon. */
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

describe("restoreImage", () => {
  it("restores an image that an earlier run pulled, under a name of its digest", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node", { layers: 3 }));
    expect(await save(cache, published)).toMatchObject({ outcome: "done" });
    const image = pinned(published);
    const { restored, daemon } = await restore(cache, image);
    expect(restored).toEqual({ outcome: "hit", bytes: bytesOf(published.image), downloadSeconds: 12.5 });
    expect([...daemon.images]).toEqual([[restoredTag(image.digest), published.image.id]]);
    expect(daemon.contents.get(published.image.id)).toEqual(published.image);
  });

  it("tags the image with the name that other programs use, if there is one", async () => {
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

  it("restores an image that contains a layer twice", async () => {
    const cache = memoryCache();
    const [one, other] = [tar([{ name: "one" }]), tar([{ name: "other" }])];
    const published = await publish(imageOf([one, other, one]));
    await save(cache, published);
    const { restored, daemon } = await restore(cache, pinned(published));
    expect(restored.outcome).toBe("hit");
    expect(daemon.contents.get(published.image.id)).toEqual(published.image);
  });

  it("only tags an image that the daemon has under another name, and restores no layer", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    await save(cache, published);
    cache.calls.length = 0;
    const daemon = await dockerDaemon();
    daemon.images.set("kindest/node:mine", published.image.id);
    const image = pinned(published);
    const { restored } = await restore(cache, image, { daemon });
    expect(restored).toEqual({ outcome: "hit", bytes: 0, downloadSeconds: 12.5 });
    expect(daemon.images.get(image.tag)).toBe(published.image.id);
    expect(cache.calls).toHaveLength(1);
  });

  it("restores the lowest layer with priority, because the others are unpacked on top of it", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node", { layers: 3 }));
    await save(cache, published);
    await restore(cache, pinned(published));
    expect(cache.background).toEqual(layerKeys(published.image).slice(1));
  });

  it("misses an image of another architecture or with another digest", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    await save(cache, published);
    const image = pinned(published);
    const arm = { ...image, platform: { os: "linux", architecture: "arm64" } };
    const other = { ...image, digest: `sha256:${"0".repeat(64)}` };
    for (const missing of [arm, other])
      expect((await restore(cache, missing)).restored).toEqual({ outcome: "miss", bytes: 0 });
  });
});

describe("saveImage", () => {
  it("saves a cache entry for each layer, and an index with the manifest chain", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node", { layers: 2 }));
    const { lines } = await save(cache, published);
    expect([...cache.entries.keys()]).toEqual([...layerKeys(published.image), indexKey(pinned(published))]);
    const [index] = [...(cache.entries.get(indexKey(pinned(published)))?.files.values() ?? [])].filter(
      Buffer.isBuffer,
    );
    expect(JSON.parse(String(index))).toEqual({
      version: 1,
      chain: published.documents,
      layers: published.image.layers.map((layer) => layer.length),
      pullSeconds: 12.5,
    });
    expect(lines).toEqual([
      ...published.image.layers.map(
        (layer) => `Layer ${hex(digestOf(layer)).slice(0, 12)}: saved, ${formatBytes(layer.length)}`,
      ),
      `${indexKey(pinned(published))}: saved`,
    ]);
  });

  it("exports nothing from the daemon if the cache already has the image", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    const { daemon } = await save(cache, published);
    const { length } = daemon.changes;
    expect(await save(cache, published, { daemon })).toMatchObject({
      outcome: "done",
      lines: [`${published.reference} is not saved: the cache already has it, or cannot be written.`],
    });
    expect(daemon.changes).toHaveLength(length);
  });

  it("saves a layer that several images share once", async () => {
    const cache = memoryCache();
    const base = tar([{ name: "base", content: noise("base", 900) }]);
    const images = ["one", "other"].map((name) =>
      imageOf([base, tar([{ name, content: noise(name, 900) }])]),
    );
    const published = await Promise.all(images.map((image) => publish(image)));
    for (const each of published) await save(cache, each);
    expect([...cache.entries.keys()].filter((key) => key.startsWith("kind-action-layer-"))).toEqual([
      ...new Set(images.flatMap(layerKeys)),
    ]);
    expect([...cache.entries.keys()]).toHaveLength(3 + 2);
  });

  it("completes the entries of a job that ended before it saved the index", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    await save(cache, published);
    cache.entries.delete(indexKey(pinned(published)));
    const { lines } = await save(cache, published);
    expect(lines[0]).toMatch(/^Layer [0-9a-f]{12}: exists, /);
    expect((await restore(cache, pinned(published))).restored.outcome).toBe("hit");
  });

  it("accepts the OCI layout that newer daemons export", async () => {
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

describe("restoreImage for several images at the same time", () => {
  it("restores a shared layer once, and keeps it until the last image has used it", async () => {
    const cache = memoryCache();
    const base = tar([{ name: "base", content: noise("base", 900) }]);
    const images = ["one", "other"].map((name) =>
      imageOf([base, tar([{ name, content: noise(name, 900) }])]),
    );
    const [first, second] = await Promise.all(images.map((image) => publish(image)));
    if (first === undefined || second === undefined) throw new Error("there are two");
    for (const each of [first, second]) await save(cache, each);
    cache.calls.length = 0;
    // The second image's unique layer is restored when the first image is done.
    const gate = Promise.withResolvers<void>();
    const store = cache.store();
    const [, unique = ""] = layerKeys(second.image);
    const slow: CacheStore = {
      ...store,
      restore: async (entry) => {
        if (entry.key === unique) await gate.promise;
        return await store.restore(entry);
      },
    };
    const daemon = await dockerDaemon();
    const log = recordingLog();
    const secondReport = restoreImage(
      slow,
      daemon.engine,
      pinned(second),
      { onlyIfFaster: true, labels },
      log,
    );
    const firstReport = restoreImage(slow, daemon.engine, pinned(first), { onlyIfFaster: true, labels }, log);
    expect((await firstReport).outcome).toBe("hit");
    gate.resolve();
    expect((await secondReport).outcome).toBe("hit");
    const [shared = ""] = layerKeys(first.image);
    expect(cache.calls.filter((call) => call === `restore ${shared}`)).toHaveLength(1);
    expect(readdirSync(store.folder).filter((name) => name.startsWith("layer-"))).toEqual([]);
    // The removed layer is restored again.
    expect((await restore(slow, pinned(first))).restored.outcome).toBe("hit");
  });
});

describe("saveImage for an image that cannot be saved", () => {
  it("saves nothing and rejects if the registry does not return the manifests", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    const elsewhere = { ...published, reference: published.reference.replace("shop/node", "shop/private") };
    const { outcome } = await save(cache, elsewhere);
    expect(outcome).toMatch(/^Could not fetch the manifests of .*shop\/private.*: .*status 404/);
    expect(cache.entries.size).toBe(0);
  });

  it("saves nothing if the daemon identifies images by their manifests, as the containerd image store does", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    const daemon = await dockerDaemon();
    daemon.images.set(published.reference, published.reference.split("@")[1] ?? "");
    expect(await save(cache, published, { daemon })).toMatchObject({
      outcome: "done",
      lines: [
        `${published.reference} is not saved: this Docker daemon does not identify images by the digest of their config.`,
      ],
    });
    expect(cache.entries.size).toBe(0);
    expect(daemon.changes).toEqual([]);
  });

  it("saves nothing if the daemon exports compressed layers", async () => {
    const cache = memoryCache();
    const published = await publish(sample("node"));
    const daemon = await dockerDaemon();
    give(daemon, published);
    daemon.exported = ({ names }) =>
      Readable.from([tar(goContainerRegistry([{ image: published.image, tags: names }]))]);
    expect(await save(cache, published, { daemon })).toMatchObject({
      outcome: "done",
      lines: [`${published.reference} is not saved: this Docker daemon exports its layers compressed.`],
    });
    expect(cache.entries.size).toBe(0);
  });

  it("saves nothing and rejects if the export is cut off", async () => {
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
    expect(outcome).toMatch(/^Could not export kind-action\/restored:[0-9a-f]{16} from the Docker daemon: /);
    expect(cache.entries.size).toBe(0);
  });

  it.each(["failed", "skipped"] as const)(
    "saves no index if a layer cannot be saved: %s",
    async (outcome) => {
      const cache = memoryCache();
      const published = await publish(sample("node", { layers: 3 }));
      const [first = "", second = ""] = layerKeys(published.image);
      cache.instead = (call) =>
        call === `save ${second}` ? { outcome, reason: "there was no time left" } : undefined;
      const { lines } = await save(cache, published);
      expect([...cache.entries.keys()]).toEqual([first]);
      expect(lines.at(-1)).toMatch(new RegExp(`^Layer [0-9a-f]{12}: ${outcome}, there was no time left, `));
      expect((await restore(cache, pinned(published))).restored).toEqual({ outcome: "miss", bytes: 0 });
    },
  );
});

describe("saveRestoreTime", () => {
  /** Saves an image, restores it, and records that this took some seconds. */
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

  it("makes later runs skip an image that took longer to restore than to pull", async () => {
    const { cache, image, lines } = await restoredIn(20.5);
    expect(lines).toEqual([`${indexKey(image, "slow")}: saved`]);
    const { restored, daemon, lines: restoreLines } = await restore(cache, image);
    expect(restored).toEqual({ outcome: "skipped", bytes: 0 });
    expect(restoreLines).toEqual([
      `${image.reference} was not restored: in an earlier run, restoring took 20.5 s and pulling 12.5 s`,
    ]);
    expect(cache.calls).toHaveLength(1);
    expect([...daemon.images]).toEqual([]);
  });

  it("does not make runs skip the image if the user enabled the entry by name", async () => {
    const { cache, image, published } = await restoredIn(20.5);
    const { restored, daemon } = await restore(cache, image, { onlyIfFaster: false });
    expect(restored).toEqual({ outcome: "hit", bytes: bytesOf(published.image), downloadSeconds: 12.5 });
    expect(daemon.images.get(image.tag)).toBe(published.image.id);
  });

  it("records nothing for an image that was restored faster", async () => {
    for (const seconds of [0.1, 12.5]) {
      const { cache, image, lines } = await restoredIn(seconds);
      expect(lines).toEqual([]);
      expect((await restore(cache, image)).restored.outcome).toBe("hit");
    }
  });

  it("does not keep runs from tagging an image that the daemon has", async () => {
    const { cache, image, published } = await restoredIn(20.5);
    const daemon = await dockerDaemon();
    daemon.images.set("kindest/node:mine", published.image.id);
    expect((await restore(cache, image, { daemon })).restored.outcome).toBe("hit");
  });
});

describe("restoreImage without a usable cache", () => {
  it.each(["skipped", "failed"] as const)("reports the reason: %s", async (outcome) => {
    const cache = memoryCache();
    cache.instead = () => ({ outcome, reason: "the job has no cache" });
    const image = pinned(await publish(sample("node")));
    const { restored, lines } = await restore(cache, image);
    expect(restored).toEqual({ outcome, bytes: 0 });
    expect(lines).toEqual([`${image.reference} was not restored: the job has no cache`]);
  });

  it("logs nothing for a miss", async () => {
    const { lines } = await restore(memoryCache(), pinned(await publish(sample("node"))));
    expect(lines).toEqual([]);
  });

  it("skips an image that does not fit on the disk", async () => {
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
        /was not restored: restoring needs 12000000\.0 GB of disk space, and \d+\.\d GB is free$/,
      ),
    ]);
    expect(cache.calls).toHaveLength(1);
  });
});
