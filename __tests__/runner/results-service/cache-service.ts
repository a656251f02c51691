import { join } from "node:path";
import { z } from "zod";
import { BlockBlob } from "./block-blob.ts";
import { type Entry, EntryStore } from "./entry-store.ts";
import type { Faults } from "./faults.ts";
import { parseRequest, RpcError, type RpcService } from "./rpc.ts";

const details = z.object({ key: z.string(), version: z.string(), size: z.number() });
type CacheEntry = Entry<z.infer<typeof details>>;

const createRequest = z.object({ key: z.string().min(1).max(512), version: z.string().min(1) });
const finalizeRequest = createRequest.extend({ size_bytes: z.coerce.number() });
const lookupRequest = createRequest.extend({ restore_keys: z.array(z.string()).default([]) });

/** Where the cache entries of a service are kept. */
export function cacheStore(dir: string): EntryStore<z.infer<typeof details>> {
  return new EntryStore(join(dir, "caches"), details);
}

/**
 * `github.actions.results.api.v1.CacheService`. Entries never change and never go away; all jobs share one scope.
 * The version is the client's hash of paths and compression: entries of another version do not exist for it.
 */
export function cacheService(
  store: ReturnType<typeof cacheStore>,
  { faults, signedUrl }: { readonly faults: Faults; readonly signedUrl: (id: string) => string },
): RpcService {
  return {
    async CreateCacheEntry(request) {
      const { key, version } = parseRequest(createRequest, request);
      const id = store.idOf(key, version);
      if (faults.has("reserve-taken") || !(await store.reserve(id))) {
        throw new RpcError(
          "already_exists",
          "cache entry with the same key, version, and scope already exists",
        );
      }
      return { ok: true, signed_upload_url: signedUrl(id) };
    },

    async FinalizeCacheEntryUpload(request) {
      const { key, version, size_bytes: size } = parseRequest(finalizeRequest, request);
      if (faults.has("finalize-fail")) throw new RpcError("not_found", "cache entry not found");
      const id = store.idOf(key, version);
      const uploaded = await new BlockBlob(store.folderOf(id)).properties();
      if (uploaded === undefined) throw new RpcError("not_found", "cache entry not found");
      if (uploaded.size !== size) {
        return { ok: false, message: `size mismatch: ${uploaded.size} bytes were uploaded, not ${size}` };
      }
      const entry = await store.publish(id, { key, version, size });
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
function match(newestFirst: readonly CacheEntry[], keys: readonly string[]): CacheEntry | undefined {
  for (const key of keys) {
    const hit =
      newestFirst.find((entry) => entry.details.key === key) ??
      newestFirst.find((entry) => entry.details.key.startsWith(key));
    if (hit !== undefined) return hit;
  }
  return undefined;
}
