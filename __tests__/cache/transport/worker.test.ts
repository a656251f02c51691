import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  type CacheRequest,
  isReply,
  parseOutput,
  renderRequest,
} from "../../../src/cache/transport/protocol.ts";
import { createWorkerSpawner } from "../../../src/lib/worker-process.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import { serve } from "../../fixtures/web-server.ts";

/** Starts the cache worker from its source, with a cache service without entries. */
async function startWorker() {
  const { url } = await serve((_, response) =>
    response.writeHead(200, { "content-type": "application/json" }).end('{"ok":false}'),
  );
  const spawnWorker = createWorkerSpawner(randomUUID(), {
    PATH: process.env.PATH ?? "",
    GITHUB_SERVER_URL: "https://github.com",
    ACTIONS_CACHE_SERVICE_V2: "true",
    ACTIONS_RUNTIME_TOKEN: "token",
    ACTIONS_RESULTS_URL: `${url}/`,
  });
  const folder = join(temporaryFolder(), "cache");
  mkdirSync(folder);
  const script = resolve(import.meta.dirname, "../../../src/actions/cache-worker.ts");
  const worker = spawnWorker(process.execPath, [script, folder]);
  onTestFinished(() => worker.close());
  return async (request: CacheRequest) => {
    const id = randomUUID();
    return parseOutput(
      id,
      await worker.request(renderRequest(id, request), (line) => isReply(id, line), 20_000),
    );
  };
}

describe("the cache worker", { timeout: 30_000 }, () => {
  it("replies `failed` with the reason if the client throws, and executes later requests", async () => {
    const request = await startWorker();
    const invalid = await request({ call: "find", path: "kind", key: "a,b" });
    expect(invalid.reply).toMatchObject({
      outcome: "failed",
      reason: expect.stringContaining("cannot contain commas"),
    });
    expect(invalid.failure).toContain("cannot contain commas");
    expect(await request({ call: "find", path: "kind", key: "key" })).toEqual({
      reply: { outcome: "none" },
      failure: undefined,
    });
  });
});
