import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { restoreImage } from "../../src/cache/entries/node-image.ts";
import { restoreProxies } from "../../src/cache/entries/proxy-blobs.ts";
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

let folder: string;
let daemon: DockerDaemon;
let cache: MemoryCache;
let state: State;

/** A machine on which main has come to its end, and has nothing to be saved yet. */
beforeEach(async () => {
  folder = temporaryFolder();
  daemon = await dockerDaemon();
  cache = memoryCache();
  state = {
    version: 1,
    run: "12-1-abc",
    folder: join(folder, "run"),
    began: Date.now(),
    endpoint: { ...daemon.endpoint },
    saves: [],
    images: [],
    saveDeadline: 60_000,
    succeeded: true,
  };
  await mkdir(state.folder);
  onTestFinished(() => void vi.unstubAllEnvs());
});

/** Runs post after a main that has left its state. @returns what the runner's log shows */
async function post(more: Partial<State>, mode?: string): Promise<string[]> {
  vi.stubEnv("STATE_run", JSON.stringify({ ...state, ...more }));
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
    startedMs: Date.now(),
  });
  expect(existsSync(state.folder)).toBe(false);
  return printer.shown;
}

/** The lines of the group in which caches are saved. */
function linesOf(shown: readonly string[]): string[] {
  const begin = shown.indexOf("> Save caches");
  return begin < 0 ? [] : shown.slice(begin + 1, shown.indexOf("<", begin));
}

/** A tool that main has downloaded. */
async function tool(name: string) {
  const file = join(folder, `${name}-download`);
  await writeFile(file, `the program ${name}`);
  return { file, key: `${name}-key`, name };
}

/** An image that main has pulled. */
async function pulled(name: string): Promise<{ published: PublishedImage; image: State["images"][number] }> {
  const published = await publish(sample(name), { repository: `shop/${name}` });
  give(daemon, published);
  const image = { reference: published.reference, architecture: "amd64", restored: false, seconds: 12.5 };
  return { published, image };
}

const onlyIfFaster = { onlyIfFaster: true, labels };

/** Restores an image as a later run does. */
async function restored(published: PublishedImage) {
  const { engine } = await dockerDaemon();
  return await restoreImage(cache.store(), engine, pinned(published), onlyIfFaster, recordingLog());
}

describe("tools that were downloaded", () => {
  it("are saved, each under its key, and it is said how that went", async () => {
    const shown = await post({ saves: [await tool("kind"), await tool("kubectl")] });
    expect(
      [...cache.entries].map(([key, { files }]) => [key, String(files.get(key.replace("-key", "")))]),
    ).toEqual([
      ["kind-key", "the program kind"],
      ["kubectl-key", "the program kubectl"],
    ]);
    expect(linesOf(shown)).toEqual(["kind: saved", "kubectl: saved"]);
  });

  it("are not saved again", async () => {
    const saves = [await tool("kind")];
    cache.entries.set("kind-key", { path: "kind", files: new Map() });
    expect(linesOf(await post({ saves }))).toEqual(["kind: exists"]);
    expect(cache.calls).not.toContain("save kind-key");
  });

  it("are not saved where the job may not", async () => {
    const shown = await post({ saves: [await tool("kind")] }, "read");
    expect(linesOf(shown)).toEqual(["kind: skipped, this job may not write to the cache (read)"]);
    expect(cache.entries.size).toBe(0);
  });
});

describe("images that were pulled", () => {
  it("are the next run's without a pull, and the daemon has no more names than before", async () => {
    const [node, registry] = [await pulled("node"), await pulled("registry")];
    const names = [...daemon.images.keys()];
    await post({ images: [node.image, registry.image] });
    for (const { published } of [node, registry])
      expect(await restored(published)).toMatchObject({ outcome: "hit", pulled: 12.5 });
    expect([...daemon.images.keys()]).toEqual(names);
  });

  it("that cannot be saved cost nobody the others, and are no warning", async () => {
    const [gone, node] = [await pulled("gone"), await pulled("node")];
    const reference = gone.image.reference.replace("shop/gone", "shop/private");
    const shown = await post({
      saves: [await tool("kind")],
      images: [{ ...gone.image, reference }, node.image],
    });
    expect(linesOf(shown)).toContainEqual(
      expect.stringMatching(
        /^127\.0\.0\.1:\d+\/shop\/private:v1@sha256:[0-9a-f]{64} is not cached: .* status 404/,
      ),
    );
    expect(shown.filter((line) => line.startsWith("!"))).toEqual([]);
    expect(cache.entries.has("kind-key")).toBe(true);
    expect(await restored(node.published)).toMatchObject({ outcome: "hit" });
  });

  it("have the name that others use in the state, and one of their own in the daemon while they are saved", async () => {
    const { published, image } = await pulled("envoy");
    const tag = "docker.io/envoyproxy/envoy:v1.36.2";
    daemon.images.set(tag, published.image.id);
    await post({ images: [{ ...image, tag }] });
    expect([...daemon.images.keys()]).toEqual([published.reference, tag]);
    expect(await restored(published)).toMatchObject({ outcome: "hit" });
  });
});

describe("images that came out of the cache", () => {
  /** Restored by main in so many seconds. */
  async function afterRestoring(seconds: number) {
    const { published, image } = await pulled("node");
    await post({ images: [image] });
    await mkdir(state.folder);
    const { engine } = await dockerDaemon();
    const store = cache.store(join(state.folder, "cache"));
    await restoreImage(store, engine, pinned(published), onlyIfFaster, recordingLog());
    await post({ images: [{ ...image, restored: true, seconds }] });
    return published;
  }

  it("are pulled from then on where that is faster", async () => {
    const published = await afterRestoring(20);
    expect(await restored(published)).toEqual({ outcome: "skipped", bytes: 0 });
  });

  it("come out of it again where they were fast, and nothing is saved", async () => {
    const published = await afterRestoring(2);
    expect([...cache.entries.keys()].filter((key) => key.includes("-image-"))).toHaveLength(1);
    expect(await restored(published)).toMatchObject({ outcome: "hit" });
  });
});

describe("what proxies hold", () => {
  const image = {
    repository: "shop/web",
    tag: "v1",
    manifest: "manifest of web",
    layers: ["a".repeat(900), "b"],
  };
  const unused = { repository: "shop/old", manifest: "m", layers: ["c".repeat(900)] };
  const request = (blob: string) =>
    `time="…" level=info msg="response completed" http.request.uri="/v2/shop/web/blobs/sha256:${blob}"\n`;

  /** A proxy that holds two images, of which nodes have asked for one. */
  async function proxy(most: number): Promise<State["proxies"]> {
    const kept = join(folder, "proxies", "docker.io");
    for (const each of [image, unused]) await storeImage(kept, each);
    daemon.containers.set("proxy", { id: "proxy", name: "shop-proxy-docker.io", labels: {} });
    daemon.printed = () => [image.manifest, ...image.layers].map(blobOf).map(request).join("");
    return {
      containers: { "docker.io": "proxy" },
      folders: { "docker.io": kept },
      prefix: "proxies-of-a-job-",
      most,
    };
  }

  /** The blobs that the proxies of a later run get back. */
  async function back(): Promise<string[]> {
    const empty = join(folder, "next");
    await restoreProxies(cache.store(), new Map([["docker.io", empty]]), "proxies-of-a-job-", recordingLog());
    return [...(await readStorage(empty)).blobs.keys()].toSorted();
  }

  it("is what the proxies of the next run have from the beginning", async () => {
    await post({ proxies: await proxy(1e9) });
    const all = [image, unused].flatMap(({ manifest, layers }) => [manifest, ...layers]);
    expect(await back()).toEqual(all.map(blobOf).toSorted());
  });

  it("is, where it is too much, what nodes have asked for", async () => {
    await post({ proxies: await proxy(1_000) });
    expect(await back()).toEqual([image.manifest, ...image.layers].map(blobOf).toSorted());
  });

  it("is saved though a proxy is gone, and nobody can tell what was asked for", async () => {
    const proxies = await proxy(1e9);
    daemon.containers.clear();
    await post({ proxies });
    expect(await back()).toHaveLength(5);
  });
});

describe("a run that leaves nothing", () => {
  it("is one that failed", async () => {
    const { image } = await pulled("node");
    const shown = await post({ succeeded: false, saves: [await tool("kind")], images: [image] });
    expect(shown).toEqual([]);
    expect(cache.entries.size).toBe(0);
  });

  it("is one that has nothing to leave: the cache is not even opened", async () => {
    expect(await post({})).toEqual([]);
    expect(cache.calls).toEqual([]);
  });
});

describe("a cache that fails", () => {
  it("is one warning, however much there was to save", async () => {
    const { image } = await pulled("node");
    cache.instead = () => ({ outcome: "failed", reason: "read ECONNRESET" });
    const shown = await post({ saves: [await tool("kind"), await tool("kubectl")], images: [image] });
    expect(shown.filter((line) => line.startsWith("!"))).toEqual([
      "! The Actions cache is not used any further, because looking for kind-key failed: read ECONNRESET",
    ]);
    expect(linesOf(shown).filter((line) => !line.startsWith("!"))).toEqual([
      "kind: failed, read ECONNRESET",
      "kubectl: skipped, the cache has failed before",
      `${image.reference} is in the cache already, or cannot be saved.`,
    ]);
  });
});
