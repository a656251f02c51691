import type { CreatedCluster } from "../../cluster/create.ts";
import { hasImages, type LoadedImage, loadImages } from "../../images/load/load-images.ts";
import { NodeLoadError } from "../../images/load/load-into-nodes.ts";
import type { Task } from "../../lib/task-graph.ts";
import type { ClusterRun } from "./cluster-run.ts";

/** The milliseconds that nodes and their containerd may take to start. */
const startTimeoutMs = 5 * 60_000;

/** Adds a task that loads images while kind creates the cluster: containerd is ready before kubeadm is done. */
export function addLoadTask(
  { ctx, plan, engine, sessions, graph, labels }: ClusterRun,
  after: {
    readonly tools: Task<unknown>;
    readonly images: Task<ReadonlyMap<string, string>>;
    readonly network: Task<void>;
    readonly created: Task<CreatedCluster>;
  },
): Task<LoadedImage[]> | undefined {
  if (!hasImages(plan.load)) return undefined;
  return graph.add("Load images", [after.tools, after.images, after.network], async (log, _, names) => {
    const platform = await engine.images.platform([...names.values()][0] ?? "");
    const load = () =>
      loadImages(
        plan.load,
        {
          platform,
          nodes: sessions.waitFor(plan.nodes, startTimeoutMs),
          into: plan.loadInto,
          startTimeoutMs,
          alwaysPulls: plan.alwaysPullsImages,
        },
        { engine, runProgram: ctx.runProgram, labels },
        log,
      );
    try {
      return await load();
    } catch (error) {
      // kind deleted the nodes because the cluster was created again without fast start: load into the new nodes.
      const wasRecreated =
        error instanceof NodeLoadError && (await after.created.result.catch(() => undefined))?.recreated;
      if (!wasRecreated) throw error;
      return await load();
    }
  });
}
