import { beforeEach, describe, expect, it } from "vitest";
import { nodeImageEntry, saveImage } from "../../src/cache/entries/node-image.ts";
import { toolEntry } from "../../src/cache/entries/tool.ts";
import { Engine } from "../../src/docker/engine.ts";
import type { CachesPlan } from "../../src/plan/caches.ts";
import { readJob } from "../../src/runner/job.ts";
import type { State } from "../../src/runner/state.ts";
import { Caches } from "../../src/workflows/caches.ts";
import { getImage } from "../../src/workflows/create/image-tasks.ts";
import { sample } from "../archive/archives.ts";
import { type DockerDaemon, dockerDaemon } from "../fixtures/docker-daemon.ts";
import { type MemoryCache, memoryCache } from "../fixtures/memory-cache.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { give, pinned, publish } from "../oci/published-images.ts";

const plan: CachesPlan = {
  entries: ["node-image"],
  onlyIfFaster: true,
  saves: true,
  restoreTimeoutMs: 120_000,
  saveTimeoutMs: 300_000,
  maxBytes: 2e9,
};

let cache: MemoryCache;
let updates: Partial<State>[];
beforeEach(() => {
  cache = memoryCache();
  updates = [];
});

const cachesWith = (fields: Partial<CachesPlan> = {}, engine = new Engine({})) =>
  new Caches(
    cache.store(),
    { folder: temporaryFolder(), caches: { ...plan, ...fields } },
    engine,
    (fields) => void updates.push(fields),
  );

const kind = { name: "kind", checksum: "aa" };

describe("Caches", () => {
  it("restores items of enabled entries, and reports them", async () => {
    const caches = cachesWith();
    const report = await caches.restore(toolEntry, kind, { item: "kind" }, recordingLog());
    expect(report).toEqual({ outcome: "miss", bytes: 0 });
    expect(caches.reports).toEqual([
      {
        entry: "tool",
        item: "kind",
        countsForCacheHit: true,
        outcome: "miss",
        bytes: 0,
        seconds: expect.any(Number),
      },
    ]);
  });

  it("neither restores nor reports items of disabled entries", async () => {
    const caches = cachesWith({ entries: [] });
    const image = pinned(await publish(sample("node")));
    const target = { image, onlyIfFaster: true, labels: {} };
    const report = await caches.restore(nodeImageEntry, target, { item: image.reference }, recordingLog());
    expect(report).toEqual({ outcome: "skipped", bytes: 0 });
    expect(caches.reports).toEqual([]);
    expect(cache.calls).toEqual([]);
  });

  it("uses entries that are not optional even with `cache: none`", () => {
    const caches = cachesWith({ entries: [] });
    expect([toolEntry, nodeImageEntry].map((entry) => caches.isEnabled(entry))).toEqual([true, false]);
  });

  it("adds each item to save to the state", () => {
    const caches = cachesWith();
    const pending = { ...kind, path: "/tools/kind" };
    const image = { reference: "node", architecture: "amd64", restored: false, seconds: 1 };
    caches.saveLater(toolEntry, pending);
    caches.saveLater(nodeImageEntry, image);
    expect(updates.at(-1)).toEqual({
      saves: [
        { entry: "tool", pending },
        { entry: "node-image", pending: image },
      ],
    });
  });

  it("adds nothing to the state in a job that saves no caches, or for a disabled entry", () => {
    cachesWith({ saves: false }).saveLater(toolEntry, { ...kind, path: "/tools/kind" });
    const image = { reference: "node", architecture: "amd64", restored: false, seconds: 1 };
    cachesWith({ entries: [] }).saveLater(nodeImageEntry, image);
    expect(updates).toEqual([]);
  });
});

describe("getImage", () => {
  let daemon: DockerDaemon;
  beforeEach(async () => {
    daemon = await dockerDaemon();
  });

  /** Gets an image, which a docker CLI pulls into the daemon. */
  async function get(reference: string, id: string, tag?: string) {
    const caches = cachesWith({}, daemon.engine);
    const run = {
      engine: daemon.engine,
      caches,
      labels: {},
      ctx: {
        job: { ...readJob({}), architecture: "amd64" as const },
        runProgram: async () => {
          daemon.images.set(reference, id);
          return { exitCode: 0, stdout: "", stderr: "" };
        },
      },
    };
    const name = await getImage(run, { reference, tag }, { countsForCacheHit: true }, recordingLog());
    return { name, reports: caches.reports, saves: updates.at(-1)?.saves ?? [] };
  }

  it("reports a pulled image as a miss, and adds it to the items to save", async () => {
    const { reference, image } = await publish(sample("node"));
    const { reports, saves } = await get(reference, image.id);
    expect(reports).toMatchObject([
      { entry: "node-image", item: reference, countsForCacheHit: true, outcome: "miss" },
    ]);
    expect(saves).toMatchObject([
      { entry: "node-image", pending: { reference, architecture: "amd64", restored: false } },
    ]);
  });

  it("restores an image that an earlier run saved, and adds the time that this took to the items to save", async () => {
    const published = await publish(sample("node"));
    const { reference, image } = published;
    const earlier = await dockerDaemon();
    give(earlier, published);
    const options = { seconds: 12.5, folder: temporaryFolder() };
    await saveImage(cache.store(), earlier.engine, pinned(published), options, recordingLog());
    const { name, reports, saves } = await get(reference, "sha256:not-pulled");
    expect([...daemon.images]).toEqual([[name, image.id]]);
    expect(reports).toMatchObject([{ item: reference, outcome: "hit", countsForCacheHit: true }]);
    expect(saves).toMatchObject([{ entry: "node-image", pending: { reference, restored: true } }]);
    expect(saves).not.toMatchObject([{ pending: { tag: expect.anything() } }]);
  });

  it("adds the tag of a pulled image to the items to save, so that it is restored under the same name", async () => {
    const { reference, image } = await publish(sample("envoy"));
    const { name, saves } = await get(reference, image.id, "docker.io/envoyproxy/envoy:v1");
    expect(name).toBe("docker.io/envoyproxy/envoy:v1");
    expect(saves).toMatchObject([{ pending: { reference, tag: "docker.io/envoyproxy/envoy:v1" } }]);
  });

  it("reports an image that the daemon has as present, and does not save it", async () => {
    const published = await publish(sample("node"));
    give(daemon, published);
    const { reports, saves } = await get(published.reference, published.image.id);
    expect(reports).toMatchObject([{ outcome: "present", countsForCacheHit: true }]);
    expect(saves).toEqual([]);
  });

  it("reports an image without a digest as skipped, so that `cache_hit` is false, and does not save it", async () => {
    const { reports, saves } = await get("kindest/node:v1.37.0", "sha256:aa");
    expect(reports).toMatchObject([
      { item: "kindest/node:v1.37.0", outcome: "skipped", countsForCacheHit: true },
    ]);
    expect(saves).toEqual([]);
    expect(cache.calls).toEqual([]);
  });
});
