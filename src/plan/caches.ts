import type { PlanContext, WorkflowEvent } from "./context.ts";
import type { CacheSave } from "./inputs.ts";

/** The use of the Actions cache. */
export interface CachesPlan {
  /** The names of the enabled entries. */
  readonly entries: readonly string[];
  /** Whether items that took longer to restore than to download are not restored. */
  readonly onlyIfFaster: boolean;
  /** Whether this job saves entries. */
  readonly saves: boolean;
  /** The milliseconds that all restores may take together. */
  readonly restoreTimeoutMs: number;
  /** The milliseconds that all saves may take together. */
  readonly saveTimeoutMs: number;
  /** The maximum size of the proxies' blobs in the cache, in bytes. */
  readonly maxBytes: number;
}

/** Decides which cache entries a job uses. */
export function planCaches({ inputs: { cache, registries, installOnly }, event }: PlanContext): CachesPlan {
  const applies = (entry: string) => !installOnly && (entry !== "proxies" || registries.upstreams.length > 0);
  return {
    entries: cache.entries.filter(applies),
    onlyIfFaster: cache.auto,
    saves: shouldSaveCaches(event, cache.save),
    restoreTimeoutMs: cache.restoreTimeoutMs,
    saveTimeoutMs: cache.saveTimeoutMs,
    maxBytes: cache.maxBytes,
  };
}

/**
 * Whether a job saves caches. All branches can restore entries of the default branch, but only a pull request itself can
 * restore its entries; both count towards the repository's limit of 10 GB. Events that run with the rights of the default
 * branch on input from others, such as pull_request_target, save nothing, because such jobs could poison the cache.
 *
 * @param save the input `cache_save`; these rules are those of `auto`
 */
export function shouldSaveCaches({ name, ref, defaultBranch }: WorkflowEvent, save: CacheSave): boolean {
  if (save !== "auto") return save === "always";
  const trusted = ["push", "schedule", "workflow_dispatch", "repository_dispatch"].includes(name);
  return trusted && defaultBranch !== undefined && ref === `refs/heads/${defaultBranch}`;
}
