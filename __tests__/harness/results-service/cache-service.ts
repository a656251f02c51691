import { join } from "node:path";
import * as z from "zod";
import { type Entry, EntryStore } from "./entry-store.ts";
import type { Fault } from "./faults.ts";
import { parseRequest, RpcError, type RpcService } from "./rpc.ts";

const Details = z.object({ key: z.string(), version: z.string() });
type Details = z.infer<typeof Details>;

const createRequest = z.object({ key: z.string().min(1).max(512), version: z.string().min(1) });
const finalizeRequest = createRequest.extend({ size_bytes: z.coerce.number() });
const lookupRequest = createRequest.extend({ restore_keys: z.array(z.string()).default([]) });

/** Where the cache entries of a service are kept. */
export function cacheStore(dir: string): EntryStore<Details> {
  return new EntryStore(join(dir, "caches"), Details);
}

/**
 * `github.actions.results.api.v1.CacheService`. Entries never change and never go away; all jobs share one scope.
 * The version is the client's hash of paths and compression: entries of another version do not exist for it.
 */
export function cacheService(
  store: EntryStore<Details>,
  signedUrl: (id: string) => string,
  faults: () => readonly Fault[],
): RpcService {
  return {
    async CreateCacheEntry(request) {
      const { key, version } = parseRequest(createRequest, request);
      const id = store.idOf(key, version);
      if (!(await store.reserve(id))) throw new RpcError("already_exists", "cache entry already exists");
      return { ok: true, signed_upload_url: signedUrl(id) };
    },

    async FinalizeCacheEntryUpload(request) {
      const { key, version, size_bytes: size } = parseRequest(finalizeRequest, request);
      const id = store.idOf(key, version);
      if (faults().includes("finalize-fail") || (await store.blob(id).size()) !== size) {
        throw new RpcError("not_found", "cache entry not found");
      }
      const entry = await store.publish(id, { key, version });
      return { ok: true, entry_id: String(entry.number) };
    },

    async GetCacheEntryDownloadURL(request) {
      const { key, version, restore_keys: restoreKeys } = parseRequest(lookupRequest, request);
      const entries = (await store.list()).filter((entry) => entry.details.version === version);
      const hit = match(entries, [key, ...restoreKeys]);
      if (hit === undefined) return { ok: false };
      return { ok: true, signed_download_url: signedUrl(hit.id), matched_key: hit.details.key };
    },
  };
}

/** For each key in turn: the entry of that name, else the newest whose key starts with it. */
function match(newestFirst: readonly Entry<Details>[], keys: readonly string[]): Entry<Details> | undefined {
  for (const key of keys) {
    const hit =
      newestFirst.find((entry) => entry.details.key === key) ??
      newestFirst.find((entry) => entry.details.key.startsWith(key));
    if (hit !== undefined) return hit;
  }
  return undefined;
}
