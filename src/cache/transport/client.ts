import { getPriority, setPriority } from "node:os";
import { isFeatureAvailable, restoreCache, saveCache } from "@actions/cache";
import type { CacheReply, CacheRequest } from "./protocol.ts";

/**
 * Executes a request with the client of the Actions cache. This is the only use of that client, which reports failures
 * as workflow commands on stdout, or throws.
 *
 * The client stores paths relative to the workspace, and hashes the paths as given into the version of an entry. Runners
 * have different workspaces, so both the workspace and the current directory of this process are set to `folder`. So is
 * the folder of the client's temporary files, which it does not remove.
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
