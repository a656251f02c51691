import { join } from "node:path";
import { addPath } from "@actions/core";
import { restoredTool, toolEntry } from "../cache/entries/tool.ts";
import type { Log } from "../lib/log.ts";
import type { ActionContext } from "../runner/run-action.ts";
import type { UpdateState } from "../runner/state.ts";
import { folderOf, type InstalledTool, installTool } from "../tools/install.ts";
import type { Caches } from "./caches.ts";
import type { ResolvedPlan } from "./resolve-plan.ts";

/** The tools of a run. */
export interface InstalledTools {
  readonly kind: InstalledTool;
  readonly kubectl: InstalledTool;
}

/** Installs kind and kubectl, and adds them to PATH. */
export async function installTools(
  plan: ResolvedPlan,
  caches: Caches,
  updateState: UpdateState,
  ctx: ActionContext,
  log: Log,
): Promise<InstalledTools> {
  const sources = {
    path: ctx.job.path,
    folder: join(plan.folder, "downloads"),
    restore: async (tool: { name: string; checksum: string }) => {
      const { outcome } = await caches.restore(toolEntry, tool, { item: tool.name }, log);
      return outcome === "hit" ? restoredTool(caches.context, tool.name) : undefined;
    },
  };
  const [kind, kubectl] = await Promise.all([
    installTool(plan.kind, sources, log),
    installTool(plan.kubectl, sources, log),
  ]);
  updateState({
    kind: { path: kind.path, checksum: kind.checksum },
    kubectl: { path: kubectl.path, checksum: kubectl.checksum },
  });
  for (const tool of [kind, kubectl]) {
    if (!tool.first) addPath(folderOf(tool));
    const { name, checksum, path } = tool;
    if (tool.from === "download") caches.saveLater(toolEntry, { name, checksum, path });
  }
  return { kind, kubectl };
}
