import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { restoreImage, saveImage } from "../../../src/cache/entries/node-image.ts";
import type { CacheReport } from "../../../src/cache/entry.ts";
import { ensureImage, type ImageSource } from "../../../src/images/ensure.ts";
import { restoredTag } from "../../../src/images/pinned-image.ts";
import { digestOf, sample } from "../../archive/archives.ts";
import { noise, tar } from "../../archive/tar-files.ts";
import { type DockerDaemon, dockerDaemon } from "../../fixtures/docker-daemon.ts";
import { type EntryFile, type MemoryCache, memoryCache } from "../../fixtures/memory-cache.ts";
import { recordingLog } from "../../fixtures/recording.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import {
  amd64,
  changeIndex,
  dockerCli,
  give,
  labels,
  type PublishedImage,
  pinned,
  publish,
} from "../../oci/published-images.ts";

/** A cache with a saved image, and another image that an attacker could save. */
interface Poisoning {
  readonly cache: MemoryCache;
  readonly published: PublishedImage;
  readonly other: PublishedImage;
  readonly indexKey: string;
  /** The keys of the image's layers. */
  readonly layerKeys: readonly string[];
}

async function saved(): Promise<Poisoning> {
  const cache = memoryCache();
  const published = await publish(sample("node", { layers: 2 }));
  const daemon = await dockerDaemon();
  give(daemon, published);
  const options = { seconds: 12.5, folder: temporaryFolder() };
  await saveImage(cache.store(), daemon.engine, pinned(published), options, recordingLog());
  const keys = [...cache.entries.keys()];
  return {
    cache,
    published,
    other: await publish(sample("other", { layers: 2 })),
    indexKey: keys.find((key) => key.startsWith("kind-action-image-")) ?? "",
    layerKeys: keys.filter((key) => key.startsWith("kind-action-layer-")),
  };
}

/** Returns the only file of an entry. */
function fileOf(
  { cache }: Poisoning,
  key: string | undefined,
): { path: string; content: Buffer; set(file: EntryFile): void } {
  const files = cache.entries.get(key ?? "")?.files ?? new Map<string, EntryFile>();
  for (const [path, content] of files)
    if (Buffer.isBuffer(content)) return { path, content, set: (file) => void files.set(path, file) };
  throw new Error(`${key} has no file`);
}

const indexOf = (poisoning: Poisoning) => fileOf(poisoning, poisoning.indexKey);
const layerOf = (poisoning: Poisoning, index = 0) => fileOf(poisoning, poisoning.layerKeys[index]);

/** Replaces the manifest chain in the index. */
function setChain({ cache, indexKey }: Poisoning, chain: readonly (string | undefined)[]): void {
  changeIndex(cache, indexKey, (index) => ({ ...index, chain }));
}

/** Ensures the image in an empty daemon: it must be pulled, and must be the published one. */
async function expectPull(
  { cache, published }: Poisoning,
  reason: RegExp,
  given?: DockerDaemon,
): Promise<void> {
  const daemon = given ?? (await dockerDaemon());
  const log = recordingLog();
  const { run, pulls } = dockerCli(daemon, published);
  const store = cache.store();
  const { reference, image } = published;
  const reports: CacheReport[] = [];
  const restore: ImageSource["restore"] = async (target, restoreLog) => {
    const options = { onlyIfFaster: true, labels };
    const report = await restoreImage(store, daemon.engine, target, options, restoreLog);
    reports.push(report);
    return report.outcome === "hit";
  };
  const source = { engine: daemon.engine, runProgram: run, platform: amd64, restore };
  const ensured = await ensureImage({ reference }, source, log);
  expect(ensured).toMatchObject({ reference, name: reference, from: "registry" });
  expect(reports).toEqual([{ outcome: "miss", bytes: 0 }]);
  expect(pulls).toEqual([reference]);
  expect([...daemon.images]).toEqual([[reference, image.id]]);
  expect([...daemon.contents.keys()]).toEqual([image.id]);
  expect(log.lines).toEqual([expect.stringMatching(reason)]);
  expect(readdirSync(store.folder).filter((name) => name.startsWith("layer-"))).toEqual([]);
}

/** Matches the log line about an index that is not usable. */
const because = (reason: string) =>
  new RegExp(`^Cache entry kind-action-image-v2-amd64-[0-9a-f]{64}-image is not usable: ${reason}`);

const hash = "sha256:[0-9a-f]{64}";

describe("an image is pulled if its cached index", () => {
  it.each<{ form: string; change: (poisoning: Poisoning) => void; why: string }>([
    { form: "is not JSON", change: (it) => indexOf(it).set(Buffer.from("{")), why: "its index is not JSON$" },
    { form: "is empty", change: (it) => indexOf(it).set(Buffer.alloc(0)), why: "its index is not JSON$" },
    { form: "is binary", change: (it) => indexOf(it).set(noise("x", 900)), why: "its index is not JSON$" },
    {
      form: "is a list",
      change: (it) => indexOf(it).set(Buffer.from("[]")),
      why: "its index is invalid$",
    },
    {
      form: "has another version",
      change: ({ cache, indexKey }) => changeIndex(cache, indexKey, (index) => ({ ...index, version: 2 })),
      why: "its index is invalid$",
    },
    {
      form: "has an unknown field",
      change: ({ cache, indexKey }) =>
        changeIndex(cache, indexKey, (index) => ({ ...index, tag: "kindest/node" })),
      why: "its index is invalid$",
    },
    {
      form: "is a folder",
      change: (it) => indexOf(it).set("folder"),
      why: "its index is not a regular file",
    },
    {
      form: "is behind a symbolic link",
      change: (it) => {
        const elsewhere = temporaryFolder();
        writeFileSync(join(elsewhere, "index.json"), indexOf(it).content);
        const { path = "" } = it.cache.entries.get(it.indexKey) ?? {};
        it.cache.entries.set(it.indexKey, { path, files: new Map([[path, { link: elsewhere }]]) });
      },
      why: "its index is not a regular file",
    },
    {
      form: "is a symbolic link",
      change: (it) => indexOf(it).set({ link: "/dev/zero" }),
      why: "its index is not a regular file",
    },
    {
      form: "is missing in its entry",
      change: ({ cache, indexKey }) => cache.entries.get(indexKey)?.files.clear(),
      why: "ENOENT",
    },
  ])("$form", async ({ change, why }) => {
    const poisoning = await saved();
    change(poisoning);
    await expectPull(poisoning, because(why));
  });
});

describe("an image is pulled if its cached manifest chain", () => {
  it.each<{
    form: string;
    chain: (actual: readonly string[], others: readonly string[]) => (string | undefined)[];
    why: string;
  }>([
    {
      form: "is that of another image",
      chain: (_, others) => [...others],
      why: `The content of ${hash} has the digest`,
    },
    {
      form: "has the config of another image",
      chain: ([a, b], [, , c]) => [a, b, c],
      why: `The content of ${hash} has the digest`,
    },
    {
      form: "has the manifest of another image",
      chain: ([a, , c], [, b]) => [a, b, c],
      why: `The content of ${hash} has the digest`,
    },
    {
      form: "has the manifest and the config of another image",
      chain: ([a], [, b, c]) => [a, b, c],
      why: `The content of ${hash} has the digest`,
    },
    {
      form: "is in another order",
      chain: ([a, b, c]) => [a, c, b],
      why: `The content of ${hash} has the digest`,
    },
    { form: "is incomplete", chain: ([a, b]) => [a, b], why: `The manifest chain of ${hash} lacks` },
    { form: "is empty", chain: () => [], why: `The manifest chain of ${hash} lacks` },
    {
      form: "is too long",
      chain: ([a, b, c]) => [a, b, c, c],
      why: "its index is invalid",
    },
    {
      form: "differs by one character",
      chain: ([a, b, c]) => [a, b, `${c} `],
      why: `The content of ${hash} has the digest`,
    },
  ])("$form", async ({ chain, why }) => {
    const poisoning = await saved();
    setChain(poisoning, chain(poisoning.published.documents, poisoning.other.documents));
    await expectPull(poisoning, because(why));
  });
});

describe("an image is pulled if a cached layer", () => {
  it.each<{ form: string; change: (poisoning: Poisoning) => void; why: string }>([
    {
      form: "has other content",
      change: (it) => layerOf(it).set(tar([{ name: "bin/sh", content: noise("evil", 3_000) }])),
      why: "its first layer has the diff ID sha256:[0-9a-f]{64}, not sha256:",
    },
    {
      form: "is cut off",
      change: (it) => layerOf(it, 1).set(layerOf(it, 1).content.subarray(0, -512)),
      why: 'invalid diffID for layer 1: expected "',
    },
    {
      form: "is empty",
      change: (it) => layerOf(it).set(Buffer.alloc(0)),
      why: "its first layer has the diff ID sha256:[0-9a-f]{64}, not sha256:",
    },
    {
      form: "is the layer above it",
      change: (it) => layerOf(it).set(layerOf(it, 1).content),
      why: "its first layer has the diff ID sha256:[0-9a-f]{64}, not sha256:",
    },
    {
      form: "is a folder",
      change: (it) => layerOf(it).set("folder"),
      why: ".* is not a regular file$",
    },
    {
      form: "is a symbolic link",
      change: (it) => layerOf(it).set({ link: "/dev/zero" }),
      why: ".* is not a regular file$",
    },
    {
      form: "is a symbolic link above another layer",
      change: (it) => layerOf(it, 1).set({ link: "/etc/passwd" }),
      why: `layer ${hash} is not a regular file$`,
    },
    {
      form: "is missing in the cache",
      change: ({ cache, layerKeys: [, key = ""] }) => cache.entries.delete(key),
      why: `layer ${hash}: miss$`,
    },
    {
      form: "is missing in its entry",
      change: ({ cache, layerKeys: [key = ""] }) => cache.entries.get(key)?.files.clear(),
      why: "ENOENT",
    },
    {
      form: "is not restored in time",
      change: ({ cache, layerKeys: [key] }) => {
        cache.instead = (call) =>
          call === `restore ${key}` ? { outcome: "failed", reason: "it took longer than 120 s" } : undefined;
      },
      why: `layer ${hash}: it took longer than 120 s$`,
    },
  ])("$form", async ({ change, why }) => {
    const poisoning = await saved();
    change(poisoning);
    await expectPull(poisoning, because(why));
  });
});

describe("an image is pulled if the Docker daemon", () => {
  it("loads it as another image, which then has no name", async () => {
    const poisoning = await saved();
    const daemon = await dockerDaemon();
    const { load } = daemon;
    const manifest = digestOf(Buffer.from("the manifest that it makes for it"));
    daemon.load = async (archive) => {
      const output = await load(archive);
      daemon.contents.clear();
      daemon.images.set(restoredTag(pinned(poisoning.published).digest), manifest);
      return output;
    };
    const reason = `the Docker daemon loaded it as ${manifest}, not as ${poisoning.published.image.id}`;
    await expectPull(poisoning, because(reason), daemon);
  });

  it("reports an error for it", async () => {
    const poisoning = await saved();
    const daemon = await dockerDaemon();
    daemon.load = async () => '{"error":"write /layer.tar: no space left on device"}\r\n';
    await expectPull(poisoning, because("write /layer.tar: no space left on device$"), daemon);
  });

  it("rejects the request", async () => {
    const poisoning = await saved();
    const daemon = await dockerDaemon();
    daemon.refuse = (call) =>
      call === "POST /images/load" ? { status: 500, message: "the daemon is in maintenance" } : undefined;
    await expectPull(poisoning, because(".*the daemon is in maintenance"), daemon);
  });

  it("responds with invalid output", async () => {
    const poisoning = await saved();
    const daemon = await dockerDaemon();
    daemon.load = async () => "<html>";
    await expectPull(poisoning, because(".*is not valid JSON$"), daemon);
  });
});
