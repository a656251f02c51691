import { mkdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../problems.ts";

/** How a call to the cache ended. `unavailable`: the job has no cache service. */
export type CacheResult = "hit" | "miss" | "saved" | "exists" | "unavailable" | "failed" | "late";

/**
 * The Actions cache, as hints: no call throws, none outlasts its deadline, and what comes back is as good as
 * anything a stranger sends. Whoever uses a restored file checks it first.
 */
export interface CacheStore {
  /** Where entries are laid out: `paths` below are relative to it. */
  readonly folder: string;
  /** Brings back the files that were saved under a key, into `folder`. Files may be there after a miss, too: broken ones. */
  restore(path: string, key: string, deadline: number): Promise<CacheResult>;
  /** Saves a path of `folder`. An entry is never replaced. */
  save(path: string, key: string, deadline: number): Promise<CacheResult>;
}

/**
 * Opens the cache of this job.
 *
 * An entry remembers where its files lay relative to the workspace, and its identity holds the paths as they were
 * written. Runners keep their folders in different places, so both are made relative to a folder of our own: for this
 * process, that folder is the workspace and the current directory.
 *
 * @param warn gets one line for each call that failed
 */
export async function openCacheStore(folder: string, warn: (message: string) => void): Promise<CacheStore> {
  // The client is half of the bundle's weight: loaded where it is used.
  const client = await import("@actions/cache");
  await mkdir(folder, { recursive: true });
  process.chdir(folder);
  process.env.GITHUB_WORKSPACE = folder;

  async function call(
    what: string,
    deadline: number,
    work: () => Promise<CacheResult>,
  ): Promise<CacheResult> {
    if (!client.isFeatureAvailable()) return "unavailable";
    const stop = new AbortController();
    const late = sleep(deadline, "late" as const, { signal: stop.signal, ref: false });
    try {
      const result = await Promise.race([work(), late]);
      if (result === "late") warn(`${what} took longer than ${deadline / 1000} s and is done without.`);
      return result;
    } catch (error) {
      warn(`${what} failed: ${messageOf(error)}`);
      return "failed";
    } finally {
      stop.abort();
      late.catch(() => {});
    }
  }

  return {
    folder,
    restore: (path, key, deadline) =>
      call(`Restoring ${key} from the Actions cache`, deadline, async () =>
        (await client.restoreCache([path], key)) === undefined ? "miss" : "hit",
      ),
    save: (path, key, deadline) =>
      call(`Saving ${path} to the Actions cache`, deadline, async () =>
        (await client.saveCache([path], key)) === -1 ? "exists" : "saved",
      ),
  };
}
