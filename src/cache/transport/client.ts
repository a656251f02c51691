import { getPriority, setPriority } from "node:os";
import { isFeatureAvailable, restoreCache, saveCache } from "@actions/cache";
import type { CacheReply, CacheRequest } from "./protocol.ts";

/**
 * Asks the Actions cache: the only user of its client, which prints why something failed, or throws.
 *
 * An entry remembers where its files lay relative to the workspace, and its identity holds the paths as they were
 * written. Runners keep their folders in different places: so both are relative to a folder of our own, which is this
 * process's current one from here on. The client's temporary files, which it leaves behind, go there as well.
 */
export async function callCache(request: CacheRequest, folder: string): Promise<CacheReply> {
  if (!isFeatureAvailable()) return { outcome: "unavailable" };
  process.chdir(folder);
  process.env.GITHUB_WORKSPACE = folder;
  process.env.RUNNER_TEMP = folder;
  const paths = [request.path];
  if (request.call === "save") {
    const id = await saveCache(paths, request.key);
    return { outcome: id === -1 ? "none" : "saved" };
  }
  if (request.call === "restore" && request.background) setPriority(Math.max(10, getPriority()));
  const lookupOnly = request.call === "find";
  const prefixes = request.call === "restore" ? request.prefixes : [];
  const key = await restoreCache(paths, request.key, prefixes, { lookupOnly });
  return key === undefined ? { outcome: "none" } : { outcome: "found", key };
}
