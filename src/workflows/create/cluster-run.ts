import type { Engine } from "../../docker/engine.ts";
import type { TaskGraph } from "../../lib/task-graph.ts";
import type { NodeSessions } from "../../node/sessions.ts";
import type { ClusterPlan } from "../../plan/cluster.ts";
import type { ActionContext } from "../../runner/run-action.ts";
import type { UpdateState } from "../../runner/state.ts";
import type { Caches } from "../caches.ts";

/** The data and services that the tasks of a cluster share. */
export interface ClusterRun {
  readonly ctx: ActionContext;
  readonly plan: ClusterPlan;
  /** The temporary folder of the run. */
  readonly folder: string;
  readonly engine: Engine;
  readonly graph: TaskGraph;
  readonly caches: Caches;
  readonly updateState: UpdateState;
  readonly sessions: NodeSessions;
  /** The labels of containers and images that are not part of the kind cluster. */
  readonly labels: Readonly<Record<string, string>>;
}
