import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { restoreImage } from "../../src/cache/entries/node-image.ts";
import { restoreProxies } from "../../src/cache/entries/proxy-blobs.ts";
import { createLog } from "../../src/lib/log.ts";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { createProgramRunner } from "../../src/lib/subprocess.ts";
import { readStorage } from "../../src/registries/storage.ts";
import { readJob } from "../../src/runner/job.ts";
import type { State } from "../../src/runner/state.ts";
import { deleteCluster } from "../../src/workflows/delete-cluster.ts";
import { sample } from "../archive/archives.ts";
import { cacheProgramOf } from "../fixtures/cache-program.ts";
import { type DockerDaemon, dockerDaemon } from "../fixtures/docker-daemon.ts";
import { type MemoryCache, memoryCache } from "../fixtures/memory-cache.ts";
import { recordingLog, recordingPrinter } from "../fixtures/recording.ts";
import { blobOf, storeImage } from "../fixtures/registry-storage.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { give, labels, type PublishedImage, pinned, publish } from "../oci/published-images.ts";

type Save = State["saves"][number];

interface PulledImage {
  readonly reference: string;
  readonly architecture: string;
  readonly restored: boolean;
  readonly seconds: number;
}

let folder: string;
let daemon: DockerDaemon;
let cache: MemoryCache;
let state: State;

/** A machine after a main that succeeded, without items to save. */
beforeEach(async () => {
  folder = temporaryFolder();
  daemon = await dockerDaemon();
  cache = memoryCache();
  state = {
    version: 1,
    runId: "12-1-abc",
    folder: join(folder, "run"),
    startedMs: Date.now(),
    endpoint: { ...daemon.endpoint },
    saves: [],
    saveTimeoutMs: 60_000,
    succeeded: true,
  };
  await mkdir(state.folder);
  onTestFinished(() => void vi.unstubAllEnvs());
});

/** Runs post with the state of main. @returns the log of the job */
async function post(fields: Partial<State>, mode?: string): Promise<string[]> {
  vi.stubEnv("STATE_run", JSON.stringify({ ...state, ...fields }));
  vi.stubEnv("INPUT_JOB_STATUS", "success");
  const printer = recordingPrinter();
  const env = { PATH: process.env.PATH ?? "", ...(mode === undefined ? {} : { ACTIONS_CACHE_MODE: mode }) };
  await deleteCluster({
    env,
    job: readJob({}),
    runId: "12-1-post",
    runProgram: createProgramRunner("12-1-post", env),
    spawnWorker: cacheProgramOf(cache),
    printer,
    log: createLog(printer),
    startedMs: Date.now(),
  });
  expect(existsSync(state.folder)).toBe(false);
  return printer.shown;
}

/** Returns the lines of the group in which caches are saved. */
function linesOf(shown: readonly string[]): string[] {
  const start = shown.indexOf("> Save caches");
  return start < 0 ? [] : shown.slice(start + 1, shown.indexOf("<", start));
}

/** A tool that main downloaded. */
async function tool(name: string): Promise<Save> {
  const path = join(folder, `${name}-download`);
  await writeFile(path, `the program ${name}`);
  return { entry: "tool", pending: { name, checksum: sha256Hex(`the program ${name}`), path } };
}

const toolKey = (name: string) => `kind-action-tool-v1-${name}-${sha256Hex(`the program ${name}`)}`;

/** An image that main pulled. */
async function pulled(name: string): Promise<{ published: PublishedImage; image: PulledImage }> {
  const published = await publish(sample(name), { repository: `shop/${name}` });
  give(daemon, published);
  const image = { reference: published.reference, architecture: "amd64", restored: false, seconds: 12.5 };
  return { published, image };
}

/** Returns the items to save of images. */
const imageSaves = (...images: readonly object[]): Save[] =>
  images.map((pending) => ({ entry: "node-image", pending }));

const onlyIfFaster = { onlyIfFaster: true, labels };

/** Restores an image in a later run. */
async function restored(published: PublishedImage) {
  const { engine } = await dockerDaemon();
  return await restoreImage(cache.store(), engine, pinned(published), onlyIfFaster, recordingLog());
}

describe("downloaded tools", () => {
  it("are saved under their keys, with the results in the log", async () => {
    const shown = await post({ saves: [await tool("kind"), await tool("kubectl")] });
    expect([...cache.entries].map(([key, { path, files }]) => [key, String(files.get(path))])).toEqual([
      [toolKey("kind"), "the program kind"],
      [toolKey("kubectl"), "the program kubectl"],
    ]);
    expect(linesOf(shown)).toEqual(["kind: saved", "kubectl: saved"]);
  });

  it("are not saved if the cache has them", async () => {
    const saves = [await tool("kind")];
    cache.entries.set(toolKey("kind"), { path: "kind", files: new Map() });
    expect(linesOf(await post({ saves }))).toEqual(["kind: exists"]);
    expect(cache.calls).not.toContain(`save ${toolKey("kind")}`);
  });

  it("are not saved in a job without write access", async () => {
    const shown = await post({ saves: [await tool("kind")] }, "read");
    expect(linesOf(shown)).toEqual([
      "kind: skipped, this job may not write the cache (ACTIONS_CACHE_MODE is read)",
    ]);
    expect(cache.entries.size).toBe(0);
  });
});

describe("pulled images", () => {
  it("can be restored in the next run, and keep their names in the daemon", async () => {
    const [node, registry] = [await pulled("node"), await pulled("registry")];
    const names = [...daemon.images.keys()];
    await post({ saves: imageSaves(node.image, registry.image) });
    for (const { published } of [node, registry])
      expect(await restored(published)).toMatchObject({ outcome: "hit", downloadSeconds: 12.5 });
    expect([...daemon.images.keys()]).toEqual(names);
  });

  it("are saved without those that cannot be saved, which cause no warning", async () => {
    const [missing, node] = [await pulled("missing"), await pulled("node")];
    const reference = missing.image.reference.replace("shop/missing", "shop/private");
    const shown = await post({
      saves: [await tool("kind"), ...imageSaves({ ...missing.image, reference }, node.image)],
    });
    expect(linesOf(shown)).toContainEqual(
      expect.stringMatching(
        /^Could not save the cache entry node-image: Could not fetch the manifests of 127\.0\.0\.1:\d+\/shop\/private:v1@sha256:[0-9a-f]{64}: .* status 404/,
      ),
    );
    expect(shown.filter((line) => line.startsWith("!"))).toEqual([]);
    expect(cache.entries.has(toolKey("kind"))).toBe(true);
    expect(await restored(node.published)).toMatchObject({ outcome: "hit" });
  });

  it("are restored with the name that other programs use", async () => {
    const { published, image } = await pulled("envoy");
    const tag = "docker.io/envoyproxy/envoy:v1.36.2";
    daemon.images.set(tag, published.image.id);
    await post({ saves: imageSaves({ ...image, tag }) });
    expect([...daemon.images.keys()]).toEqual([published.reference, tag]);
    expect(await restored(published)).toMatchObject({ outcome: "hit" });
  });
});

describe("restored images", () => {
  /** Saves an image, and runs a main that restores it in some seconds. */
  async function afterRestoring(seconds: number) {
    const { published, image } = await pulled("node");
    await post({ saves: imageSaves(image) });
    await mkdir(state.folder);
    const { engine } = await dockerDaemon();
    const store = cache.store(join(state.folder, "cache"));
    await restoreImage(store, engine, pinned(published), onlyIfFaster, recordingLog());
    await post({ saves: imageSaves({ ...image, restored: true, seconds }) });
    return published;
  }

  it("are pulled in later runs if that is faster", async () => {
    const published = await afterRestoring(20);
    expect(await restored(published)).toEqual({ outcome: "skipped", bytes: 0 });
  });

  it("are restored again if that is faster, and not saved again", async () => {
    const published = await afterRestoring(2);
    expect([...cache.entries.keys()].filter((key) => key.includes("-image-"))).toHaveLength(1);
    expect(await restored(published)).toMatchObject({ outcome: "hit" });
  });
});

describe("the blobs of proxies", () => {
  const image = {
    repository: "shop/web",
    tag: "v1",
    manifest: "manifest of web",
    layers: ["a".repeat(900), "b"],
  };
  const unused = { repository: "shop/old", manifest: "m", layers: ["c".repeat(900)] };
  const request = (blob: string) =>
    `time="…" level=info msg="response completed" http.request.uri="/v2/shop/web/blobs/sha256:${blob}"\n`;

  /** A proxy with two images, of which nodes requested one. */
  async function proxy(maxBytes: number): Promise<Save[]> {
    const storage = join(folder, "proxies", "docker.io");
    for (const each of [image, unused]) await storeImage(storage, each);
    daemon.containers.set("proxy", { id: "proxy", name: "shop-proxy-docker.io", labels: {} });
    daemon.printed = () => [image.manifest, ...image.layers].map(blobOf).map(request).join("");
    const pending = {
      containers: { "docker.io": "proxy" },
      folders: { "docker.io": storage },
      keyPrefix: "proxies-of-a-job-",
      maxBytes,
    };
    return [{ entry: "proxies", pending }];
  }

  /** Restores the blobs of the proxies in a later run. */
  async function restoredBlobs(): Promise<string[]> {
    const empty = join(folder, "next");
    await restoreProxies(cache.store(), new Map([["docker.io", empty]]), "proxies-of-a-job-", recordingLog());
    return [...(await readStorage(empty)).blobs.keys()].toSorted();
  }

  it("are restored in the next run", async () => {
    await post({ saves: await proxy(1e9) });
    const all = [image, unused].flatMap(({ manifest, layers }) => [manifest, ...layers]);
    expect(await restoredBlobs()).toEqual(all.map(blobOf).toSorted());
  });

  it("are saved without those that were not requested, if not all fit", async () => {
    await post({ saves: await proxy(1_000) });
    expect(await restoredBlobs()).toEqual([image.manifest, ...image.layers].map(blobOf).toSorted());
  });

  it("are saved if a proxy has been removed, and the requests are unknown", async () => {
    const saves = await proxy(1e9);
    daemon.containers.clear();
    await post({ saves });
    expect(await restoredBlobs()).toHaveLength(5);
  });
});

describe("all items", () => {
  it("are saved in a fixed order, the largest last, because saving has a time limit", async () => {
    const storage = join(folder, "proxies", "docker.io");
    await storeImage(storage, { repository: "shop/web", tag: "v1", manifest: "m", layers: ["a"] });
    const proxies = {
      containers: {},
      folders: { "docker.io": storage },
      keyPrefix: "proxies-",
      maxBytes: 1e9,
    };
    const { image } = await pulled("node");
    await post({
      saves: [...imageSaves(image), { entry: "proxies", pending: proxies }, await tool("kind")],
    });
    const kinds = [...cache.entries.keys()].map((key) => /tool|proxies|image/.exec(key)?.[0] ?? "blobs");
    expect([...new Set(kinds)].filter((kind) => kind !== "blobs")).toEqual(["tool", "proxies", "image"]);
  });
});

describe("nothing is saved", () => {
  it("after a main that failed", async () => {
    const { image } = await pulled("node");
    const shown = await post({ succeeded: false, saves: [await tool("kind"), ...imageSaves(image)] });
    expect(shown).toEqual([]);
    expect(cache.entries.size).toBe(0);
  });

  it("after a main without items to save, and the cache is not used", async () => {
    expect(await post({})).toEqual([]);
    expect(cache.calls).toEqual([]);
  });
});

describe("items that cannot be prepared", () => {
  it("are skipped with a line in the log, and the others are saved", async () => {
    const invalid: Save = { entry: "tool", pending: { name: "kind", command: "rm" } };
    const shown = await post({ saves: [invalid, await tool("kubectl")] });
    expect(shown).toContainEqual(expect.stringMatching(/^Could not prepare the cache entry tool: /));
    expect([...cache.entries.keys()]).toEqual([toolKey("kubectl")]);
  });

  it("include those of unknown entries", async () => {
    const shown = await post({ saves: [{ entry: "unknown", pending: {} }, await tool("kind")] });
    expect(shown).toContain(
      "Could not prepare the cache entry unknown: this version of the action has no such entry",
    );
    expect(shown.filter((line) => line.startsWith("!"))).toEqual([]);
    expect([...cache.entries.keys()]).toEqual([toolKey("kind")]);
  });
});

describe("a failing cache", () => {
  it("causes one warning for all items", async () => {
    const { image } = await pulled("node");
    cache.instead = () => ({ outcome: "failed", reason: "read ECONNRESET" });
    const shown = await post({
      saves: [await tool("kind"), await tool("kubectl"), ...imageSaves(image)],
    });
    expect(shown.filter((line) => line.startsWith("!"))).toEqual([
      `! The Actions cache is disabled for the rest of this step, because looking up ${toolKey("kind")} failed: read ECONNRESET`,
    ]);
    expect(linesOf(shown).filter((line) => !line.startsWith("!"))).toEqual([
      "kind: failed, read ECONNRESET",
      "kubectl: skipped, the cache has failed before",
      `${image.reference} is not saved: the cache already has it, or cannot be written.`,
    ]);
  });
});
