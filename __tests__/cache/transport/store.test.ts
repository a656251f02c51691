import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { getPriority } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import * as z from "zod";
import { type CacheStore, openCacheStore } from "../../../src/cache/transport/store.ts";
import { createWorkerSpawner } from "../../../src/lib/worker-process.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import { bytesOf, serve } from "../../fixtures/web-server.ts";

// Workers start slowly on a busy machine.
vi.setConfig({ testTimeout: 30_000 });

const program = [process.execPath, resolve(import.meta.dirname, "../../../dist/cache-worker.js")];

/** Opens a cache in a new folder, with a cache service that responds as given, or without one. */
async function opened(
  respond?: RequestListener,
  options: { mode?: string; timeoutMs?: number } = {},
): Promise<{ store: CacheStore; warnings: string[]; folder: string; started: () => number }> {
  const folder = temporaryFolder();
  const environment: Record<string, string> = {
    PATH: process.env.PATH ?? "",
    GITHUB_SERVER_URL: "https://github.com",
    GITHUB_WORKSPACE: "/somewhere/else",
    RUNNER_TEMP: folder,
    ACTIONS_CACHE_SERVICE_V2: "true",
    ACTIONS_RUNTIME_TOKEN: "token",
  };
  if (respond !== undefined) environment.ACTIONS_RESULTS_URL = `${(await serve(respond)).url}/`;
  const spawnWorker = createWorkerSpawner(randomUUID(), environment);
  let started = 0;
  const warnings: string[] = [];
  const store = await openCacheStore(join(folder, "cache"), {
    spawnWorker: (...argv) => {
      started++;
      return spawnWorker(...argv);
    },
    program,
    timeoutMs: options.timeoutMs ?? 20_000,
    mode: options.mode,
    log: { warning: (message) => warnings.push(message) },
  });
  onTestFinished(() => store.close());
  return { store, warnings, folder, started: () => started };
}

const json =
  (body: unknown): RequestListener =>
  (_, response) =>
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));

const refusing =
  (message: string): RequestListener =>
  (_, response) =>
    response.writeHead(403, { "content-type": "application/json" }).end(JSON.stringify({ msg: message }));

const entry = { path: "kind", key: "key" };

/** Returns the command line of a process, or an empty string if it has ended. */
function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

describe("openCacheStore in a job without a cache service", () => {
  it("skips all calls without a warning", async () => {
    const { store, warnings } = await opened();
    const skipped = { outcome: "skipped", reason: "the job has no cache" };
    expect(await store.restore(entry)).toEqual(skipped);
    expect(await store.save(entry)).toEqual(skipped);
    expect(warnings).toEqual([]);
  });
});

describe("openCacheStore in a job with restricted access", () => {
  it.each(["none", "write-only"])("skips restores in the mode %s, without a request", async (mode) => {
    const { store, warnings } = await opened(json({}), { mode });
    expect(await store.restore(entry)).toMatchObject({ outcome: "skipped" });
    expect(warnings).toEqual([]);
  });

  it.each(["none", "read"])("skips saves in the mode %s, without a request", async (mode) => {
    const { store, warnings } = await opened(json({}), { mode });
    expect(await store.save(entry)).toMatchObject({ outcome: "skipped" });
    expect(warnings).toEqual([]);
  });

  it.each(["write", "something new"])("restores and saves in the mode %s", async (mode) => {
    const { store } = await opened(cacheService(), { mode });
    await writeFile(join(store.folder, "kind"), "a program");
    expect(await store.save(entry)).toMatchObject({ outcome: "saved" });
    expect(await store.restore(entry)).toMatchObject({ outcome: "hit" });
  });

  it("skips a restore without a warning if the service denies it", async () => {
    const { store, warnings } = await opened(refusing("cache read denied: not on this event"));
    expect(await store.restore(entry)).toMatchObject({
      outcome: "skipped",
      reason: expect.stringContaining("cache read denied: not on this event"),
    });
    expect(warnings).toEqual([]);
  });
});

describe("openCacheStore", () => {
  it("reports a miss for an entry that does not exist", async () => {
    const { store, warnings } = await opened(json({ ok: false }));
    expect(await store.restore(entry)).toEqual({ outcome: "miss" });
    expect(warnings).toEqual([]);
  });

  it("does not pack files for an entry that exists", async () => {
    const { store, warnings } = await opened(json({ ok: true, matched_key: "key" }));
    expect(await store.save({ path: "not-even-there", key: "key" })).toEqual({
      outcome: "exists",
      key: "key",
    });
    expect(warnings).toEqual([]);
  });

  it("reports that an entry exists if another job saves it first", async () => {
    const { store, warnings } = await opened(json({ ok: false }));
    await writeFile(join(store.folder, "kind"), "a program");
    expect(await store.save(entry)).toEqual({ outcome: "exists", key: "key" });
    expect(warnings).toEqual([]);
  });

  it("restores an entry of another runner, whose folders have other paths", async () => {
    const service = cacheService();
    const { store: first } = await opened(service);
    await writeFile(join(first.folder, "kind"), "a program");
    expect(await first.save({ path: "kind", key: "key-1" })).toEqual({ outcome: "saved", key: "key-1" });

    const { store: second, warnings, folder } = await opened(service);
    expect(await second.restore({ path: "kind", key: "key-1" })).toEqual({ outcome: "hit", key: "key-1" });
    expect(await readFile(join(second.folder, "kind"), "utf8")).toBe("a program");
    expect(await second.restore({ path: "kubectl", key: "key-1" })).toEqual({ outcome: "miss" });
    expect(warnings).toEqual([]);
    // No files are left outside of the store's folder.
    expect(await readdir(folder)).toEqual(["cache"]);
  });

  it("reuses one worker for sequential requests, and starts more for parallel ones", async () => {
    const { store, started } = await opened(json({ ok: false }));
    for (const key of ["a", "b", "c"]) await store.restore({ path: "kind", key });
    expect(started()).toBe(1);
    await Promise.all(["d", "e", "f"].map((key) => store.restore({ path: "kind", key })));
    expect(started()).toBe(3);
    await store.close();
    // A request after close() starts a new worker.
    expect(await store.restore(entry)).toEqual({ outcome: "miss" });
  });

  it("lowers the priority of workers that restore in the background", async () => {
    /** The priorities of all workers relative to this process, at each request. */
    const priorities: number[][] = [];
    const { store, folder } = await opened((request, response) => {
      const workers = readdirSync("/proc").filter((pid) => commandOf(pid).includes(join(folder, "cache")));
      priorities.push(workers.map((pid) => getPriority(Number(pid)) - getPriority()).toSorted());
      json({ ok: false })(request, response);
    });
    await store.restore(entry);
    await store.restore({ ...entry, background: true });
    await store.restore(entry);
    expect(priorities).toEqual([[0], [0, 10], [0, 10]]);
  });

  it("restores the newest entry whose key has a prefix", async () => {
    const { store } = await opened(cacheService());
    await mkdir(join(store.folder, "index"));
    await store.save({ path: "index", key: "index-2" });
    expect(await store.restore({ path: "index", key: "index-", prefixes: ["index-"] })).toEqual({
      outcome: "hit",
      key: "index-2",
    });
  });
});

describe("openCacheStore with a failing cache", () => {
  it("ends a call at the timeout of all calls, with a warning", async () => {
    const { store, warnings } = await opened(() => {}, { timeoutMs: 500 });
    expect(await store.restore(entry)).toMatchObject({ outcome: "failed" });
    expect(warnings).toEqual([
      "The Actions cache is disabled for the rest of this step, because restoring key failed: it took longer than 0.5 s",
    ]);
  });

  it("ends a call at its own timeout, and executes later calls", async () => {
    let slow = true;
    const { store, warnings } = await opened((request, response) => {
      if (!slow) json({ ok: false })(request, response);
    });
    expect(await store.restore({ ...entry, timeoutMs: 300 })).toEqual({
      outcome: "failed",
      reason: "it took longer than 0.3 s",
    });
    slow = false;
    expect(await store.restore(entry)).toEqual({ outcome: "miss" });
    expect(warnings).toEqual([]);
  });

  it("skips all calls if the timeout is 0", async () => {
    const { store, warnings } = await opened(json({}), { timeoutMs: 0 });
    expect(await store.restore(entry)).toMatchObject({ outcome: "skipped" });
    expect(warnings).toEqual([]);
  });

  it("skips all calls after a failure, with one warning", async () => {
    let calls = 0;
    const { store, warnings } = await opened((request, response) => {
      calls++;
      request.socket.destroy();
      response.destroy();
    });
    expect(await store.restore(entry)).toMatchObject({ outcome: "failed" });
    const before = calls;
    const skipped = { outcome: "skipped", reason: "the cache has failed before" };
    expect(await store.restore(entry)).toEqual(skipped);
    expect(await store.save(entry)).toEqual(skipped);
    expect([calls, warnings.length]).toEqual([before, 1]);
  });

  it.each([
    ["an invalid key", { path: "kind", key: "a,b" }, "cannot contain commas"],
    ["a missing path", { path: "not-there", key: "key" }, "do(es) not exist"],
  ])("reports the reason: %s", async (_, wrong, reason) => {
    const { store, warnings } = await opened(json({ ok: false }));
    expect(await store.save(wrong)).toMatchObject({ outcome: "failed" });
    expect(warnings[0]).toContain(reason);
  });

  it("fails a call if the worker exits without a reply", async () => {
    const warnings: string[] = [];
    const store = await openCacheStore(join(temporaryFolder(), "cache"), {
      spawnWorker: createWorkerSpawner(randomUUID(), {}),
      program: ["true"],
      timeoutMs: 10_000,
      mode: undefined,
      log: { warning: (message) => warnings.push(message) },
    });
    expect(await store.restore(entry)).toMatchObject({ outcome: "failed" });
    expect(warnings).toEqual([expect.stringContaining("exited without a response")]);
  });
});

/** A cache service for one entry, which is identified by its key and by `version`, a hash of the saved paths. */
function cacheService(): RequestListener {
  let entry = { key: "", version: "" };
  let blob: Buffer = Buffer.alloc(0);
  // The Azure client, which uploads, needs a path of account, container and blob.
  const blobPath = "/account/container/blob";
  const requestSchema = z.object({
    key: z.string(),
    version: z.string(),
    restore_keys: z.array(z.string()).default([]),
  });
  return async (request, response) => {
    const body = await bytesOf(request);
    const blobUrl = `http://${request.headers.host}${blobPath}`;
    const [, call] = /CacheService\/(\w+)$/.exec(request.url ?? "") ?? [];
    if (call === undefined) {
      if (request.method === "PUT") blob = body;
      const length = String(request.method === "PUT" ? 0 : blob.length);
      response.writeHead(request.method === "PUT" ? 201 : 200, { "content-length": length });
      response.end(request.method === "GET" ? blob : undefined);
      return;
    }
    const { key, version, restore_keys } = requestSchema.parse(JSON.parse(body.toString()));
    if (call === "CreateCacheEntry") entry = { key, version };
    const matches = [key, ...restore_keys].some((prefix) => entry.key !== "" && entry.key.startsWith(prefix));
    json({
      ok: matches && entry.version === version,
      signed_upload_url: blobUrl,
      signed_download_url: blobUrl,
      matched_key: entry.key,
      entry_id: "1",
    })(request, response);
  };
}
