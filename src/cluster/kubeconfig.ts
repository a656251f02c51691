import { chmod, readFile, rm, stat } from "node:fs/promises";
import { parseDocument } from "yaml";
import * as z from "zod";

/** The name that kind gives a cluster's context, cluster entry and user entry alike. */
export const contextName = (cluster: string): string => `kind-${cluster}`;

/** Takes others' rights to a kubeconfig away: it holds an administrator's key now. kind leaves them where a file was there. */
export const restrictPermissions = (file: string): Promise<void> => chmod(file, 0o600);

const content = z.looseObject({
  clusters: z.array(z.unknown()).nullish(),
  contexts: z.array(z.unknown()).nullish(),
  users: z.array(z.unknown()).nullish(),
});

/** Removes a kubeconfig that was not there before and that kind has left without a single entry. */
export async function removeIfEmpty(file: string): Promise<void> {
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) return;
  const { errors, contents } = parseDocument(text);
  const read = content.safeParse(errors.length > 0 ? undefined : (contents?.toJSON() ?? {}));
  const entries = read.success
    ? [read.data.clusters, read.data.contexts, read.data.users].flatMap((list) => list ?? [])
    : [text];
  if (entries.length === 0) await rm(file, { force: true });
}

/**
 * Removes the lock of a kubeconfig that a kind left behind when it was ended.
 *
 * @param since milliseconds since the epoch: a lock from before is somebody else's
 */
export async function removeStaleLock(file: string, since: number): Promise<void> {
  const lock = `${file}.lock`;
  const made = await stat(lock).then(
    (entry) => entry.mtimeMs,
    () => 0,
  );
  if (made >= since) await rm(lock, { force: true });
}
