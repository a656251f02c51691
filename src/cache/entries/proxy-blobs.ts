import { link, lstat, mkdir, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import type { Log } from "../../lib/log.ts";
import {
  addBlob,
  linkBlobs,
  matchesDigest,
  type RegistryContents,
  type RepositoryContents,
  readStorage,
  repositoryContents,
  storageBlobPath,
} from "../../registries/storage.ts";
import { readIndex, writeIndex } from "../index-file.ts";
import type { CacheStore } from "../transport/store.ts";
import { type BlobPack, hashLines, packSchema, planPacks, selectBlobs, sum } from "./blob-packs.ts";

/** What of the proxies is in the cache. */
const index = z.strictObject({
  version: z.literal(1),
  parts: z.array(packSchema).max(1_000),
  /** By the upstream's name. */
  upstreams: z.record(z.string(), z.array(repositoryContents)),
});
type Index = z.infer<typeof index>;

/** Where the index lies in the cache's folder. */
const indexPath = "proxies-index";
/** The index that was restored, unless there is none, or it is not what it should be. */
const indexIn = (cache: CacheStore): Promise<Index | undefined> =>
  readIndex(cache, indexPath, index).catch(() => undefined);

/** So many parts are on their way at once. */
const atOnce = 4;

/** What came back. */
export interface RestoredProxies {
  readonly outcome: "hit" | "miss" | "skipped" | "failed";
  readonly bytes: number;
}

/**
 * Gives proxies back what they held in an earlier run. Only blobs come out of the cache, each of which has to be what
 * it is called; a tag is asked for at the upstream each time. So nothing is served that the upstream does not name.
 *
 * @param folders of the proxies, by the upstream's name
 * @param prefix of the keys of the index
 */
export async function restoreProxies(
  cache: CacheStore,
  folders: ReadonlyMap<string, string>,
  prefix: string,
  log: Log,
): Promise<RestoredProxies> {
  if (folders.size === 0) {
    log.line("Nothing is restored: the Docker daemon does not see this machine's folders.");
    return { outcome: "skipped", bytes: 0 };
  }
  const found = await cache.restore({ path: indexPath, key: prefix, prefixes: [prefix] });
  if (found.outcome !== "hit") {
    if (found.reason !== undefined) log.line(`Nothing is restored: ${found.reason}`);
    return {
      outcome: found.outcome === "skipped" || found.outcome === "failed" ? found.outcome : "miss",
      bytes: 0,
    };
  }
  const read = await indexIn(cache);
  if (read === undefined) {
    log.line(`The entry ${found.key} is not what it should be, and is not used.`);
    return { outcome: "miss", bytes: 0 };
  }
  const wanted = new Map<string, Set<string>>();
  const there = new Map<string, ReadonlyMap<string, number>>();
  for (const [name, folder] of folders) {
    const { blobs } = await readStorage(folder);
    const repositories = read.upstreams[name] ?? [];
    const all = repositories.flatMap(({ manifests, layers }) => [...manifests, ...layers]);
    // Another cluster of the job may have brought them.
    wanted.set(folder, new Set(all.filter((blob) => !blobs.has(blob))));
    there.set(folder, blobs);
  }
  const parts = read.parts.filter(({ blobs }) =>
    Object.keys(blobs).some((blob) => [...wanted.values()].some((of) => of.has(blob))),
  );
  const needed = 2 * sum(parts.flatMap(({ blobs }) => Object.values(blobs)));
  const { bavail, bsize } = await statfs(cache.folder);
  if (bavail * bsize < needed + spare) {
    log.line(
      `Nothing is restored: the disk has ${megabytes(bavail * bsize)} free, and it takes ${megabytes(needed)}.`,
    );
    return { outcome: "skipped", bytes: 0 };
  }
  const restored = new Map<string, number>();
  const missing = new Set<BlobPack>();
  await eachOf(parts, atOnce, async (each) => {
    const { key, blobs } = each;
    const { outcome, reason } = await cache.restore({ path: key, key, background: true });
    if (outcome === "miss") missing.add(each);
    if (outcome !== "hit") log.line(`${key}: ${outcome}${reason === undefined ? "" : `, ${reason}`}`);
    else
      for (const [blob, bytes] of Object.entries(blobs)) {
        const homes = [...wanted].filter(([, of]) => of.has(blob)).map(([folder]) => folder);
        if (homes.length === 0) continue;
        if (await adopt(join(cache.folder, key), blob, homes)) restored.set(blob, bytes);
        else log.line(`${key} does not hold the blob sha256:${blob}: it is pulled again.`);
      }
    // What resists goes with the run's folder.
    await rm(join(cache.folder, key), { recursive: true, force: true }).catch(() => {});
  });
  // What has gone from the cache is to be saved again.
  if (missing.size > 0)
    await writeIndex(cache, indexPath, { ...read, parts: read.parts.filter((each) => !missing.has(each)) });
  for (const [name, folder] of folders)
    await linkBlobs(
      folder,
      read.upstreams[name] ?? [],
      (blob) => restored.has(blob) || there.get(folder)?.has(blob) === true,
    );
  const bytes = sum([...restored.values()]);
  log.line(`Restored ${megabytes(bytes)} in ${restored.size} blobs from ${found.key}`);
  return { outcome: parts.length > 0 && restored.size === 0 ? "miss" : "hit", bytes };
}

/** Puts a blob into folders, if it is what it is called. Whatever else is in its place stays there. */
async function adopt(
  from: string,
  blob: string,
  [first = "", ...others]: readonly string[],
): Promise<boolean> {
  const file = join(from, blob);
  try {
    // A link leads to what is somebody else's.
    if (!(await lstat(from)).isDirectory() || !(await matchesDigest(file, blob))) return false;
    await addBlob(first, blob, file);
    for (const folder of others) {
      await link(join(first, storageBlobPath(blob)), file);
      await addBlob(folder, blob, file);
    }
    return true;
  } catch {
    return false;
  }
}

/**
 * Keeps what proxies hold for later runs, if that is more than the cache has.
 *
 * @param used blobs that were asked for in this run: where not all fits, what neither is one nor is named by one is left
 *   out first
 * @param on.most bytes in all
 */
export async function saveProxies(
  cache: CacheStore,
  folders: ReadonlyMap<string, string>,
  used: ReadonlySet<string>,
  on: { readonly prefix: string; readonly most: number },
  log: Log,
): Promise<void> {
  const kept = new Map<string, RegistryContents>();
  for (const [name, folder] of folders) kept.set(name, await readStorage(folder));
  const all = new Map([...kept.values()].flatMap(({ blobs }) => [...blobs]));
  const before = await indexIn(cache);
  const known = new Set(before?.parts.flatMap(({ blobs }) => Object.keys(blobs)));
  const linked = new Set(linksOf(before?.upstreams ?? {}));
  const held = Object.fromEntries([...kept].map(([name, { repositories }]) => [name, repositories]));
  if ([...all.keys()].every((blob) => known.has(blob)) && linksOf(held).every((each) => linked.has(each))) {
    log.line("Nothing was pulled that is not in the cache already.");
    return;
  }
  const chosen = selectBlobs(all, withNamed(used, [...kept.values()]), on.most);
  const parts = planPacks(chosen, before?.parts ?? []);
  const added = parts.filter(({ key }) => !before?.parts.some((old) => old.key === key));
  const bytes = sum(added.flatMap(({ blobs }) => Object.values(blobs)));
  const { bavail, bsize } = await statfs(cache.folder);
  if (bavail * bsize < bytes + spare) {
    log.line(
      `Nothing is saved: the disk has ${megabytes(bavail * bsize)} free, and packing takes ${megabytes(bytes)}.`,
    );
    return;
  }
  let complete = true;
  await eachOf(added, atOnce, async ({ key, blobs }) => {
    await emptyFolder(join(cache.folder, key));
    for (const blob of Object.keys(blobs)) {
      const folder = [...folders].find(([name]) => kept.get(name)?.blobs.has(blob))?.[1] ?? "";
      await link(join(folder, storageBlobPath(blob)), join(cache.folder, key, blob));
    }
    const { outcome, reason } = await cache.save({ path: key, key });
    log.line(
      `${key}: ${outcome}${reason === undefined ? "" : `, ${reason}`}, ${megabytes(sum(Object.values(blobs)))}`,
    );
    if (outcome !== "saved" && outcome !== "exists") complete = false;
    await rm(join(cache.folder, key), { recursive: true });
  });
  if (!complete) return;
  const upstreams = Object.fromEntries(
    // In an order of their own, so that another job with the same writes the same.
    Object.keys(held)
      .toSorted()
      .map((name) => [name, within(held[name] ?? [], chosen)]),
  );
  const text = await writeIndex(cache, indexPath, { version: 1, parts, upstreams });
  const key = `${on.prefix}${hashLines([text])}`;
  const { outcome } = await cache.save({ path: indexPath, key });
  log.line(`${key}: ${outcome}, for ${megabytes(sum([...chosen.values()]))} in ${chosen.size} blobs`);
}

/** Nodes may have what a manifest names without asking for it. */
function withNamed(used: ReadonlySet<string>, kept: readonly RegistryContents[]): Set<string> {
  const whole = new Set(used);
  for (const blob of whole)
    for (const { named } of kept) for (const each of named.get(blob) ?? []) whole.add(each);
  return whole;
}

function within(repositories: readonly RepositoryContents[], blobs: ReadonlyMap<string, number>) {
  return repositories.map(({ name, manifests, layers }) => ({
    name,
    manifests: manifests.filter((blob) => blobs.has(blob)),
    layers: layers.filter((blob) => blobs.has(blob)),
  }));
}

/** Which blobs are found by which repositories. */
function linksOf(upstreams: Readonly<Record<string, readonly RepositoryContents[]>>): string[] {
  return Object.entries(upstreams).flatMap(([upstream, repositories]) =>
    repositories.flatMap(({ name, manifests, layers }) => [
      ...manifests.map((blob) => `${upstream} ${name} manifest ${blob}`),
      ...layers.map((blob) => `${upstream} ${name} layer ${blob}`),
    ]),
  );
}

/** Makes a folder, in the place of whatever came out of the cache. */
async function emptyFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
}

/** Left free on a disk that is not ours alone. */
const spare = 500_000_000;

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

/** Does something with each, some of them at once. */
async function eachOf<T>(items: readonly T[], most: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: most }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}
