import * as z from "zod";
import type { KubernetesApi } from "./client.ts";

/** Waits for milliseconds. It may reject when the signal is given. */
export type Sleep = (milliseconds: number, signal: AbortSignal) => Promise<unknown>;

/** How long an API is left alone after it refused, did not answer, or ended a conversation, in milliseconds. */
export const retryIntervalMs = 200;

const object = z.looseObject({ metadata: z.looseObject({ name: z.string() }) });

const listed = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string() }),
  items: z.array(object),
});

/** What else an API says has no use here, and ends the conversation: an error, such as that a version is too old. */
const change = z.looseObject({ type: z.enum(["ADDED", "MODIFIED", "DELETED"]), object });

/**
 * Knows at any time what a list of the API's holds, from reading it once and being told of each change. Where that comes
 * to an end, whatever the reason, it begins anew.
 *
 * @param path of a list whose objects have names of their own
 * @param changed is told the list, as it would be read, each time that there is another; undefined while it is not known
 * @param signal ends it
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
      const { metadata, items } = listed.parse(await api.get(path));
      const objects = new Map(items.map((item): [string, unknown] => [item.metadata.name, item]));
      changed({ items: [...objects.values()] });
      for await (const told of api.watch(path, metadata.resourceVersion, signal)) {
        const { type, object } = change.parse(told);
        if (type === "DELETED") objects.delete(object.metadata.name);
        else objects.set(object.metadata.name, object);
        changed({ items: [...objects.values()] });
      }
    } catch {
      // Whoever waits asks why when the time is up: until then it may pass.
    }
    changed(undefined);
    await sleep(retryIntervalMs, signal).catch(() => {});
  }
}
