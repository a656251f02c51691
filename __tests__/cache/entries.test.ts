import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { CacheContext } from "../../src/cache/entries/context.ts";
import { cacheEntries, optionalEntries } from "../../src/cache/entries.ts";
import { sha256Hex } from "../../src/lib/sha256.ts";
import { readInputs } from "../../src/runner/inputs/create.ts";
import { sample } from "../archive/archives.ts";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";
import { memoryCache } from "../fixtures/memory-cache.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { storeImage } from "../fixtures/registry-storage.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { give, publish } from "../oci/published-images.ts";

/** The context of a run with an empty cache, and data to save for each entry, as main leaves it. */
async function run() {
  const cache = memoryCache();
  const daemon = await dockerDaemon();
  const folder = temporaryFolder();
  const context: CacheContext = { store: cache.store(), engine: daemon.engine, folder };
  const published = await publish(sample("node"));
  give(daemon, published);
  const path = join(folder, "kind");
  await writeFile(path, "the program kind");
  const proxy = join(folder, "docker.io");
  await storeImage(proxy, { repository: "web", manifest: "manifest of web", layers: ["layer of web"] });
  const pending: Readonly<Record<string, object>> = {
    tool: { name: "kind", checksum: sha256Hex("the program kind"), path },
    "node-image": {
      reference: published.reference,
      architecture: "amd64",
      restored: false,
      seconds: 12.5,
    },
    proxies: {
      containers: {},
      folders: { "docker.io": proxy },
      keyPrefix: "proxies-of-a-job-",
      maxBytes: 1e9,
    },
  };
  return { cache, context, pending };
}

const names = cacheEntries.map(({ name }) => name);

describe("the list of cache entries", () => {
  it("contains each name once", () => {
    expect(new Set(names).size).toBe(names.length);
  });

  it("contains the names of the output `cache_hit`", () => {
    expect(optionalEntries).toEqual(["proxies", "node-image"]);
  });

  it.each(optionalEntries)("contains %s, which the input `cache` accepts", async (name) => {
    const inputs = await readInputs((input) => (input === "cache" ? name : ""), "/workspace");
    expect(inputs.problems).toEqual([]);
    expect(inputs.cache.entries).toEqual([name]);
  });

  it.each(names.filter((name) => !optionalEntries.includes(name)))(
    "contains %s, which the input `cache` does not accept",
    async (name) => {
      const { problems } = await readInputs((input) => (input === "cache" ? name : ""), "/workspace");
      expect(problems).toMatchObject([{ input: "cache", value: name }]);
    },
  );
});

describe.each(cacheEntries)("the cache entry $name", (entry) => {
  it("saves the data that main left, after it went through JSON", async () => {
    const { cache, context, pending } = await run();
    const json = JSON.stringify(pending[entry.name]);
    const save = await entry.prepareSave(JSON.parse(json), context);
    expect(cache.entries.size).toBe(0);
    await save(recordingLog());
    expect(cache.entries.size).toBeGreaterThan(0);
    for (const key of cache.entries.keys()) {
      expect(key).not.toContain(",");
      expect(key.length).toBeLessThanOrEqual(512);
    }
  });

  it("does not save again what the cache has", async () => {
    const { cache, context, pending } = await run();
    const save = async (target: CacheContext) => {
      const saveItem = await entry.prepareSave(pending[entry.name], target);
      await saveItem(recordingLog());
    };
    await save(context);
    const saved = new Map(cache.entries);
    await save({ ...context, store: cache.store() });
    expect(cache.entries).toEqual(saved);
  });

  it.each([
    ["an unknown field", (valid: object) => ({ ...valid, command: "rm" })],
    ["no fields", () => ({})],
    ["a list", () => []],
    ["null", () => null],
  ])("rejects data with %s", async (_, change) => {
    const { cache, context, pending } = await run();
    await expect(entry.prepareSave(change(pending[entry.name] ?? {}), context)).rejects.toThrow();
    expect(cache.calls).toEqual([]);
  });
});
