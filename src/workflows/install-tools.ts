import { join } from "node:path";
import { addPath } from "@actions/core";
import { toolKey } from "../cache/keys.ts";
import type { CacheStore } from "../cache/transport/store.ts";
import type { Log } from "../lib/log.ts";
import type { ActionContext } from "../runner/run-action.ts";
import type { UpdateState } from "../runner/state.ts";
import { folderOf, type InstalledTool, installTool } from "../tools/install.ts";
import type { PinnedPlan } from "./resolve-plan.ts";

export type InstalledTools = { readonly kind: InstalledTool; readonly kubectl: InstalledTool };

/** Has kind and kubectl, puts them on PATH, and notes what of them is to be saved. */
export async function installTools(
  plan: PinnedPlan,
  on: ActionContext,
  cache: CacheStore,
  record: UpdateState,
  log: Log,
): Promise<InstalledTools> {
  const sources = { path: on.job.path, folder: join(plan.folder, "downloads"), cache };
  const [kind, kubectl] = await Promise.all([
    installTool(plan.kind, sources, log),
    installTool(plan.kubectl, sources, log),
  ]);
  for (const tool of [kind, kubectl]) if (!tool.first) addPath(folderOf(tool));
  const downloaded = [kind, kubectl].filter(({ from }) => from === "download");
  const saves = plan.caches.saves ? downloaded : [];
  record({
    kind: { path: kind.path, checksum: kind.checksum },
    kubectl: { path: kubectl.path, checksum: kubectl.checksum },
    saves: saves.map((tool) => ({
      file: tool.path,
      name: tool.name,
      key: toolKey(tool.name, tool.checksum),
    })),
  });
  return { kind, kubectl };
}
