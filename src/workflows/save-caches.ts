import type { CacheContext } from "../cache/entries/context.ts";
import { cacheEntries } from "../cache/entries.ts";
import { Engine } from "../docker/engine.ts";
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
 * Prepares the items that main left to save, in the order of the list of entries. Items that cannot be prepared are skipped,
 * with a line in the log.
 *
 * @returns undefined if there is nothing to save, or main failed
 */
export async function prepareSaves(
  { succeeded, saves, folder, saveTimeoutMs, endpoint }: State,
  ctx: ActionContext,
): Promise<PreparedSaves | undefined> {
  if (!succeeded || saves.length === 0) return undefined;
  try {
    const engine = new Engine(endpoint);
    const store = await openStore(folder, saveTimeoutMs, ctx);
    const context = { store, engine, folder };
    const items = await Promise.all(inOrder(saves).map((item) => prepareItem(item, context, ctx.log)));
    return {
      save: (log) => saveItems(items.flat(), log),
      close: () => store.close().catch((error: unknown) => ctx.log.line(errorMessage(error))),
    };
  } catch (error) {
    ctx.log.warning(`Could not open the cache, so nothing is saved: ${errorMessage(error)}`);
    return undefined;
  }
}

/** Sorts items by their entries: main leaves them in the order in which its tasks ended. */
function inOrder(saves: State["saves"]): State["saves"] {
  const position = ({ entry }: State["saves"][number]) =>
    cacheEntries.findIndex(({ name }) => name === entry);
  return saves.toSorted((a, b) => position(a) - position(b));
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
    const listed = cacheEntries.find(({ name }) => name === entry);
    if (listed === undefined) throw new Error("this version of the action has no such entry");
    return [{ entry, save: await listed.prepareSave(pending, context) }];
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
