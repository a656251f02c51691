import { readFile, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { z } from "zod";
import { type CacheStore, openCacheStore } from "../../src/cache/store.ts";
import { quiet } from "../fixtures/quiet.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { bytesOf, serve } from "../fixtures/web-server.ts";

const start = process.cwd();

/** Opens a cache in a folder of the test's own, with a service that answers so; without one where none is given. */
async function opened(answer?: RequestListener): Promise<{ store: CacheStore; warnings: string[] }> {
  const folder = temporaryFolder();
  onTestFinished(() => {
    process.chdir(start);
    vi.unstubAllEnvs();
  });
  // The store sets this one itself; stubbed, it is put back.
  vi.stubEnv("GITHUB_WORKSPACE", "/somewhere/else");
  vi.stubEnv("GITHUB_SERVER_URL", "https://github.com");
  vi.stubEnv("RUNNER_TEMP", folder);
  vi.stubEnv("ACTIONS_CACHE_SERVICE_V2", "true");
  vi.stubEnv("ACTIONS_CACHE_URL", undefined);
  vi.stubEnv("ACTIONS_RUNTIME_TOKEN", "token");
  vi.stubEnv("ACTIONS_RESULTS_URL", answer === undefined ? undefined : `${(await serve(answer)).url}/`);
  quiet();
  const warnings: string[] = [];
  const store = await openCacheStore(join(folder, "cache"), (message) => warnings.push(message));
  return { store, warnings };
}

const json =
  (body: unknown): RequestListener =>
  (_, response) =>
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));

describe("a job without a cache service", () => {
  it("is told so at once, and is no cause for a warning", async () => {
    const { store, warnings } = await opened();
    expect(await store.restore("kind", "key", 10_000)).toBe("unavailable");
    expect(await store.save("kind", "key", 10_000)).toBe("unavailable");
    expect(warnings).toEqual([]);
  });
});

describe("the Actions cache", () => {
  it("misses what it does not have", async () => {
    const { store, warnings } = await opened(json({ ok: false }));
    expect(await store.restore("kind", "key", 10_000)).toBe("miss");
    expect(warnings).toEqual([]);
  });

  it("keeps an entry that is there", async () => {
    const { store, warnings } = await opened(json({ ok: false }));
    await writeFile(join(store.folder, "kind"), "a program");
    expect(await store.save("kind", "key", 10_000)).toBe("exists");
    expect(warnings).toEqual([]);
  });

  it("is not waited for longer than the deadline, and this is said", async () => {
    const { store, warnings } = await opened(() => {});
    expect(await store.restore("kind", "key-1", 50)).toBe("late");
    expect(warnings).toEqual([
      "Restoring key-1 from the Actions cache took longer than 0.05 s and is done without.",
    ]);
  });

  it("fails with a warning, and nothing is thrown", async () => {
    const { store, warnings } = await opened(json({ ok: false }));
    expect(await store.restore("kind", "a,b", 10_000)).toBe("failed");
    expect(warnings[0]).toMatch(/^Restoring a,b from the Actions cache failed: /);
    expect(await store.save("not-there", "key", 10_000)).toBe("failed");
    expect(warnings[1]).toMatch(/^Saving not-there to the Actions cache failed: /);
  });

  it("refuses, and that is a miss", async () => {
    const { store } = await opened((_, response) =>
      response.writeHead(403, { "content-type": "application/json" }).end('{"msg":"cache read denied: no"}'),
    );
    expect(await store.restore("kind", "key", 10_000)).toBe("miss");
  });

  it("brings back on one runner what another one saved, wherever they keep their folders", async () => {
    const service = cacheService();
    const { store: first } = await opened(service);
    await writeFile(join(first.folder, "kind"), "a program");
    expect(await first.save("kind", "key-1", 10_000)).toBe("saved");

    const { store: second, warnings } = await opened(service);
    expect(await second.restore("kind", "key-1", 10_000)).toBe("hit");
    expect(await readFile(join(second.folder, "kind"), "utf8")).toBe("a program");
    expect(await second.restore("kubectl", "key-1", 10_000)).toBe("miss");
    expect(warnings).toEqual([]);
  });
});

/** A service for one entry: found by its key together with the paths it was saved under, which `version` is made of. */
function cacheService(): RequestListener {
  let entry = "";
  let blob: Buffer = Buffer.alloc(0);
  // Azure's client, which does the upload, wants a path of an account, a container and a blob.
  const place = "/account/container/blob";
  const reserved = z.object({ key: z.string(), version: z.string() });
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
    const { key, version } = reserved.parse(JSON.parse(body.toString()));
    if (call === "CreateCacheEntry") entry = key + version;
    json({
      ok: entry === key + version,
      signed_upload_url: blobUrl,
      signed_download_url: blobUrl,
      matched_key: key,
      entry_id: "1",
    })(request, response);
  };
}
