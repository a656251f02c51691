import type { CacheContext } from "../cache/entries/context.ts";
import { cacheEntries } from "../cache/entries.ts";
import type { Engine } from "../docker/engine.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { ActionContext } from "../runner/run-action.ts";
import type { State } from "../runner/state.ts";
import { openStore } from "./caches.ts";

/** Items that can be saved when the cluster is gone. */
export interface PreparedSaves {
  /** Saves the items one after another. If one cannot be saved, the others still are. */
  save(log: Log): Promise<void>;
  /** Ends the use of the cache. */
  close(): Promise<void>;
}

/**
 * Prepares the items that main left to save. Items that cannot be prepared are skipped, with a line in the log.
 *
 * @returns undefined if there is nothing to save, or main failed
 */
export async function prepareSaves(
  { succeeded, saves, folder, saveTimeoutMs }: State,
  engine: Engine,
  ctx: ActionContext,
): Promise<PreparedSaves | undefined> {
  if (!succeeded || saves.length === 0) return undefined;
  try {
    const store = await openStore(folder, saveTimeoutMs, ctx);
    const items = await Promise.all(
      saves.map((item) => prepareItem(item, { store, engine, folder }, ctx.log)),
    );
    return {
      save: (log) => saveItems(items.flat(), log),
      close: () => store.close(),
    };
  } catch (error) {
    ctx.log.warning(`Could not open the cache, so nothing is saved: ${errorMessage(error)}`);
    return undefined;
  }
}

/** An item that can be saved. */
interface PreparedItem {
  /** The name of its cache entry. */
  readonly entry: string;
  readonly save: (log: Log) => Promise<void>;
}

async function prepareItem(
  { entry, pending }: State["saves"][number],
  context: CacheContext,
  log: Log,
): Promise<PreparedItem[]> {
  try {
    const save = await cacheEntries.find(({ name }) => name === entry)?.prepareSave(pending, context);
    return save === undefined ? [] : [{ entry, save }];
  } catch (error) {
    log.line(`Could not prepare the cache entry ${entry}: ${errorMessage(error)}`);
    return [];
  }
}

async function saveItems(items: readonly PreparedItem[], log: Log): Promise<void> {
  for (const { entry, save } of items) {
    try {
      await save(log);
    } catch (error) {
      log.line(`Could not save the cache entry ${entry}: ${errorMessage(error)}`);
    }
  }
}
