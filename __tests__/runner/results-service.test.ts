import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { artifacts } from "./results-service/artifact-service.ts";
import { type ResultsServiceOptions, startResultsService } from "./results-service/server.ts";
import { type RunActionOptions, runAction } from "./run-action.ts";
import { createRuntimeToken } from "./runtime-token.ts";
import { temporaryFolder } from "./temporary-folder.ts";

// Each test starts programs, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

const run = promisify(execFile);

async function start(options: Partial<ResultsServiceOptions> = {}) {
  const service = await startResultsService({ dir: await temporaryFolder(), ...options });
  onTestFinished(() => service.close());
  return service;
}

/** Runs an action of this folder in a workspace, with the service at hand. */
function use(name: string, inputs: Record<string, string>, options: RunActionOptions) {
  return runAction({ action: join(import.meta.dirname, name), inputs, ...options });
}

const cache = (operation: string, inputs: Record<string, string>, options: RunActionOptions) =>
  use("fixtures/cache-client", { operation, path: "data", key: "key", ...inputs }, options);

async function workspaceWith(content: string | Buffer): Promise<string> {
  const workspace = await temporaryFolder();
  await mkdir(join(workspace, "data"));
  await writeFile(join(workspace, "data/file"), content);
  return workspace;
}

describe("caches, by @actions/cache", () => {
  test("what one job saves, another restores", async () => {
    const resultsService = await start();
    const save = await cache("save", {}, { resultsService, workspace: await workspaceWith("content") });
    expect(save.outputs.result).toMatch(/^[1-9]\d*$/);

    const workspace = await temporaryFolder();
    const restore = await cache("restore", {}, { resultsService, workspace });
    expect(restore.outputs.result).toBe("key");
    expect(await readFile(join(workspace, "data/file"), "utf8")).toBe("content");
    expect(restore.annotations).toEqual([]);
  });

  test("what one service keeps, another with the same folder finds", async () => {
    const cacheDir = await temporaryFolder();
    const { outputs } = await cache("save", {}, { cacheDir, workspace: await workspaceWith("content") });
    expect(outputs.result).not.toBe("-1");
    const resultsService = await start({ dir: cacheDir });
    const lookup = await cache("lookup", {}, { resultsService, workspace: await temporaryFolder() });
    expect(lookup.outputs.result).toBe("key");
    expect(resultsService.requests).toEqual([
      {
        method: "POST",
        path: "/twirp/github.actions.results.api.v1.CacheService/GetCacheEntryDownloadURL",
        status: 200,
        message: { key: "key", version: expect.any(String) },
      },
    ]);
  });

  test("a key is saved once: of two jobs that save it at once, by two services, one gets an id", async () => {
    const dir = await temporaryFolder();
    const workspace = await workspaceWith(randomBytes(1000));
    const saves = await Promise.all(
      [await start({ dir }), await start({ dir })].map((resultsService) =>
        cache("save", {}, { resultsService, workspace }),
      ),
    );
    const ids = saves.map((save) => save.outputs.result);
    expect(ids).toContain("-1");
    expect(ids).toContainEqual(expect.stringMatching(/^[1-9]/));
    expect(saves.map((save) => save.main.log).join("\n")).toContain(
      "Unable to reserve cache with key key, another job may be creating this cache.",
    );
  });

  test("more than 128 MiB travel in blocks", async () => {
    const dir = await temporaryFolder();
    const resultsService = await start({ dir });
    const workspace = await workspaceWith(randomBytes(140 * 1024 * 1024));
    const { outputs } = await cache("save", {}, { resultsService, workspace });
    expect(outputs.result).not.toBe("-1");
    // Two blocks of 64 MiB, what is left, and the list of them.
    const uploads = resultsService.requests.filter((request) => request.method === "PUT");
    expect(uploads.map(({ status }) => status)).toEqual([201, 201, 201, 201]);

    const [entry = ""] = await readdir(join(dir, "caches"));
    const archive = join(dir, "caches", entry, "blob");
    // zstd checks what it reads against the checksum of the whole.
    expect((await run("tar", ["--zstd", "-tf", archive])).stdout).toBe("data/\ndata/file\n");
    expect((await readdir(join(dir, "caches", entry))).sort()).toEqual([
      "blob",
      "content-type",
      "entry.json",
    ]);
  });

  test("under a name of Azure's, clients use Azure's SDK", async () => {
    const resultsService = await start({ blobHost: "azure" });
    const content = randomBytes(9 * 1024 * 1024);
    await cache("save", {}, { resultsService, workspace: await workspaceWith(content) });
    const workspace = await temporaryFolder();
    await cache("restore", {}, { resultsService, workspace });
    expect(content.equals(await readFile(join(workspace, "data/file")))).toBe(true);
    // The SDK asks for the size, then for 4 MiB at a time.
    const downloads = resultsService.requests.filter(({ path }) => path.startsWith("/caches/"));
    expect(downloads.map(({ method, status }) => `${method} ${status}`)).toEqual([
      "PUT 201",
      "HEAD 200",
      "GET 206",
      "GET 206",
      "GET 206",
    ]);
  });

  test.each([
    ["reserve-taken", "save", "Failed to save: Unable to reserve cache with key key"],
    ["finalize-fail", "save", "Warning: Failed to save: "],
    ["blob-truncated", "restore", "Warning: Failed to restore: "],
    ["blob-corrupt", "restore", "Warning: Failed to restore: "],
  ] as const)("with %s, %s does not work and says so", async (fault, operation, message) => {
    const resultsService = await start();
    const workspace = await workspaceWith(randomBytes(500_000));
    if (operation === "restore") await cache("save", {}, { resultsService, workspace });
    resultsService.inject(fault);
    const { outputs, main } = await cache(operation, {}, { resultsService, workspace });
    expect(outputs.result).toBe(operation === "save" ? "-1" : "");
    expect(main.log).toContain(message);
    expect(main.outcome).toBe("success");
  });
});

describe("artifacts, by @actions/artifact", () => {
  const upload = (inputs: Record<string, string>, options: RunActionOptions) =>
    use("actions/upload-artifact", { path: "data", ...inputs }, options);
  const env = { GITHUB_RUN_ID: "77" };

  test("what one job of a run uploads, another downloads", async () => {
    const resultsService = await start();
    const workspace = await workspaceWith("content");
    await mkdir(join(workspace, "data/deep"));
    await copyFile(join(workspace, "data/file"), join(workspace, "data/deep/copy"));
    const { outputs } = await upload({ name: "images" }, { resultsService, workspace, env });
    expect(outputs).toEqual({
      "artifact-id": expect.stringMatching(/^\d+$/),
      "artifact-digest": expect.stringMatching(/^[0-9a-f]{64}$/),
    });

    const target = await temporaryFolder();
    for (const inputs of [{ name: "images", path: "one" }, { path: "all" }]) {
      const { main } = await use("actions/download-artifact", inputs, {
        resultsService,
        workspace: target,
        env,
      });
      expect(main.outcome).toBe("success");
    }
    expect(await readFile(join(target, "one/file"), "utf8")).toBe("content");
    expect(await readFile(join(target, "all/images/deep/copy"), "utf8")).toBe("content");
  });

  test("a name is taken once in a run", async () => {
    const dir = await temporaryFolder();
    const options = {
      resultsService: await start({ dir }),
      workspace: await workspaceWith("content"),
      env,
    };
    await upload({ name: "logs" }, options);
    const second = await upload({ name: "logs" }, options);
    expect(second.main.outcome).toBe("failure");
    expect(second.main.log).toContain(
      "(409) Conflict: an artifact with this name already exists on the workflow run",
    );

    const [logs, ...others] = await artifacts(dir);
    expect(others).toEqual([]);
    expect(logs).toMatchObject({ name: "logs", run: "77" });
    const zip = await readFile(logs?.zipPath ?? "");
    expect(zip.length).toBe(logs?.size);
    expect(zip.subarray(0, 2).toString()).toBe("PK");
  });

  test("no artifacts were left in a folder that nobody used", async () => {
    expect(await artifacts(join(await temporaryFolder(), "none"))).toEqual([]);
  });

  test("no files may be an error", async () => {
    const options = { resultsService: await start(), workspace: await temporaryFolder() };
    const { exitCode, annotations } = await upload({ path: "none*", "if-no-files-found": "error" }, options);
    expect(exitCode).toBe(1);
    expect(annotations).toEqual([
      { level: "error", message: expect.stringContaining("No files were found") },
    ]);
  });
});

describe("the protocol", () => {
  const token = createRuntimeToken({ run: "77", job: "1" });

  /** The fields of all answers. */
  const reply = z
    .strictObject({
      ok: z.boolean(),
      code: z.string(),
      msg: z.string(),
      message: z.string(),
      signed_upload_url: z.string(),
      signed_download_url: z.string(),
      signed_url: z.string(),
      matched_key: z.string(),
      entry_id: z.string(),
      artifact_id: z.string(),
      artifacts: z.array(z.record(z.string(), z.string())),
    })
    .partial();

  /** Calls a method as a client does. */
  async function call(url: string, method: string, body: object, authorization = `Bearer ${token}`) {
    const response = await fetch(new URL(`/twirp/github.actions.results.api.v1.${method}`, url), {
      method: "POST",
      headers: { "content-type": "application/json", authorization },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    const json = response.headers.get("content-type") === "application/json";
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: reply.parse(json ? JSON.parse(text) : {}),
    };
  }

  const create = (url: string, entry: { key: string; version?: string }) =>
    call(url, "CacheService/CreateCacheEntry", { version: "v", ...entry });

  async function save(url: string, key: string, content = "content") {
    const { body } = await create(url, { key });
    await fetch(body.signed_upload_url ?? "", { method: "PUT", body: content });
    const entry = { key, version: "v", size_bytes: String(content.length) };
    return call(url, "CacheService/FinalizeCacheEntryUpload", entry);
  }

  const find = (url: string, key: string, restoreKeys: string[] = [], version = "v") =>
    call(url, "CacheService/GetCacheEntryDownloadURL", { key, restore_keys: restoreKeys, version });

  test("finds the key itself, else the newest entry with that prefix, then each restore key", async () => {
    const { url } = await start();
    for (const key of ["node-1", "node-2", "node-22", "other-1"]) await save(url, key);
    const matched = async (...args: [key: string, restoreKeys?: string[], version?: string]) =>
      (await find(url, ...args)).body.matched_key;
    expect(await matched("node-2")).toBe("node-2");
    expect(await matched("node-")).toBe("node-22");
    expect(await matched("missing", ["none", "other-", "node-1"])).toBe("other-1");
    expect(await matched("missing", ["node-1"])).toBe("node-1");
    expect(await matched("NODE-1")).toBeUndefined();
    expect(await matched("node-2", [], "another version")).toBeUndefined();
    expect((await find(url, "missing")).body).toEqual({ ok: false });
  });

  test("does not show an entry before it is complete, nor lets anyone reserve it again", async () => {
    const { url } = await start();
    const first = await create(url, { key: "k" });
    expect(first).toMatchObject({ status: 200, body: { ok: true } });
    expect(await create(url, { key: "k" })).toMatchObject({ status: 409, body: { code: "already_exists" } });
    expect((await create(url, { key: "k", version: "w" })).status).toBe(200);
    expect((await find(url, "k")).body).toEqual({ ok: false });
  });

  test("finishes only what was uploaded, all of it", async () => {
    const { url } = await start();
    const finish = (size: number) =>
      call(url, "CacheService/FinalizeCacheEntryUpload", { key: "k", version: "v", size_bytes: `${size}` });
    expect(await finish(1)).toMatchObject({ status: 404, body: { code: "not_found" } });
    const { body } = await create(url, { key: "k" });
    expect(await finish(1)).toMatchObject({ status: 404 });
    await fetch(body.signed_upload_url ?? "", { method: "PUT", body: "abc" });
    expect((await finish(2)).body).toEqual({
      ok: false,
      message: "size mismatch: 3 bytes were uploaded, not 2",
    });
    expect((await finish(3)).body).toEqual({ ok: true, entry_id: expect.stringMatching(/^\d+$/) });
  });

  test("keys of any characters and length are no paths", async () => {
    const dir = await temporaryFolder();
    const { url } = await start({ dir });
    for (const key of ["../../escape", "a/b", "ü\u0000", "x".repeat(512)]) {
      await save(url, key);
      expect((await find(url, key)).body.matched_key).toBe(key);
    }
    expect(await readdir(dir)).toEqual(["caches"]);
    expect((await create(url, { key: "x".repeat(513) })).status).toBe(400);
  });

  test("serves blobs whole, in ranges, and only to those who have their address", async () => {
    const { url } = await start();
    await save(url, "k", "0123456789");
    const blob = (await find(url, "k")).body.signed_download_url ?? "";
    const range = async (value: string) => {
      const response = await fetch(blob, { headers: { "x-ms-range": value } });
      return [response.status, response.headers.get("content-range"), await response.text()];
    };
    expect(await (await fetch(blob)).text()).toBe("0123456789");
    expect(await range("bytes=2-4")).toEqual([206, "bytes 2-4/10", "234"]);
    expect(await range("bytes=8-99")).toEqual([206, "bytes 8-9/10", "89"]);
    expect(await range("bytes=8-")).toEqual([206, "bytes 8-9/10", "89"]);
    expect(await range("bytes=10-")).toEqual([416, null, ""]);
    expect((await fetch(blob.replace(/sig=[^&]+/, "sig=x"))).status).toBe(403);
    expect((await fetch(new URL("/acct/other/x", url))).status).toBe(404);
  });

  test("a run sees its own artifacts alone", async () => {
    const { url } = await start();
    const artifact = async (method: string, run: string, body: object) => {
      const ids = { workflow_run_backend_id: run, workflow_job_run_backend_id: "1" };
      const authorization = `Bearer ${createRuntimeToken({ run, job: "1" })}`;
      return call(url, `ArtifactService/${method}`, { ...ids, ...body }, authorization);
    };
    for (const run of ["77", "78"]) {
      const { body } = await artifact("CreateArtifact", run, { name: "logs", version: 7 });
      const headers = { "x-ms-blob-content-type": "application/zip" };
      await fetch(body.signed_upload_url ?? "", { method: "PUT", headers, body: run });
      await artifact("FinalizeArtifact", run, { name: "logs", size: "2", hash: `sha256:${run}` });
    }
    expect((await artifact("CreateArtifact", "77", { name: "logs" })).status).toBe(409);
    const listed = (await artifact("ListArtifacts", "78", {})).body.artifacts;
    expect(listed).toEqual([
      expect.objectContaining({
        workflow_run_backend_id: "78",
        name: "logs",
        size: "2",
        digest: "sha256:78",
      }),
    ]);
    expect((await artifact("ListArtifacts", "78", { name_filter: "other" })).body.artifacts).toEqual([]);

    const download = await artifact("GetSignedArtifactURL", "77", { name: "logs" });
    const response = await fetch(download.body.signed_url ?? "");
    expect([response.headers.get("content-type"), await response.text()]).toEqual(["application/zip", "77"]);

    expect((await artifact("DeleteArtifact", "77", { name: "logs" })).status).toBe(200);
    expect((await artifact("GetSignedArtifactURL", "77", { name: "logs" })).status).toBe(404);
    expect((await artifact("ListArtifacts", "78", {})).body.artifacts).toEqual(listed);
  });

  test("wants a token with the ids of run and job", async () => {
    const { url } = await start();
    const list = (run: string, authorization?: string) =>
      call(
        url,
        "ArtifactService/ListArtifacts",
        { workflow_run_backend_id: run, workflow_job_run_backend_id: "1" },
        authorization,
      );
    expect(await list("77")).toMatchObject({ status: 200, body: { artifacts: [] } });
    expect(await list("78")).toMatchObject({ status: 403, body: { code: "permission_denied" } });
    expect(await list("77", "")).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
    expect(await list("77", "Bearer nonsense")).toMatchObject({ status: 401 });
    expect(await call(url, "CacheService/Nope", {})).toMatchObject({
      status: 404,
      body: { code: "bad_route" },
    });
  });

  test("fails in the ways it is told to, until it is told to stop", async () => {
    const { url, inject, requests } = await start({ faults: ["rpc-500"] });
    expect(await find(url, "k")).toMatchObject({ status: 500, body: { code: "internal" } });
    inject("rpc-401");
    expect(await find(url, "k")).toMatchObject({ status: 401 });
    inject("rpc-429");
    const limited = await find(url, "k");
    expect(limited.status).toBe(429);
    expect(limited.headers.get("retry-after")).toBe("60");
    inject("rpc-html");
    expect(await find(url, "k")).toMatchObject({ status: 502, text: expect.stringContaining("<html>") });
    inject("rpc-reset");
    await expect(find(url, "k")).rejects.toThrow("fetch failed");
    inject({ rpcDelay: 0.3 });
    const started = performance.now();
    expect(await find(url, "k")).toMatchObject({ status: 200 });
    expect(performance.now() - started).toBeGreaterThan(290);
    inject();
    expect(await save(url, "k")).toMatchObject({ status: 200 });
    expect(requests.map(({ status }) => status)).toEqual([500, 401, 429, 502, 0, 200, 200, 201, 200]);
  });

  test("spoils blobs in the ways it is told to", async () => {
    const { url, inject } = await start();
    const content = "0123456789".repeat(1000);
    await save(url, "k", content);
    const blob = (await find(url, "k")).body.signed_download_url ?? "";

    inject("blob-503");
    const busy = await fetch(blob);
    expect([busy.status, busy.headers.get("x-ms-error-code")]).toEqual([503, "ServerBusy"]);
    inject("blob-truncated");
    await expect(fetch(blob).then((response) => response.text())).rejects.toThrow("terminated");
    inject("blob-corrupt");
    const corrupt = await (await fetch(blob)).text();
    expect(corrupt).toBe(content.slice(0, 5000) + "A".repeat(5000));
    inject("blob-stall");
    const stalled = fetch(blob, { signal: AbortSignal.timeout(300) }).then((response) => response.text());
    await expect(stalled).rejects.toThrow("aborted due to timeout");
    inject();
    expect(await (await fetch(blob)).text()).toBe(content);
  });

  test("a service that stops does not wait for its clients", async () => {
    const { url, close } = await startResultsService({
      dir: await temporaryFolder(),
      faults: [{ rpcDelay: 60 }],
    });
    const pending = find(url, "k").catch(String);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await close();
    await close();
    expect(await pending).toBe("TypeError: fetch failed");
  });
});
