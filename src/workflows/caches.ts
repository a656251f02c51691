import { join } from "node:path";
import type { CacheContext } from "../cache/entries/context.ts";
import type { CacheEntry, CacheReport } from "../cache/entry.ts";
import { type CacheStore, cacheWorkerCommand, openCacheStore } from "../cache/transport/store.ts";
import type { Engine } from "../docker/engine.ts";
import type { Log } from "../lib/log.ts";
import { secondsSince } from "../lib/units.ts";
import type { CachesPlan } from "../plan/caches.ts";
import type { Plan } from "../plan/plan.ts";
import type { ItemReport } from "../runner/report.ts";
import type { ActionContext } from "../runner/run-action.ts";
import type { State, UpdateState } from "../runner/state.ts";

/**
 * The use of the cache by main: restores items, collects the results for outputs and summary, and adds items to the state for
 * post to save.
 */
export class Caches {
  readonly #store: CacheStore;
  readonly #context: CacheContext;
  readonly #plan: CachesPlan;
  readonly #updateState: UpdateState;
  readonly #saves: State["saves"] = [];
  readonly #reports: ItemReport[] = [];

  constructor(
    store: CacheStore,
    { folder, caches }: Pick<Plan, "folder" | "caches">,
    engine: Engine,
    updateState: UpdateState,
  ) {
    this.#store = store;
    this.#context = { store, engine, folder };
    this.#plan = caches;
    this.#updateState = updateState;
  }

  get context(): CacheContext {
    return this.#context;
  }

  /** The maximum size of the proxies' blobs in the cache, in bytes. */
  get maxBytes(): number {
    return this.#plan.maxBytes;
  }

  /** Whether items that took longer to restore than to download are not restored. */
  get onlyIfFaster(): boolean {
    return this.#plan.onlyIfFaster;
  }

  /** The results of all items so far. */
  get reports(): readonly ItemReport[] {
    return this.#reports;
  }

  /** Whether an entry is used in this run. */
  isEnabled({ name, optional }: Pick<CacheEntry<never, never, unknown>, "name" | "optional">): boolean {
    return !optional || this.#plan.entries.includes(name);
  }

  /**
   * Restores and verifies an item, if its entry is enabled.
   *
   * @param options.item the name of the item in the report
   * @param options.countsForCacheHit whether the item counts for the output `cache_hit`
   */
  async restore<Target, Pending>(
    entry: CacheEntry<CacheContext, Target, Pending>,
    target: Target,
    { item, countsForCacheHit = true }: { item: string; countsForCacheHit?: boolean },
    log: Log,
  ): Promise<CacheReport> {
    if (!this.isEnabled(entry)) return { outcome: "skipped", bytes: 0 };
    const startMs = performance.now();
    const report = await entry.restore(target, this.#context, log);
    this.#reports.push({
      entry: entry.name,
      item,
      countsForCacheHit,
      seconds: secondsSince(startMs),
      ...report,
    });
    return report;
  }

  /**
   * Reports an item that was not restored.
   *
   * @param options.outcome `present` if the machine already had the item; `skipped` if it cannot be cached
   */
  reportUnused(
    entry: { readonly name: string },
    options: { item: string; countsForCacheHit: boolean; outcome: "present" | "skipped" },
  ): void {
    this.#reports.push({ entry: entry.name, ...options, bytes: 0, seconds: 0 });
  }

  /** Adds an item to the state for post to save, if this job saves caches and the entry is enabled. */
  saveLater<Target, Pending>(entry: CacheEntry<CacheContext, Target, Pending>, pending: Pending): void {
    if (!this.#plan.saves || !this.isEnabled(entry)) return;
    this.#saves.push({ entry: entry.name, pending });
    this.#updateState({ saves: this.#saves });
  }

  /** Closes the store. */
  async close(): Promise<void> {
    await this.#store.close();
  }
}

/** Opens the cache for main. */
export async function openCaches(
  plan: Plan,
  engine: Engine,
  updateState: UpdateState,
  ctx: ActionContext,
): Promise<Caches> {
  const store = await openStore(plan.folder, plan.caches.restoreTimeoutMs, ctx);
  return new Caches(store, plan, engine, updateState);
}

/**
 * Opens the Actions cache.
 *
 * @param folder the temporary folder of the run
 * @param timeoutMs the milliseconds that all calls may take together
 */
export const openStore = (folder: string, timeoutMs: number, ctx: ActionContext): Promise<CacheStore> =>
  openCacheStore(join(folder, "cache"), {
    spawnWorker: ctx.spawnWorker,
    program: cacheWorkerCommand(),
    timeoutMs,
    mode: ctx.env.ACTIONS_CACHE_MODE,
    log: ctx.log,
  });
