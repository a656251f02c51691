import { createHash, randomBytes } from "node:crypto";
import { open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { sha256File } from "../../../src/lib/sha256.ts";
import { cacheJob } from "../../fixtures/cache-job.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import type { Fault } from "../../harness/results-service/faults.ts";
import { type ResultsServiceOptions, startResultsService } from "../../harness/results-service/server.ts";

async function service(options: Omit<ResultsServiceOptions, "dir"> = {}) {
  const started = await startResultsService({ dir: temporaryFolder(), ...options });
  onTestFinished(() => started.close());
  return started;
}

const entry = { path: "file", key: "key" };

describe("a large cache entry", () => {
  const megabytes = 300;

  it.each(["azure", "loopback"] as const)(
    "is restored unchanged with storage at %s",
    async (blobHost) => {
      const results = await service({ blobHost });
      const first = await cacheJob(results);
      const sum = await writeRandom(join(first.store.folder, "file"), megabytes);
      expect(await first.store.save(entry)).toEqual({ outcome: "saved", key: "key" });
      const second = await cacheJob(results);
      expect(await second.store.restore(entry)).toEqual({ outcome: "hit", key: "key" });
      expect(await sha256File(join(second.store.folder, "file"))).toBe(sum);
      expect([...first.warnings, ...second.warnings]).toEqual([]);
    },
    60_000,
  );
});

describe("a failing cache service", () => {
  const onEveryCall: Fault[] = ["rpc-401", "rpc-429", "rpc-500", "rpc-html", "rpc-reset", { rpcDelay: 20 }];

  it.each(onEveryCall)("causes one warning, and is not used any more: %j", async (fault) => {
    const results = await service({ faults: [fault] });
    const { store, warnings } = await cacheJob(results, { timeoutMs: 1_500 });
    await writeFile(join(store.folder, "file"), "content");
    expect(await store.restore(entry)).toMatchObject({ outcome: "failed" });
    expect(await store.restore({ ...entry, key: "other" })).toMatchObject({ outcome: "skipped" });
    expect(await store.save(entry)).toMatchObject({ outcome: "skipped" });
    expect(warnings).toEqual([
      expect.stringMatching(
        /^The Actions cache is disabled for the rest of this step, because restoring key failed: ./,
      ),
    ]);
  });

  it.each<Fault>(["blob-truncated", "blob-corrupt", "blob-stall", "blob-503"])(
    "does not make a damaged entry a hit: %s",
    async (fault) => {
      const results = await service();
      const first = await cacheJob(results);
      await writeFile(join(first.store.folder, "file"), randomBytes(3_000_000));
      await first.store.save(entry);
      results.inject(fault);
      const { store, warnings } = await cacheJob(results, { timeoutMs: 2_000 });
      expect(await store.restore(entry)).toMatchObject({ outcome: "failed" });
      expect(warnings).toHaveLength(1);
    },
    20_000,
  );

  it("causes a warning if it does not complete an upload", async () => {
    const results = await service({ faults: ["finalize-fail"] });
    const { store, warnings } = await cacheJob(results);
    await writeFile(join(store.folder, "file"), "content");
    expect(await store.save(entry)).toMatchObject({ outcome: "failed" });
    expect(warnings).toHaveLength(1);
  });
});

describe("two jobs that save the same entry at the same time", () => {
  it("leave one entry, without warnings", async () => {
    const results = await service();
    const jobs = await Promise.all([cacheJob(results), cacheJob(results)]);
    const saved = await Promise.all(
      jobs.map(async ({ store }) => {
        await writeFile(join(store.folder, "file"), "content");
        return await store.save(entry);
      }),
    );
    expect(saved.map(({ outcome }) => outcome).toSorted()).toEqual(["exists", "saved"]);
    expect(jobs.flatMap(({ warnings }) => warnings)).toEqual([]);
    const { store } = await cacheJob(results);
    expect(await store.restore(entry)).toMatchObject({ outcome: "hit" });
    expect(await readFile(join(store.folder, "file"), "utf8")).toBe("content");
  });
});

/** @returns the SHA-256 of what was written */
async function writeRandom(path: string, megabytes: number): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(path, "w");
  for (let written = 0; written < megabytes; written += 10) {
    const piece = randomBytes(10_000_000);
    hash.update(piece);
    await file.write(piece);
  }
  await file.close();
  return hash.digest("hex");
}
