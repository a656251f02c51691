import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { saveImage, saveRestoreTime } from "../cache/entries/node-image.ts";
import { saveProxies } from "../cache/entries/proxy-blobs.ts";
import { cacheWorkerCommand, openCacheStore } from "../cache/transport/store.ts";
import { Engine } from "../docker/engine.ts";
import { pinImage } from "../images/ensure.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { requestedBlobs } from "../registries/storage.ts";
import type { ActionContext } from "../runner/run-action.ts";
import type { State } from "../runner/state.ts";

/** The blobs that the proxies were asked for: to be known before they are removed. */
export async function usedBlobs({ proxies, endpoint }: State): Promise<Set<string>> {
  if (proxies === undefined) return new Set();
  const engine = new Engine(endpoint);
  const containers = Object.values(proxies.containers);
  const logs = await Promise.all(containers.map((id) => engine.containers.logs(id).catch(() => "")));
  return new Set(logs.flatMap((text) => [...requestedBlobs(text)]));
}

/** Saves what main has noted. What fails costs the rest nothing. */
export async function saveCaches(
  state: State,
  used: ReadonlySet<string>,
  on: ActionContext,
  log: Log,
): Promise<void> {
  const { saves, images, proxies } = state;
  const cache = await openCacheStore(join(state.folder, "cache"), {
    spawnWorker: on.spawnWorker,
    program: cacheWorkerCommand(),
    deadline: state.saveDeadline,
    mode: on.env.ACTIONS_CACHE_MODE,
    warn: (message) => on.printer.warning(message),
  });
  const each = async (what: string, work: () => Promise<void>) => {
    await work().catch((error: unknown) => log.line(`${what} not cached: ${errorMessage(error)}`));
  };
  for (const { file, name, key } of saves)
    await each(`${name} is`, async () => {
      await copyFile(file, join(cache.folder, name));
      const { outcome, reason } = await cache.save({ path: name, key });
      log.line(`${name}: ${outcome}${reason === undefined ? "" : `, ${reason}`}`);
    });
  if (proxies !== undefined)
    await each("What the proxies hold is", () =>
      saveProxies(cache, new Map(Object.entries(proxies.folders)), used, proxies, log),
    );
  const engine = new Engine(state.endpoint);
  for (const { reference, tag, architecture, restored, seconds } of images)
    await each(`${reference} is`, async () => {
      const image = pinImage(reference, { os: "linux", architecture }, tag);
      if (image === undefined) return;
      if (restored) await saveRestoreTime(cache, image, seconds, log);
      else await saveImage(cache, engine, image, { seconds, folder: join(state.folder, "images") }, log);
    });
  await cache.close();
}

/** Whether main has noted anything to be saved, and came to its end. */
export const hasSaves = ({ succeeded, saves, images, proxies }: State): boolean =>
  succeeded && (saves.length > 0 || images.length > 0 || proxies !== undefined);
