import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { restoredTool, toolEntry } from "../../../src/cache/entries/tool.ts";
import { Engine } from "../../../src/docker/engine.ts";
import { sha256Hex } from "../../../src/lib/sha256.ts";
import { type MemoryCache, memoryCache } from "../../fixtures/memory-cache.ts";
import { recordingLog } from "../../fixtures/recording.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";

const keyOf = (name: string, checksum: string) => toolEntry.key({ name, checksum });
const kind = { name: "kind", checksum: sha256Hex("the program kind") };

const contextOf = (cache: MemoryCache) => ({
  store: cache.store(),
  engine: new Engine({}),
  folder: temporaryFolder(),
});

/** Saves kind in one run. */
async function savedCache(): Promise<MemoryCache> {
  const cache = memoryCache();
  const path = join(temporaryFolder(), "download");
  await writeFile(path, "the program kind");
  await toolEntry.save({ ...kind, path }, contextOf(cache), recordingLog());
  return cache;
}

describe("the key of a tool", () => {
  it("depends on the name and the checksum", () => {
    const keys = [keyOf("kind", "aa"), keyOf("kubectl", "aa"), keyOf("kind", "ab")];
    expect(new Set(keys).size).toBe(keys.length);
    // The cache service also finds entries by a prefix of their key.
    for (const key of keys)
      expect(keys.filter((other) => other !== key && other.startsWith(key))).toEqual([]);
  });

  it("is accepted by the cache service: without commas, and with at most 512 characters", () => {
    const key = keyOf("kubectl", "f".repeat(64));
    expect(key).not.toContain(",");
    expect(key.length).toBeLessThanOrEqual(512);
  });

  it("is stable between versions of the action", () => {
    expect(keyOf("kind", "ab")).toBe("kind-action-tool-v1-kind-ab");
  });
});

describe("toolEntry", () => {
  it("restores the tool that an earlier run saved", async () => {
    const context = contextOf(await savedCache());
    const log = recordingLog();
    expect(await toolEntry.restore(kind, context, log)).toEqual({ outcome: "hit", bytes: 0 });
    expect(sha256Hex("the program kind")).toBe(kind.checksum);
    expect(restoredTool(context, "kind")).toBe(join(context.store.folder, "kind"));
    expect(log.lines).toEqual([]);
  });

  it("misses a tool with other content than its checksum", async () => {
    const cache = await savedCache();
    for (const { files } of cache.entries.values()) files.set("kind", Buffer.from("another program"));
    expect(await toolEntry.restore(kind, contextOf(cache), recordingLog())).toEqual({
      outcome: "miss",
      bytes: 0,
    });
  });

  it("misses a tool that was never saved", async () => {
    expect(await toolEntry.restore(kind, contextOf(memoryCache()), recordingLog())).toEqual({
      outcome: "miss",
      bytes: 0,
    });
  });

  it("logs why a tool could not be restored", async () => {
    const cache = memoryCache();
    cache.instead = () => ({ outcome: "failed", reason: "it took longer than 20 s" });
    const log = recordingLog();
    expect(await toolEntry.restore(kind, contextOf(cache), log)).toEqual({ outcome: "failed", bytes: 0 });
    expect(log.lines).toEqual(["Could not restore kind from the cache: it took longer than 20 s"]);
  });

  it("uses a complete file even if the restore failed after it", async () => {
    const cache = memoryCache();
    const context = contextOf(cache);
    await mkdir(context.store.folder, { recursive: true });
    await writeFile(restoredTool(context, "kind"), "the program kind");
    cache.instead = () => ({ outcome: "failed", reason: "the connection ended" });
    expect(await toolEntry.restore(kind, context, recordingLog())).toMatchObject({ outcome: "hit" });
  });
});
