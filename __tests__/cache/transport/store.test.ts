import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { getPriority } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { type CacheStore, openCacheStore } from "../../../src/cache/transport/store.ts";
import { createWorkerSpawner } from "../../../src/lib/worker-process.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import { bytesOf, serve } from "../../fixtures/web-server.ts";

const program = [process.execPath, resolve(import.meta.dirname, "../../../dist/cache-worker.js")];

/** Opens a cache in a folder of the test's own, with a service that answers so; without one where none is given. */
async function opened(
  answer?: RequestListener,
  more: { mode?: string; deadline?: number } = {},
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
  if (answer !== undefined) environment.ACTIONS_RESULTS_URL = `${(await serve(answer)).url}/`;
  const converse = createWorkerSpawner(randomUUID(), environment);
  let started = 0;
  const warnings: string[] = [];
  const store = await openCacheStore(join(folder, "cache"), {
    spawnWorker: (...argv) => {
      started++;
      return converse(...argv);
    },
    program,
    deadline: more.deadline ?? 20_000,
    mode: more.mode,
    warn: (message) => warnings.push(message),
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

/** What a process of this machine was started as: nothing where it has ended meanwhile. */
function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

describe("a job without a cache service", () => {
  it("does without, and is no cause for a warning", async () => {
    const { store, warnings } = await opened();
    const skipped = { outcome: "skipped", reason: "the job has no cache" };
    expect(await store.restore(entry)).toEqual(skipped);
    expect(await store.save(entry)).toEqual(skipped);
    expect(warnings).toEqual([]);
  });
});

describe("a job that the service lets do less", () => {
  it.each(["none", "write-only"])("restores nothing in the mode %s, and nobody is asked", async (mode) => {
    const { store, warnings } = await opened(json({}), { mode });
    expect(await store.restore(entry)).toMatchObject({ outcome: "skipped" });
    expect(warnings).toEqual([]);
  });

  it.each(["none", "read"])("saves nothing in the mode %s, and nobody is asked", async (mode) => {
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

  it("is told so without a warning where the service refuses", async () => {
    const { store, warnings } = await opened(refusing("cache read denied: not on this event"));
    expect(await store.restore(entry)).toMatchObject({
      outcome: "skipped",
      reason: expect.stringContaining("cache read denied: not on this event"),
    });
    expect(warnings).toEqual([]);
  });
});

describe("the Actions cache", () => {
  it("misses what it does not have", async () => {
    const { store, warnings } = await opened(json({ ok: false }));
    expect(await store.restore(entry)).toEqual({ outcome: "miss" });
    expect(warnings).toEqual([]);
  });

  it("keeps an entry that is there, and nothing is packed for it", async () => {
    const { store, warnings } = await opened(json({ ok: true, matched_key: "key" }));
    expect(await store.save({ path: "not-even-there", key: "key" })).toEqual({
      outcome: "exists",
      key: "key",
    });
    expect(warnings).toEqual([]);
  });

  it("leaves an entry to another job that was faster", async () => {
    const { store, warnings } = await opened(json({ ok: false }));
    await writeFile(join(store.folder, "kind"), "a program");
    expect(await store.save(entry)).toEqual({ outcome: "exists", key: "key" });
    expect(warnings).toEqual([]);
  });

  it("brings back on one runner what another one saved, wherever they keep their folders", async () => {
    const service = cacheService();
    const { store: first } = await opened(service);
    await writeFile(join(first.folder, "kind"), "a program");
    expect(await first.save({ path: "kind", key: "key-1" })).toEqual({ outcome: "saved", key: "key-1" });

    const { store: second, warnings, folder } = await opened(service);
    expect(await second.restore({ path: "kind", key: "key-1" })).toEqual({ outcome: "hit", key: "key-1" });
    expect(await readFile(join(second.folder, "kind"), "utf8")).toBe("a program");
    expect(await second.restore({ path: "kubectl", key: "key-1" })).toEqual({ outcome: "miss" });
    expect(warnings).toEqual([]);
    // Nothing is left outside of its folder.
    expect(await readdir(folder)).toEqual(["cache"]);
  });

  it("is asked by one client for one entry after another, and by more for several at once", async () => {
    const { store, started } = await opened(json({ ok: false }));
    for (const key of ["a", "b", "c"]) await store.restore({ path: "kind", key });
    expect(started()).toBe(1);
    await Promise.all(["d", "e", "f"].map((key) => store.restore({ path: "kind", key })));
    expect(started()).toBe(3);
    await store.close();
    // Whoever asks then is answered as well.
    expect(await store.restore(entry)).toEqual({ outcome: "miss" });
  });

  it("leaves the processors to others where an entry is restored in the background", async () => {
    /** How far the priorities of all clients are above this process's, at each request. */
    const above: number[][] = [];
    const { store, folder } = await opened((request, response) => {
      const clients = readdirSync("/proc").filter((pid) => commandOf(pid).includes(join(folder, "cache")));
      above.push(clients.map((pid) => getPriority(Number(pid)) - getPriority()).toSorted());
      json({ ok: false })(request, response);
    });
    await store.restore(entry);
    await store.restore({ ...entry, background: true });
    await store.restore(entry);
    expect(above).toEqual([[0], [0, 10], [0, 10]]);
  });

  it("finds the newest entry whose key begins so", async () => {
    const { store } = await opened(cacheService());
    await mkdir(join(store.folder, "index"));
    await store.save({ path: "index", key: "index-2" });
    expect(await store.restore({ path: "index", key: "index-", prefixes: ["index-"] })).toEqual({
      outcome: "hit",
      key: "index-2",
    });
  });
});

describe("an Actions cache that fails", () => {
  it("is not waited for longer than the deadline, and this is said", async () => {
    const { store, warnings } = await opened(() => {}, { deadline: 500 });
    expect(await store.restore(entry)).toMatchObject({ outcome: "failed" });
    expect(warnings).toEqual([
      "The Actions cache is not used any further, because restoring key failed: it took longer than 0.5 s",
    ]);
  });

  it("is not waited for longer than an entry is worth, and asked for others still", async () => {
    let slow = true;
    const { store, warnings } = await opened((request, response) => {
      if (!slow) json({ ok: false })(request, response);
    });
    expect(await store.restore({ ...entry, deadline: 300 })).toEqual({
      outcome: "failed",
      reason: "it took longer than 0.3 s",
    });
    slow = false;
    expect(await store.restore(entry)).toEqual({ outcome: "miss" });
    expect(warnings).toEqual([]);
  });

  it("is not asked where it may take no time", async () => {
    const { store, warnings } = await opened(json({}), { deadline: 0 });
    expect(await store.restore(entry)).toMatchObject({ outcome: "skipped" });
    expect(warnings).toEqual([]);
  });

  it("is asked no more, and only one warning says so", async () => {
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
    ["a key that the client does not take", { path: "kind", key: "a,b" }, "cannot contain commas"],
    ["nothing to save", { path: "not-there", key: "key" }, "do(es) not exist"],
  ])("says why: %s", async (_, wrong, reason) => {
    const { store, warnings } = await opened(json({ ok: false }));
    expect(await store.save(wrong)).toMatchObject({ outcome: "failed" });
    expect(warnings[0]).toContain(reason);
  });

  it("is said to fail when its client ends without a word", async () => {
    const warnings: string[] = [];
    const store = await openCacheStore(join(temporaryFolder(), "cache"), {
      spawnWorker: createWorkerSpawner(randomUUID(), {}),
      program: ["true"],
      deadline: 10_000,
      mode: undefined,
      warn: (message) => warnings.push(message),
    });
    expect(await store.restore(entry)).toMatchObject({ outcome: "failed" });
    expect(warnings).toEqual([expect.stringContaining("ended without an answer")]);
  });
});

/** A service for one entry: found by its key together with the paths it was saved under, which `version` is made of. */
function cacheService(): RequestListener {
  let entry = { key: "", version: "" };
  let blob: Buffer = Buffer.alloc(0);
  // Azure's client, which does the upload, wants a path of an account, a container and a blob.
  const place = "/account/container/blob";
  const asked = z.object({
    key: z.string(),
    version: z.string(),
    restore_keys: z.array(z.string()).default([]),
  });
  return async (request, response) => {
    const body = await bytesOf(request);
    const blobUrl = `http://${request.headers.host}${place}`;
    const [, call] = /CacheService\/(\w+)$/.exec(request.url ?? "") ?? [];
    if (call === undefined) {
      if (request.method === "PUT") blob = body;
      const length = String(request.method === "PUT" ? 0 : blob.length);
      response.writeHead(request.method === "PUT" ? 201 : 200, { "content-length": length });
      response.end(request.method === "GET" ? blob : undefined);
      return;
    }
    const { key, version, restore_keys } = asked.parse(JSON.parse(body.toString()));
    if (call === "CreateCacheEntry") entry = { key, version };
    const fits = [key, ...restore_keys].some((wanted) => entry.key !== "" && entry.key.startsWith(wanted));
    json({
      ok: fits && entry.version === version,
      signed_upload_url: blobUrl,
      signed_download_url: blobUrl,
      matched_key: entry.key,
      entry_id: "1",
    })(request, response);
  };
}
