import * as z from "zod";
import type { KubernetesApi } from "./client.ts";

/** Waits for a number of milliseconds. It may reject when the signal is aborted. */
export type Sleep = (milliseconds: number, signal: AbortSignal) => Promise<unknown>;

/** The interval after which a list is read again when the request or the watch has ended. */
export const retryIntervalMs = 200;

const object = z.looseObject({ metadata: z.looseObject({ name: z.string() }) });

const objectList = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  items: z.array(object),
});

/** An event of a watch. Any other event, such as an ERROR because the resource version is too old, ends the watch. */
const watchEvent = z.looseObject({ type: z.enum(["ADDED", "MODIFIED", "DELETED"]), object });

/**
 * Keeps a list of the API up to date: reads it once, and then applies the events of a watch. When the watch ends, for
 * any reason, it reads the list again.
 *
 * @param path the path of a list in which the names of objects are unique
 * @param changed called with the list after each change, and with undefined when the watch has ended
 * @param signal ends the watch
 */
export async function watchList(
  api: KubernetesApi,
  path: string,
  changed: (list: { readonly items: readonly unknown[] } | undefined) => void,
  signal: AbortSignal,
  sleep: Sleep,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const { metadata, items } = objectList.parse(await api.get(path));
      const objects = new Map(items.map((item): [string, unknown] => [item.metadata.name, item]));
      changed({ items: [...objects.values()] });
      for await (const event of api.watch(path, metadata.resourceVersion, signal)) {
        const { type, object } = watchEvent.parse(event);
        if (type === "DELETED") objects.delete(object.metadata.name);
        else objects.set(object.metadata.name, object);
        changed({ items: [...objects.values()] });
      }
    } catch {
      // The error may be temporary. The caller reports the reason at its timeout.
    }
    changed(undefined);
    await sleep(retryIntervalMs, signal).catch(() => {});
  }
}
