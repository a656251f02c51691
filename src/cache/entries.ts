import type { CacheContext } from "./entries/context.ts";
import { nodeImageEntry } from "./entries/node-image.ts";
import { proxyBlobsEntry } from "./entries/proxy-blobs.ts";
import { toolEntry } from "./entries/tool.ts";
import type { ListedEntry } from "./entry.ts";

/** All cache entries, in the order in which post saves them: the largest last, because saving has a time limit. */
export const cacheEntries: readonly ListedEntry<CacheContext>[] = [
  toolEntry,
  proxyBlobsEntry,
  nodeImageEntry,
];

/** The names that the input `cache` accepts. */
export const optionalEntries: readonly string[] = cacheEntries
  .filter(({ optional }) => optional)
  .map(({ name }) => name);
