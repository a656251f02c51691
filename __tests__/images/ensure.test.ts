import { describe, expect, it } from "vitest";
import { restoredTag, saveImage, saveRestoreTime } from "../../src/cache/entries/node-image.ts";
import { ensureImage, type ImageRequest, pinImage, savedImages } from "../../src/images/ensure.ts";
import { sample } from "../archive/archives.ts";
import { type DockerDaemon, dockerDaemon } from "../fixtures/docker-daemon.ts";
import { type MemoryCache, memoryCache } from "../fixtures/memory-cache.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import {
  amd64,
  dockerCli,
  give,
  labels,
  type PublishedImage,
  pinned,
  publish,
} from "../oci/published-images.ts";

/** A cache in which a run has saved an image that took it so long to pull. */
async function cacheWith(published: PublishedImage, seconds = 12.5): Promise<MemoryCache> {
  const cache = memoryCache();
  const daemon = await dockerDaemon();
  give(daemon, published);
  await saveImage(
    cache.store(),
    daemon.engine,
    pinned(published),
    { seconds, folder: temporaryFolder() },
    recordingLog(),
  );
  cache.calls.length = 0;
  return cache;
}

/** Obtains an image with a docker CLI that can pull what is published. */
async function obtain(
  image: ImageRequest,
  on: {
    daemon?: DockerDaemon;
    cache?: MemoryCache;
    onlyIfFaster?: boolean;
    published?: readonly PublishedImage[];
  },
) {
  const daemon = on.daemon ?? (await dockerDaemon());
  const { run, pulls } = dockerCli(daemon, ...(on.published ?? []));
  const log = recordingLog();
  const store = (on.cache ?? memoryCache()).store();
  const cache = on.cache && { store, onlyIfFaster: on.onlyIfFaster ?? true };
  const { engine, endpoint } = daemon;
  const outcome = ensureImage(image, { engine, endpoint, run, platform: amd64, cache, labels }, log);
  return { outcome, daemon, pulls, log, store };
}

describe("an image that is wanted", () => {
  it("is the daemon's own where that has it: nobody else is asked", async () => {
    const published = await publish(sample("node"));
    const cache = await cacheWith(published);
    const daemon = await dockerDaemon();
    give(daemon, published);
    const { reference } = published;
    const { outcome, pulls, log } = await obtain({ reference }, { daemon, cache });
    expect(await outcome).toMatchObject({ reference, name: reference, from: "daemon", restored: undefined });
    expect([pulls, cache.calls, daemon.changes]).toEqual([[], [], []]);
    expect(log.lines).toEqual([`${reference} is there already.`]);
  });

  it("is the daemon's own where an earlier run had it out of the cache", async () => {
    const published = await publish(sample("node"));
    const cache = await cacheWith(published);
    const { reference, image } = published;
    const { outcome, daemon } = await obtain({ reference }, { cache });
    const { name } = await outcome;
    cache.calls.length = 0;
    const again = await obtain({ reference }, { daemon, cache });
    expect(await again.outcome).toMatchObject({ reference, name, from: "daemon", restored: undefined });
    expect([again.pulls, cache.calls]).toEqual([[], []]);
    expect([...daemon.images]).toEqual([[name, image.id]]);
  });

  it("comes out of the cache where that has it, under another name, and it is said what that saved", async () => {
    const published = await publish(sample("node"));
    const cache = await cacheWith(published);
    const { reference, image } = published;
    const { outcome, daemon, pulls, log } = await obtain({ reference }, { cache, published: [published] });
    const name = restoredTag(pinned(published).digest);
    const { restored, ...got } = await outcome;
    expect(got).toMatchObject({ reference, name, from: "cache" });
    expect(restored).toEqual({
      outcome: "hit",
      bytes: image.layers.reduce((sum, layer) => sum + layer.length, 0),
      pulled: 12.5,
    });
    expect(pulls).toEqual([]);
    expect([...daemon.images]).toEqual([[name, image.id]]);
    expect(log.lines).toEqual([
      expect.stringMatching(/ came out of the cache in [\d.]+ s; pulling it once took 12\.5 s\.$/),
    ]);
  });

  it("is labelled as the run's while it comes out of the cache, and not when it is there", async () => {
    const published = await publish(sample("node"));
    const cache = await cacheWith(published);
    const daemon = await dockerDaemon();
    const labelled = async () =>
      await Promise.all(
        Object.entries(labels).map(
          async ([label, value]) => await daemon.engine.images.listByLabel(label, value),
        ),
      );
    const { load } = daemon;
    daemon.load = async (archive) => {
      expect((await labelled()).map((ids) => ids.length)).toEqual([1, 1]);
      return await load(archive);
    };
    const { outcome } = await obtain({ reference: published.reference }, { daemon, cache });
    expect(await outcome).toMatchObject({ from: "cache" });
    expect(await labelled()).toEqual([[], []]);
    expect([...daemon.contents.keys()]).toEqual([published.image.id]);
  });

  it("is pulled where the cache does not have it", async () => {
    const published = await publish(sample("node"));
    const { reference } = published;
    const { outcome, pulls } = await obtain({ reference }, { cache: memoryCache(), published: [published] });
    expect(await outcome).toMatchObject({
      reference,
      name: reference,
      from: "registry",
      restored: { outcome: "miss", bytes: 0 },
    });
    expect(pulls).toEqual([reference]);
  });

  it("is pulled where images are not to come out of the cache", async () => {
    const published = await publish(sample("node"));
    const { reference } = published;
    const { outcome, pulls } = await obtain({ reference }, { published: [published] });
    expect(await outcome).toMatchObject({ from: "registry", restored: undefined });
    expect(pulls).toEqual([reference]);
  });

  it("without a digest is pulled, and no cache is asked: what it is may change", async () => {
    const published = { ...(await publish(sample("node"))), reference: "kindest/node:v1.37.0" };
    const cache = memoryCache();
    const { outcome } = await obtain({ reference: published.reference }, { cache, published: [published] });
    expect(await outcome).toMatchObject({
      name: "kindest/node:v1.37.0",
      from: "registry",
      restored: undefined,
    });
    expect(cache.calls).toEqual([]);
  });

  it("that nobody has is an error which names it", async () => {
    const { outcome } = await obtain({ reference: "kindest/node:v9" }, { cache: memoryCache() });
    await expect(outcome).rejects.toThrow("The image kindest/node:v9 cannot be pulled");
  });
});

describe("an image that took longer to restore than to pull", () => {
  /** What the runs after it find: it took no time to pull it, and then a run restored it. */
  async function slow() {
    const published = await publish(sample("node"));
    const cache = await cacheWith(published, -1);
    const { outcome, store } = await obtain({ reference: published.reference }, { cache });
    for (const { restored, seconds } of savedImages([await outcome], "amd64"))
      if (restored) await saveRestoreTime(store, pinned(published), seconds, recordingLog());
    return { cache, published };
  }

  it("is pulled by the next run", async () => {
    const { cache, published } = await slow();
    const { reference } = published;
    const { outcome, log } = await obtain({ reference }, { cache, published: [published] });
    expect(await outcome).toMatchObject({ from: "registry", restored: { outcome: "skipped" } });
    expect(log.lines).toEqual([
      expect.stringMatching(/^Not from the cache: restoring took [\d.]+ s, pulling -1 s\.$/),
    ]);
  });

  it("still comes out of the cache where the user has asked for that", async () => {
    const { cache, published } = await slow();
    const { outcome } = await obtain({ reference: published.reference }, { cache, onlyIfFaster: false });
    expect(await outcome).toMatchObject({ from: "cache", restored: { outcome: "hit" } });
  });
});

describe("an image that others call by a name of their own", () => {
  const tag = "docker.io/envoyproxy/envoy:v1.36.2";

  it("gets that name when it is pulled", async () => {
    const published = await publish(sample("envoy"));
    const { reference, image } = published;
    const { outcome, daemon } = await obtain({ reference, tag }, { published: [published] });
    expect(await outcome).toMatchObject({ reference, name: tag, from: "registry" });
    expect(Object.fromEntries(daemon.images)).toEqual({ [reference]: image.id, [tag]: image.id });
  });

  it("gets that name when it comes out of the cache", async () => {
    const published = await publish(sample("envoy"));
    const cache = await cacheWith(published);
    const { reference, image } = published;
    const { outcome, daemon, pulls } = await obtain({ reference, tag }, { cache, published: [published] });
    expect(await outcome).toMatchObject({ reference, name: tag, from: "cache" });
    expect(Object.fromEntries(daemon.images)).toEqual({ [tag]: image.id });
    expect(pulls).toEqual([]);
  });

  it("is the daemon's own where that has it by this name", async () => {
    const daemon = await dockerDaemon();
    daemon.images.set(tag, "sha256:aa");
    const { outcome, pulls } = await obtain(
      { reference: `${tag}@sha256:${"a".repeat(64)}`, tag },
      { daemon },
    );
    expect(await outcome).toMatchObject({ name: tag, from: "daemon" });
    expect([pulls, daemon.changes]).toEqual([[], []]);
  });

  it("is the daemon's own where that has it by its digest, and gets the name", async () => {
    const published = await publish(sample("envoy"));
    const cache = memoryCache();
    const daemon = await dockerDaemon();
    give(daemon, published);
    const { reference, image } = published;
    const { outcome, pulls } = await obtain({ reference, tag }, { daemon, cache });
    expect(await outcome).toMatchObject({ name: tag, from: "daemon" });
    expect(daemon.images.get(tag)).toBe(image.id);
    expect([pulls, cache.calls]).toEqual([[], []]);
  });
});

describe("an image as the cache knows it", () => {
  const digest = `sha256:${"a".repeat(64)}`;

  it.each([`kindest/node@${digest}`, `kindest/node:v1.37.0@${digest}`, `localhost:5000/node@${digest}`])(
    "is named by its digest: %s",
    (reference) => {
      expect(pinImage(reference, amd64)).toEqual({
        reference,
        digest,
        platform: amd64,
        tag: "kind-action/restored:aaaaaaaaaaaaaaaa",
      });
    },
  );

  it.each([
    "kindest/node:v1.37.0",
    "kindest/node@sha256:aa",
    `kindest/node@sha512:${"a".repeat(128)}`,
    `${digest}:v1`,
  ])("is none without one: %s", (reference) => {
    expect(pinImage(reference, amd64)).toBeUndefined();
  });

  it("has the name that others use for it", () => {
    expect(pinImage(`envoy:v1@${digest}`, amd64, "envoy:v1")?.tag).toBe("envoy:v1");
  });
});

describe("what is to be saved of the images that a run has", () => {
  const digest = `@sha256:${"a".repeat(64)}`;
  const pulled = { reference: `node${digest}`, name: `node${digest}`, seconds: 9.5, restored: undefined };

  it("is those that were pulled, with the time that took", () => {
    expect(savedImages([{ ...pulled, from: "registry" }], "arm64")).toEqual([
      { reference: `node${digest}`, architecture: "arm64", restored: false, seconds: 9.5 },
    ]);
  });

  it("has the name that others use for them", () => {
    expect(savedImages([{ ...pulled, from: "registry", name: "node:v1" }], "amd64")).toMatchObject([
      { reference: `node${digest}`, tag: "node:v1" },
    ]);
  });

  it("is how long it took to restore the others", () => {
    const name = "kind-action/restored:aaaaaaaaaaaaaaaa";
    expect(savedImages([{ ...pulled, from: "cache", name }], "amd64")).toEqual([
      { reference: `node${digest}`, architecture: "amd64", restored: true, seconds: 9.5 },
    ]);
  });

  it("is nothing of those that the daemon had, or that have no digest", () => {
    const named = { ...pulled, reference: "node:v1", name: "node:v1" };
    expect(
      savedImages(
        [
          { ...pulled, from: "daemon" },
          { ...named, from: "registry" },
        ],
        "amd64",
      ),
    ).toEqual([]);
  });
});
