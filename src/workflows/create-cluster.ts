import { Engine } from "../docker/engine.ts";
import { createTaskGraph, type TaskGraph } from "../lib/task-graph.ts";
import { setRunOutputs } from "../runner/outputs.ts";
import type { RunReport } from "../runner/report.ts";
import type { ActionContext } from "../runner/run-action.ts";
import { saveState } from "../runner/state.ts";
import { writeSummary } from "../runner/summary.ts";
import { type Caches, openCaches } from "./caches.ts";
import { addClusterTasks, type ClusterTasks } from "./create/cluster-tasks.ts";
import { installTools } from "./install-tools.ts";
import { initialState, type ResolvedPlan, resolvePlan } from "./resolve-plan.ts";

/** Main: creates the cluster of the inputs, and saves the state with which post deletes it. */
export async function createCluster(ctx: ActionContext): Promise<void> {
  const { plan, daemon } = await resolvePlan(ctx);
  for (const warning of plan.warnings) ctx.log.warning(warning);
  const updateState = saveState(await initialState(plan, daemon, ctx));
  const graph = createTaskGraph(ctx.printer);
  const engine = new Engine({ ...daemon?.endpoint });
  let caches: Caches | undefined;
  let cluster: ClusterTasks | undefined;
  let succeeded = false;
  try {
    const opened = await openCaches(plan, engine, updateState, ctx);
    caches = opened;
    const tools = graph.add("Install kind and kubectl", [], (log) =>
      installTools(plan, opened, updateState, ctx, log),
    );
    const base = { ctx, folder: plan.folder, engine, graph, caches, updateState };
    cluster = plan.cluster && addClusterTasks({ ...base, plan: plan.cluster }, tools);
    await graph.waitForAll();
    await caches.close();
    setRunOutputs(reportRun({ ctx, plan, graph, caches, cluster }, true));
    succeeded = true;
    updateState({ succeeded });
  } finally {
    cluster?.sessions.close();
    await writeSummary(reportRun({ ctx, plan, graph, caches, cluster }, succeeded));
  }
}

/** Collects the results of the tasks that have finished. */
function reportRun(
  run: {
    readonly ctx: ActionContext;
    readonly plan: ResolvedPlan;
    readonly graph: TaskGraph;
    readonly caches: Caches | undefined;
    readonly cluster: ClusterTasks | undefined;
  },
  succeeded: boolean,
): RunReport {
  const { plan, cluster } = run;
  return {
    plan,
    succeeded,
    seconds: (Date.now() - run.ctx.startedMs) / 1000,
    timings: run.graph.timings(),
    cluster: cluster?.ready.value,
    settings: cluster?.created.value?.settings ?? [],
    images: cluster?.loaded?.value ?? [],
    caches: run.caches?.reports ?? [],
  };
}
