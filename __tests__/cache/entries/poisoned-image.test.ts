import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { restoredTag, saveImage } from "../../../src/cache/entries/node-image.ts";
import { ensureImage } from "../../../src/images/ensure.ts";
import { digestOf, sample } from "../../archive/archives.ts";
import { noise, tar } from "../../archive/tar-files.ts";
import { type DockerDaemon, dockerDaemon } from "../../fixtures/docker-daemon.ts";
import { type Kept, type MemoryCache, memoryCache } from "../../fixtures/memory-cache.ts";
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

/** A cache in which an image was saved, and another one that somebody else may have put there as well. */
interface Situation {
  readonly cache: MemoryCache;
  readonly published: PublishedImage;
  readonly other: PublishedImage;
  readonly indexKey: string;
  /** The keys of its layers. */
  readonly layerKeys: readonly string[];
}

async function saved(): Promise<Situation> {
  const cache = memoryCache();
  const published = await publish(sample("node", { layers: 2 }));
  const daemon = await dockerDaemon();
  give(daemon, published);
  const on = { seconds: 12.5, folder: temporaryFolder() };
  await saveImage(cache.store(), daemon.engine, pinned(published), on, recordingLog());
  const keys = [...cache.entries.keys()];
  return {
    cache,
    published,
    other: await publish(sample("other", { layers: 2 })),
    indexKey: keys.find((key) => key.startsWith("kind-action-image-")) ?? "",
    layerKeys: keys.filter((key) => key.startsWith("kind-action-layer-")),
  };
}

/** What is in the only file of an entry. */
function fileOf(
  { cache }: Situation,
  key: string | undefined,
): { path: string; content: Buffer; set(kept: Kept): void } {
  const files = cache.entries.get(key ?? "")?.files ?? new Map<string, Kept>();
  for (const [path, kept] of files)
    if (Buffer.isBuffer(kept))
      return { path, content: kept, set: (instead) => void files.set(path, instead) };
  throw new Error(`${key} has no file`);
}

const indexOf = (situation: Situation) => fileOf(situation, situation.indexKey);
const layerOf = (situation: Situation, index = 0) => fileOf(situation, situation.layerKeys[index]);

/** Puts other documents into the index. */
function setDocuments({ cache, indexKey }: Situation, documents: readonly (string | undefined)[]): void {
  changeIndex(cache, indexKey, (index) => ({ ...index, documents }));
}

/** Obtains the image in a run whose daemon has nothing: it has to be the right one, by a pull. */
async function expectPull(
  { cache, published }: Situation,
  why: RegExp,
  daemon?: DockerDaemon,
): Promise<void> {
  const on = daemon ?? (await dockerDaemon());
  const log = recordingLog();
  const { run, pulls } = dockerCli(on, published);
  const store = cache.store();
  const { reference, image } = published;
  const got = await ensureImage(
    { reference },
    { ...on, run, platform: amd64, cache: { store, onlyIfFaster: true }, labels },
    log,
  );
  expect(got).toMatchObject({
    reference,
    name: reference,
    from: "registry",
    restored: { outcome: "miss", bytes: 0 },
  });
  expect(pulls).toEqual([reference]);
  expect([...on.images]).toEqual([[reference, image.id]]);
  expect([...on.contents.keys()]).toEqual([image.id]);
  expect(log.lines).toEqual([expect.stringMatching(why)]);
  expect(readdirSync(store.folder).filter((name) => name.startsWith("layer-"))).toEqual([]);
}

/** Tells the entry that is not used, and why. */
const because = (reason: string) =>
  new RegExp(`^The entry kind-action-image-v1-amd64-[0-9a-f]{64}-image is not used: ${reason}`);

const hash = "sha256:[0-9a-f]{64}";

describe("an image is pulled where the index that the cache has of it", () => {
  it.each<{ form: string; change: (situation: Situation) => void; why: string }>([
    { form: "is no JSON", change: (it) => indexOf(it).set(Buffer.from("{")), why: "its index is not JSON$" },
    { form: "is empty", change: (it) => indexOf(it).set(Buffer.alloc(0)), why: "its index is not JSON$" },
    { form: "is binary", change: (it) => indexOf(it).set(noise("x", 900)), why: "its index is not JSON$" },
    {
      form: "is a list",
      change: (it) => indexOf(it).set(Buffer.from("[]")),
      why: "its index is not what it should be$",
    },
    {
      form: "is of another version",
      change: ({ cache, indexKey }) => changeIndex(cache, indexKey, (index) => ({ ...index, version: 2 })),
      why: "its index is not what it should be$",
    },
    {
      form: "has more than anybody wrote",
      change: ({ cache, indexKey }) =>
        changeIndex(cache, indexKey, (index) => ({ ...index, tag: "kindest/node" })),
      why: "its index is not what it should be$",
    },
    { form: "is a folder", change: (it) => indexOf(it).set("folder"), why: "its index is no file" },
    {
      form: "lies behind a link",
      change: (it) => {
        const elsewhere = temporaryFolder();
        writeFileSync(join(elsewhere, "index.json"), indexOf(it).content);
        const { path = "" } = it.cache.entries.get(it.indexKey) ?? {};
        it.cache.entries.set(it.indexKey, { path, files: new Map([[path, { link: elsewhere }]]) });
      },
      why: "its index is no file",
    },
    {
      form: "is a link",
      change: (it) => indexOf(it).set({ link: "/dev/zero" }),
      why: "its index is no file",
    },
    {
      form: "is not in its entry",
      change: ({ cache, indexKey }) => cache.entries.get(indexKey)?.files.clear(),
      why: "ENOENT",
    },
  ])("$form", async ({ change, why }) => {
    const situation = await saved();
    change(situation);
    await expectPull(situation, because(why));
  });
});

describe("an image is pulled where the documents that the cache has of it", () => {
  it.each<{
    form: string;
    documents: (own: readonly string[], others: readonly string[]) => (string | undefined)[];
    why: string;
  }>([
    {
      form: "are another image's",
      documents: (_, others) => [...others],
      why: `What should be ${hash} hashes to`,
    },
    {
      form: "have another image's config",
      documents: ([a, b], [, , c]) => [a, b, c],
      why: `What should be ${hash} hashes to`,
    },
    {
      form: "have another image's manifest",
      documents: ([a, , c], [, b]) => [a, b, c],
      why: `What should be ${hash} hashes to`,
    },
    {
      form: "have another image's manifest and config",
      documents: ([a], [, b, c]) => [a, b, c],
      why: `What should be ${hash} hashes to`,
    },
    {
      form: "are of another order",
      documents: ([a, b, c]) => [a, c, b],
      why: `What should be ${hash} hashes to`,
    },
    { form: "are not all there", documents: ([a, b]) => [a, b], why: `${hash} is not among the documents` },
    { form: "are none", documents: () => [], why: `${hash} is not among the documents` },
    {
      form: "are too many",
      documents: ([a, b, c]) => [a, b, c, c],
      why: "its index is not what it should be",
    },
    {
      form: "are a letter away from those",
      documents: ([a, b, c]) => [a, b, `${c} `],
      why: `What should be ${hash} hashes to`,
    },
  ])("$form", async ({ documents, why }) => {
    const situation = await saved();
    setDocuments(situation, documents(situation.published.documents, situation.other.documents));
    await expectPull(situation, because(why));
  });
});

describe("an image is pulled where a layer that the cache has of it", () => {
  it.each<{ form: string; change: (situation: Situation) => void; why: string }>([
    {
      form: "has another content",
      change: (it) => layerOf(it).set(tar([{ name: "bin/sh", content: noise("evil", 3_000) }])),
      why: "its first layer is sha256:[0-9a-f]{64}, not sha256:",
    },
    {
      form: "is cut short",
      change: (it) => layerOf(it, 1).set(layerOf(it, 1).content.subarray(0, -512)),
      why: 'invalid diffID for layer 1: expected "',
    },
    {
      form: "is empty",
      change: (it) => layerOf(it).set(Buffer.alloc(0)),
      why: "its first layer is sha256:[0-9a-f]{64}, not sha256:",
    },
    {
      form: "is the one above it",
      change: (it) => layerOf(it).set(layerOf(it, 1).content),
      why: "its first layer is sha256:[0-9a-f]{64}, not sha256:",
    },
    { form: "is a folder", change: (it) => layerOf(it).set("folder"), why: ".* is no file$" },
    { form: "is a link", change: (it) => layerOf(it).set({ link: "/dev/zero" }), why: ".* is no file$" },
    {
      form: "is a link above another",
      change: (it) => layerOf(it, 1).set({ link: "/etc/passwd" }),
      why: `the layer ${hash} is no file$`,
    },
    {
      form: "is gone",
      change: ({ cache, layerKeys: [, key = ""] }) => cache.entries.delete(key),
      why: `the layer ${hash}: miss$`,
    },
    {
      form: "is not in its entry",
      change: ({ cache, layerKeys: [key = ""] }) => cache.entries.get(key)?.files.clear(),
      why: "ENOENT",
    },
    {
      form: "does not come in time",
      change: ({ cache, layerKeys: [key] }) => {
        cache.instead = (call) =>
          call === `restore ${key}` ? { outcome: "failed", reason: "it took longer than 120 s" } : undefined;
      },
      why: `the layer ${hash}: it took longer than 120 s$`,
    },
  ])("$form", async ({ change, why }) => {
    const situation = await saved();
    change(situation);
    await expectPull(situation, because(why));
  });
});

describe("an image is pulled where a Docker daemon", () => {
  it("makes another one of what it is given, and that one has no name then", async () => {
    const situation = await saved();
    const daemon = await dockerDaemon();
    const { load } = daemon;
    const manifest = digestOf(Buffer.from("the manifest that it makes for it"));
    daemon.load = async (archive) => {
      const said = await load(archive);
      daemon.contents.clear();
      daemon.images.set(restoredTag(pinned(situation.published).digest), manifest);
      return said;
    };
    const made = `the Docker daemon has made ${manifest} of it, not ${situation.published.image.id}`;
    await expectPull(situation, because(made), daemon);
  });

  it("says that it cannot make it", async () => {
    const situation = await saved();
    const daemon = await dockerDaemon();
    daemon.load = async () => '{"error":"write /layer.tar: no space left on device"}\r\n';
    await expectPull(situation, because("write /layer.tar: no space left on device$"), daemon);
  });

  it("refuses it", async () => {
    const situation = await saved();
    const daemon = await dockerDaemon();
    daemon.refuse = (call) =>
      call === "POST /images/load" ? { status: 500, message: "the daemon is in maintenance" } : undefined;
    await expectPull(situation, because(".*the daemon is in maintenance"), daemon);
  });

  it("says what nobody understands", async () => {
    const situation = await saved();
    const daemon = await dockerDaemon();
    daemon.load = async () => "<html>";
    await expectPull(situation, because(".*is not valid JSON$"), daemon);
  });
});
