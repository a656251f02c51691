import { describe, expect, it } from "vitest";
import { restoreImage, saveImage, saveRestoreTime } from "../../src/cache/entries/node-image.ts";
import type { CacheReport } from "../../src/cache/entry.ts";
import { ensureImage, type ImageRequest } from "../../src/images/ensure.ts";
import { pinImage, restoredTag } from "../../src/images/pinned-image.ts";
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

/** A cache in which a run has saved an image that took so many seconds to pull. */
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

/** Ensures an image with a docker CLI that can pull the published images. `reports` has the results of the cache. */
async function ensure(
  request: ImageRequest,
  options: {
    daemon?: DockerDaemon;
    cache?: MemoryCache;
    onlyIfFaster?: boolean;
    published?: readonly PublishedImage[];
  },
) {
  const { cache, onlyIfFaster = true, published = [] } = options;
  const daemon = options.daemon ?? (await dockerDaemon());
  const { engine } = daemon;
  const { run, pulls } = dockerCli(daemon, ...published);
  const log = recordingLog();
  const store = (cache ?? memoryCache()).store();
  const reports: CacheReport[] = [];
  const outcome = ensureImage(
    request,
    {
      engine,
      runProgram: run,
      platform: amd64,
      restore: async (image, log) => {
        if (cache === undefined) return false;
        const report = await restoreImage(store, engine, image, { onlyIfFaster, labels }, log);
        reports.push(report);
        return report.outcome === "hit";
      },
    },
    log,
  );
  return { outcome, reports, daemon, pulls, log, store };
}

describe("ensureImage", () => {
  it("uses an image that the daemon has, without the cache or a pull", async () => {
    const published = await publish(sample("node"));
    const cache = await cacheWith(published);
    const daemon = await dockerDaemon();
    give(daemon, published);
    const { reference } = published;
    const { outcome, reports, pulls, log } = await ensure({ reference }, { daemon, cache });
    expect(await outcome).toMatchObject({ reference, name: reference, from: "daemon" });
    expect([pulls, reports, cache.calls, daemon.changes]).toEqual([[], [], [], []]);
    expect(log.lines).toEqual([`${reference} is already in the Docker daemon.`]);
  });

  it("uses an image that an earlier run restored from the cache", async () => {
    const published = await publish(sample("node"));
    const cache = await cacheWith(published);
    const { reference, image } = published;
    const { outcome, daemon } = await ensure({ reference }, { cache });
    const { name } = await outcome;
    cache.calls.length = 0;
    const second = await ensure({ reference }, { daemon, cache });
    expect(await second.outcome).toMatchObject({ reference, name, from: "daemon" });
    expect([second.pulls, second.reports, cache.calls]).toEqual([[], [], []]);
    expect([...daemon.images]).toEqual([[name, image.id]]);
  });

  it("restores an image from the cache under another name, with the time that a pull took", async () => {
    const published = await publish(sample("node"));
    const cache = await cacheWith(published);
    const { reference, image } = published;
    const { outcome, reports, daemon, pulls } = await ensure(
      { reference },
      { cache, published: [published] },
    );
    const name = restoredTag(pinned(published).digest);
    expect(await outcome).toEqual({ reference, name, from: "cache", seconds: expect.any(Number) });
    expect(reports).toEqual([
      {
        outcome: "hit",
        bytes: image.layers.reduce((sum, layer) => sum + layer.length, 0),
        downloadSeconds: 12.5,
      },
    ]);
    expect(pulls).toEqual([]);
    expect([...daemon.images]).toEqual([[name, image.id]]);
  });

  it("labels an image as the run's while it is restored, and not afterwards", async () => {
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
    const { outcome } = await ensure({ reference: published.reference }, { daemon, cache });
    expect(await outcome).toMatchObject({ from: "cache" });
    expect(await labelled()).toEqual([[], []]);
    expect([...daemon.contents.keys()]).toEqual([published.image.id]);
  });

  it("pulls an image that the cache does not have", async () => {
    const published = await publish(sample("node"));
    const { reference } = published;
    const { outcome, reports, pulls } = await ensure(
      { reference },
      { cache: memoryCache(), published: [published] },
    );
    expect(await outcome).toMatchObject({ reference, name: reference, from: "registry" });
    expect(reports).toEqual([{ outcome: "miss", bytes: 0 }]);
    expect(pulls).toEqual([reference]);
  });

  it("pulls an image when nothing is restored", async () => {
    const published = await publish(sample("node"));
    const { reference } = published;
    const { outcome, pulls } = await ensure({ reference }, { published: [published] });
    expect(await outcome).toMatchObject({ from: "registry" });
    expect(pulls).toEqual([reference]);
  });

  it("pulls an image without a digest, and does not use the cache: the tag may have moved", async () => {
    const published = { ...(await publish(sample("node"))), reference: "kindest/node:v1.37.0" };
    const cache = memoryCache();
    const { outcome, reports } = await ensure(
      { reference: published.reference },
      { cache, published: [published] },
    );
    expect(await outcome).toMatchObject({ name: "kindest/node:v1.37.0", from: "registry" });
    expect([reports, cache.calls]).toEqual([[], []]);
  });

  it("rejects with the image's name when it cannot be pulled", async () => {
    const { outcome } = await ensure({ reference: "kindest/node:v9" }, { cache: memoryCache() });
    await expect(outcome).rejects.toThrow("Could not pull image kindest/node:v9: ");
  });
});

describe("ensureImage of an image that took longer to restore than to pull", () => {
  /** A cache after a run that pulled the image in no time, and a run that restored it. */
  async function slowCache() {
    const published = await publish(sample("node"));
    const cache = await cacheWith(published, -1);
    const { outcome, store } = await ensure({ reference: published.reference }, { cache });
    const { from, seconds } = await outcome;
    expect(from).toBe("cache");
    await saveRestoreTime(store, pinned(published), seconds, recordingLog());
    return { cache, published };
  }

  it("pulls it in the next run", async () => {
    const { cache, published } = await slowCache();
    const { reference } = published;
    const { outcome, reports, log } = await ensure({ reference }, { cache, published: [published] });
    expect(await outcome).toMatchObject({ from: "registry" });
    expect(reports).toMatchObject([{ outcome: "skipped" }]);
    expect(log.lines).toEqual([expect.stringMatching(/[\d.]+ s\b.*-1(\.0)? s/)]);
  });

  it("restores it if the user wants that", async () => {
    const { cache, published } = await slowCache();
    const { reference } = published;
    const { outcome, reports } = await ensure({ reference }, { cache, onlyIfFaster: false });
    expect(await outcome).toMatchObject({ from: "cache" });
    expect(reports).toMatchObject([{ outcome: "hit" }]);
  });
});

describe("ensureImage of an image with a tag", () => {
  const tag = "docker.io/envoyproxy/envoy:v1.36.2";

  it("adds the tag to an image that it pulls", async () => {
    const published = await publish(sample("envoy"));
    const { reference, image } = published;
    const { outcome, daemon } = await ensure({ reference, tag }, { published: [published] });
    expect(await outcome).toMatchObject({ reference, name: tag, from: "registry" });
    expect(Object.fromEntries(daemon.images)).toEqual({ [reference]: image.id, [tag]: image.id });
  });

  it("restores an image from the cache under the tag", async () => {
    const published = await publish(sample("envoy"));
    const cache = await cacheWith(published);
    const { reference, image } = published;
    const { outcome, daemon, pulls } = await ensure({ reference, tag }, { cache, published: [published] });
    expect(await outcome).toMatchObject({ reference, name: tag, from: "cache" });
    expect(Object.fromEntries(daemon.images)).toEqual({ [tag]: image.id });
    expect(pulls).toEqual([]);
  });

  it("uses an image that the daemon has under the tag", async () => {
    const daemon = await dockerDaemon();
    daemon.images.set(tag, "sha256:aa");
    const { outcome, pulls } = await ensure(
      { reference: `${tag}@sha256:${"a".repeat(64)}`, tag },
      { daemon },
    );
    expect(await outcome).toMatchObject({ name: tag, from: "daemon" });
    expect([pulls, daemon.changes]).toEqual([[], []]);
  });

  it("adds the tag to an image that the daemon has by its digest", async () => {
    const published = await publish(sample("envoy"));
    const cache = memoryCache();
    const daemon = await dockerDaemon();
    give(daemon, published);
    const { reference, image } = published;
    const { outcome, pulls } = await ensure({ reference, tag }, { daemon, cache });
    expect(await outcome).toMatchObject({ name: tag, from: "daemon" });
    expect(daemon.images.get(tag)).toBe(image.id);
    expect([pulls, cache.calls]).toEqual([[], []]);
  });
});

describe("pinImage", () => {
  const digest = `sha256:${"a".repeat(64)}`;

  it.each([`kindest/node@${digest}`, `kindest/node:v1.37.0@${digest}`, `localhost:5000/node@${digest}`])(
    "returns the digest of a reference, and a tag from it: %s",
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
  ])("returns nothing for a reference without a SHA-256 digest: %s", (reference) => {
    expect(pinImage(reference, amd64)).toBeUndefined();
  });

  it("uses the tag that other programs use", () => {
    expect(pinImage(`envoy:v1@${digest}`, amd64, "envoy:v1")?.tag).toBe("envoy:v1");
  });
});
