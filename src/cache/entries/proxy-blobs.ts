import { link, lstat, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { mapConcurrently } from "../../lib/concurrency.ts";
import type { Log } from "../../lib/log.ts";
import { sha256Hex } from "../../lib/sha256.ts";
import { formatBytes } from "../../lib/units.ts";
import {
  addBlob,
  linkBlobs,
  matchesDigest,
  type RegistryContents,
  type RepositoryContents,
  readStorage,
  repositoryContents,
  requestedBlobs,
  storageBlobPath,
} from "../../registries/storage.ts";
import { type CacheReport, defineEntry } from "../entry.ts";
import { readIndex, writeIndex } from "../index-file.ts";
import type { CacheStore } from "../transport/store.ts";
import { type BlobPack, hashLines, packSchema, planPacks, selectBlobs, sum } from "./blob-packs.ts";
import type { CacheContext } from "./context.ts";
import { lackOfSpace } from "./free-space.ts";

/** The index of a job's proxies in the cache. */
const index = z.strictObject({
  version: z.literal(1),
  packs: z.array(packSchema).max(1_000),
  /** The contents of the proxies, by the upstream's name. */
  upstreams: z.record(z.string(), z.array(repositoryContents)),
});
type Index = z.infer<typeof index>;

/** The path of the index in the folder of the store. */
const indexPath = "proxies-index";

/** Reads the restored index. @returns undefined if it does not exist or is invalid */
const restoredIndex = (store: CacheStore): Promise<Index | undefined> =>
  readIndex(store, indexPath, index).catch(() => undefined);

/** The number of packs that are restored or saved at the same time. */
const concurrency = 4;

/** The proxies of a job. Each job of a workflow has an index, which all combinations of its matrix share. */
interface ProxiesTarget {
  readonly job: { readonly workflow: string; readonly id: string; readonly architecture: string };
  /** The folders of proxies, by the upstream's name. */
  readonly folders: ReadonlyMap<string, string>;
}

/** Returns the prefix of the keys of a job's index. */
export function proxyKeyPrefix({ workflow, id, architecture }: ProxiesTarget["job"]): string {
  const name = sha256Hex(`${workflow}\n${id}`).slice(0, 16);
  return `kind-action-proxies-v1-${architecture}-${name}-`;
}

/** The proxies that post saves. */
const pendingProxies = z.strictObject({
  /** The container IDs of the proxies, by the upstream's name. */
  containers: z.record(z.string(), z.string()),
  /** The folders of the proxies, by the upstream's name. */
  folders: z.record(z.string(), z.string()),
  keyPrefix: z.string(),
  /** The maximum size of all saved blobs, in bytes. */
  maxBytes: z.number(),
  /** The SHA-256 of blobs that were requested in this run. */
  requested: z.array(z.string()).default([]),
});
type PendingProxies = z.output<typeof pendingProxies>;

/** The blobs in the storage of the pull-through caches. */
export const proxyBlobsEntry = defineEntry<CacheContext, ProxiesTarget, PendingProxies>({
  name: "proxies",
  optional: true,
  key: ({ job }) => proxyKeyPrefix(job),
  restore: ({ job, folders }, { store }, log) => restoreProxies(store, folders, proxyKeyPrefix(job), log),
  pending: pendingProxies,
  async collect(pending, { engine }) {
    const containers = Object.values(pending.containers);
    const logs = await Promise.all(containers.map((id) => engine.containers.logs(id).catch(() => "")));
    return { ...pending, requested: [...new Set(logs.flatMap((text) => [...requestedBlobs(text)]))] };
  },
  save: ({ folders, requested, ...options }, { store }, log) =>
    saveProxies(store, new Map(Object.entries(folders)), new Set(requested), options, log),
});

/**
 * Restores the blobs that proxies had in an earlier run. Each blob is verified by its digest. Tags are not restored: the
 * proxies resolve them at the upstream, so they serve only images that the upstream has.
 *
 * @param folders the folders of the proxies, by the upstream's name
 * @param keyPrefix the prefix of the keys of the index
 */
export async function restoreProxies(
  store: CacheStore,
  folders: ReadonlyMap<string, string>,
  keyPrefix: string,
  log: Log,
): Promise<CacheReport> {
  if (folders.size === 0) {
    log.line("Proxy blobs were not restored: the Docker daemon cannot mount folders of this machine.");
    return { outcome: "skipped", bytes: 0 };
  }
  const found = await store.restore({ path: indexPath, key: keyPrefix, prefixes: [keyPrefix] });
  if (found.outcome !== "hit") {
    if (found.reason !== undefined) log.line(`Proxy blobs were not restored: ${found.reason}`);
    const outcome = found.outcome === "skipped" || found.outcome === "failed" ? found.outcome : "miss";
    return { outcome, bytes: 0 };
  }
  const entry = await restoredIndex(store);
  if (entry === undefined) {
    log.line(`Cache entry ${found.key} is not usable: its index is invalid.`);
    return { outcome: "miss", bytes: 0 };
  }
  const existing = await existingBlobs(folders);
  const wanted = missingBlobs(entry, folders, existing);
  const packs = entry.packs.filter(({ blobs }) =>
    Object.keys(blobs).some((blob) => [...wanted.values()].some((each) => each.has(blob))),
  );
  const reason = await lackOfSpace(store.folder, 2 * sum(packs.flatMap(({ blobs }) => Object.values(blobs))));
  if (reason !== undefined) {
    log.line(`Proxy blobs were not restored: ${reason}`);
    return { outcome: "skipped", bytes: 0 };
  }
  const { restored, missing } = await restorePacks(store, packs, wanted, log);
  // Without them, saveProxies saves their blobs again.
  if (missing.size > 0)
    await writeIndex(store, indexPath, { ...entry, packs: entry.packs.filter((pack) => !missing.has(pack)) });
  for (const [name, folder] of folders)
    await linkBlobs(
      folder,
      entry.upstreams[name] ?? [],
      (blob) => restored.has(blob) || existing.get(folder)?.has(blob) === true,
    );
  const bytes = sum(restored.values());
  log.line(`Restored ${restored.size} blobs (${formatBytes(bytes)}) from ${found.key}`);
  return { outcome: packs.length > 0 && restored.size === 0 ? "miss" : "hit", bytes };
}

/** Lists the blobs that folders already have: another cluster of the job may have pulled them. */
async function existingBlobs(
  folders: ReadonlyMap<string, string>,
): Promise<Map<string, ReadonlyMap<string, number>>> {
  const existing = new Map<string, ReadonlyMap<string, number>>();
  for (const folder of folders.values()) existing.set(folder, (await readStorage(folder)).blobs);
  return existing;
}

/** Selects the blobs that each folder lacks. */
function missingBlobs(
  { upstreams }: Index,
  folders: ReadonlyMap<string, string>,
  existing: ReadonlyMap<string, ReadonlyMap<string, number>>,
): Map<string, Set<string>> {
  return new Map(
    [...folders].map(([name, folder]) => {
      const blobs = (upstreams[name] ?? []).flatMap(({ manifests, layers }) => [...manifests, ...layers]);
      return [folder, new Set(blobs.filter((blob) => !existing.get(folder)?.has(blob)))];
    }),
  );
}

/** Restores packs. @returns the sizes of the restored blobs, and the packs that the cache no longer has */
async function restorePacks(
  store: CacheStore,
  packs: readonly BlobPack[],
  wanted: ReadonlyMap<string, ReadonlySet<string>>,
  log: Log,
): Promise<{ restored: Map<string, number>; missing: Set<BlobPack> }> {
  const restored = new Map<string, number>();
  const missing = new Set<BlobPack>();
  await mapConcurrently(packs, concurrency, async (pack) => {
    const { key, blobs } = pack;
    const { outcome, reason } = await store.restore({ path: key, key, background: true });
    if (outcome === "miss") missing.add(pack);
    if (outcome !== "hit") log.line(`${key}: ${outcome}${reason === undefined ? "" : `, ${reason}`}`);
    else
      for (const [blob, bytes] of Object.entries(blobs)) {
        const destinations = [...wanted].filter(([, each]) => each.has(blob)).map(([folder]) => folder);
        if (destinations.length === 0) continue;
        if (await moveBlob(join(store.folder, key), blob, destinations)) restored.set(blob, bytes);
        else log.line(`${key} has no valid blob sha256:${blob}; the proxy pulls it again.`);
      }
    // Post removes the run's folder, and with it files that cannot be removed now.
    await rm(join(store.folder, key), { recursive: true, force: true }).catch(() => {});
  });
  return { restored, missing };
}

/** Moves a blob into the first folder and hard-links it into the others. @returns false if its content is wrong */
async function moveBlob(
  from: string,
  blob: string,
  [first = "", ...others]: readonly string[],
): Promise<boolean> {
  const file = join(from, blob);
  try {
    // A symbolic link can lead out of the folder.
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
 * Saves the blobs of proxies, if the cache lacks some.
 *
 * @param requested the blobs that nodes requested in this run; if not all blobs fit, only these are saved
 * @param options.maxBytes the maximum size of all saved blobs
 */
export async function saveProxies(
  store: CacheStore,
  folders: ReadonlyMap<string, string>,
  requested: ReadonlySet<string>,
  { keyPrefix, maxBytes }: { readonly keyPrefix: string; readonly maxBytes: number },
  log: Log,
): Promise<void> {
  const contents = new Map<string, RegistryContents>();
  for (const [name, folder] of folders) contents.set(name, await readStorage(folder));
  const blobs = new Map([...contents.values()].flatMap((each) => [...each.blobs]));
  const before = await restoredIndex(store);
  if (isSaved(before, contents, blobs)) {
    log.line("Proxy blobs are not saved: the cache already has all of them.");
    return;
  }
  const chosen = selectBlobs(blobs, withChildren(requested, [...contents.values()]), maxBytes);
  const packs = planPacks(chosen, before?.packs ?? []);
  const added = packs.filter(({ key }) => !before?.packs.some((old) => old.key === key));
  const bytes = sum(added.flatMap((pack) => Object.values(pack.blobs)));
  const reason = await lackOfSpace(store.folder, bytes);
  if (reason !== undefined) {
    log.line(`Proxy blobs are not saved: ${reason}`);
    return;
  }
  if (!(await savePacks(store, added, folders, contents, log))) return;
  const upstreams = Object.fromEntries(
    // Sorted, so that another job with the same contents writes the same index.
    [...contents.keys()]
      .toSorted()
      .map((name) => [name, onlyBlobs(contents.get(name)?.repositories ?? [], chosen)]),
  );
  const text = await writeIndex(store, indexPath, { version: 1, packs, upstreams });
  const key = `${keyPrefix}${hashLines([text])}`;
  const { outcome } = await store.save({ path: indexPath, key });
  log.line(`${key}: ${outcome}, ${chosen.size} blobs (${formatBytes(sum(chosen.values()))})`);
}

/** Whether the cache has all blobs of the proxies, in all their repositories. */
function isSaved(
  before: Index | undefined,
  contents: ReadonlyMap<string, RegistryContents>,
  blobs: ReadonlyMap<string, number>,
): boolean {
  const packed = new Set(before?.packs.flatMap((pack) => Object.keys(pack.blobs)));
  const linked = new Set(linksOf(before?.upstreams ?? {}));
  const upstreams = Object.fromEntries([...contents].map(([name, { repositories }]) => [name, repositories]));
  return (
    [...blobs.keys()].every((blob) => packed.has(blob)) &&
    linksOf(upstreams).every((each) => linked.has(each))
  );
}

/** Saves packs. @returns whether the cache has all of them now */
async function savePacks(
  store: CacheStore,
  packs: readonly BlobPack[],
  folders: ReadonlyMap<string, string>,
  contents: ReadonlyMap<string, RegistryContents>,
  log: Log,
): Promise<boolean> {
  const outcomes: string[] = [];
  await mapConcurrently(packs, concurrency, async ({ key, blobs }) => {
    const folder = join(store.folder, key);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    for (const blob of Object.keys(blobs)) {
      const source = [...folders].find(([name]) => contents.get(name)?.blobs.has(blob))?.[1] ?? "";
      await link(join(source, storageBlobPath(blob)), join(folder, blob));
    }
    const { outcome, reason } = await store.save({ path: key, key });
    const size = formatBytes(sum(Object.values(blobs)));
    log.line(`${key}: ${outcome}${reason === undefined ? "" : `, ${reason}`}, ${size}`);
    outcomes.push(outcome);
    await rm(folder, { recursive: true });
  });
  return outcomes.every((outcome) => outcome === "saved" || outcome === "exists");
}

/** Adds the blobs that manifests refer to: nodes that already have such a blob do not request it. */
function withChildren(blobs: ReadonlySet<string>, contents: readonly RegistryContents[]): Set<string> {
  const all = new Set(blobs);
  for (const blob of all)
    for (const { children } of contents) for (const child of children.get(blob) ?? []) all.add(child);
  return all;
}

const onlyBlobs = (repositories: readonly RepositoryContents[], blobs: ReadonlyMap<string, number>) =>
  repositories.map(({ name, manifests, layers }) => ({
    name,
    manifests: manifests.filter((blob) => blobs.has(blob)),
    layers: layers.filter((blob) => blobs.has(blob)),
  }));

/** Returns one line for each blob of each repository. */
function linksOf(upstreams: Readonly<Record<string, readonly RepositoryContents[]>>): string[] {
  return Object.entries(upstreams).flatMap(([upstream, repositories]) =>
    repositories.flatMap(({ name, manifests, layers }) => [
      ...manifests.map((blob) => `${upstream} ${name} manifest ${blob}`),
      ...layers.map((blob) => `${upstream} ${name} layer ${blob}`),
    ]),
  );
}
