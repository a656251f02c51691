import { chmod, readFile, rm, stat } from "node:fs/promises";
import { parseDocument } from "yaml";
import * as z from "zod";

/** Returns the name that kind gives the context, the cluster entry and the user entry of a cluster in a kubeconfig. */
export const contextName = (cluster: string): string => `kind-${cluster}`;

/**
 * Makes a kubeconfig readable by its owner only, because it contains an administrator's key. kind does not change the
 * mode of a file that exists.
 */
export const restrictPermissions = (file: string): Promise<void> => chmod(file, 0o600);

const content = z.looseObject({
  clusters: z.array(z.unknown()).nullish(),
  contexts: z.array(z.unknown()).nullish(),
  users: z.array(z.unknown()).nullish(),
});

/** Removes a kubeconfig that has no clusters, contexts and users. A file that is not a kubeconfig stays. */
export async function removeIfEmpty(file: string): Promise<void> {
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) return;
  const { errors, contents } = parseDocument(text);
  const parsed = content.safeParse(errors.length > 0 ? undefined : (contents?.toJSON() ?? {}));
  const entries = parsed.success
    ? [parsed.data.clusters, parsed.data.contexts, parsed.data.users].flatMap((list) => list ?? [])
    : [text];
  if (entries.length === 0) await rm(file, { force: true });
}

/**
 * Removes the lock file of a kubeconfig that a killed kind has left behind.
 *
 * @param sinceMs milliseconds since the epoch: an older lock belongs to another process
 */
export async function removeStaleLock(file: string, sinceMs: number): Promise<void> {
  const lock = `${file}.lock`;
  const createdMs = await stat(lock).then(
    (entry) => entry.mtimeMs,
    () => 0,
  );
  if (createdMs >= sinceMs) await rm(lock, { force: true });
}
