import type * as z from "zod";
import type { Log } from "../lib/log.ts";

/**
 * A kind of data that is stored in the Actions cache between runs. Each kind is a file in entries/ and a line in
 * entries.ts. The input `cache`, the state, the post step, the output `cache_hit` and the summary work with that list.
 *
 * @typeParam Context the services that restoring and saving need
 * @typeParam Target the item that is restored
 * @typeParam Pending the data that main leaves in the state, and that post saves the item from
 */
export interface CacheEntry<Context, Target, Pending> {
  /** The name in the state, in the output `cache_hit` and, if the entry is optional, in the input `cache`. */
  readonly name: string;
  /** Whether the input `cache` can disable the entry. */
  readonly optional: boolean;
  /** Returns the key of a target, or the prefix of its keys. The cache never replaces an entry under the same key. */
  key(target: Target): string;
  /**
   * Restores a target and verifies it, because the cache may contain anything. Never throws: data that cannot be used
   * is a miss, and the log says why.
   */
  restore(target: Target, context: Context, log: Log): Promise<CacheReport>;
  /** The schema of the data that main leaves for post. Post reads it back as JSON. */
  readonly pending: z.ZodType<Pending>;
  /** Adds data that only the running cluster has. Post calls it before it deletes the cluster. */
  readonly collect?: (pending: Pending, context: Context) => Promise<Pending>;
  /** Saves an item, unless the cache has it already. */
  save(pending: Pending, context: Context, log: Log): Promise<void>;
}

/** A cache entry without its type parameters, so that one list can contain all entries. */
export interface ListedEntry<Context> {
  readonly name: string;
  readonly optional: boolean;
  /**
   * Parses the data that main left in the state, and collects data that only the running cluster has.
   *
   * @returns a function that saves the item; it does not need the cluster any more
   * @throws ZodError when the data is invalid
   */
  prepareSave(pending: unknown, context: Context): Promise<(log: Log) => Promise<void>>;
}

/** Adds to an entry the methods that the list needs. */
export function defineEntry<Context, Target, Pending>(
  entry: CacheEntry<Context, Target, Pending>,
): CacheEntry<Context, Target, Pending> & ListedEntry<Context> {
  return {
    ...entry,
    async prepareSave(pending, context) {
      const parsed = entry.pending.parse(pending);
      const collected = entry.collect === undefined ? parsed : await entry.collect(parsed, context);
      return (log) => entry.save(collected, context, log);
    },
  };
}

/** The result of restoring an item. */
export interface CacheReport {
  /**
   * `present`: the machine already had the item, so the cache was not used. `skipped`: the cache may not be used, cannot
   * be used for this item, or would be slower.
   */
  readonly outcome: "hit" | "miss" | "skipped" | "failed" | "present";
  /** The number of bytes that were restored. */
  readonly bytes: number;
  /** The seconds that the download of the item took in an earlier run, if known. */
  readonly downloadSeconds?: number;
}
