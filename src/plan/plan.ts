import { join } from "node:path";
import { clusterNameSyntaxProblem } from "../cluster/cluster-name.ts";
import type { Problem } from "../lib/errors.ts";
import type { ToolPlan } from "../tools/install.ts";
import { kubernetesVersionOf, nodeImageFor } from "../versions/releases.ts";
import { type CachesPlan, planCaches } from "./caches.ts";
import { type ClusterPlan, planCluster } from "./cluster.ts";
import type { PlanContext } from "./context.ts";
import type { Inputs } from "./inputs.ts";
import { planTools, resolveKind } from "./tools.ts";

/** Everything that a run creates, decided before anything is created. */
export interface Plan {
  /** The ID of the run, which marks its processes and everything that it creates. */
  readonly runId: string;
  /** A temporary folder of this run, which post removes. */
  readonly folder: string;
  readonly kind: ToolPlan;
  readonly kubectl: ToolPlan;
  /** Undefined with `install_only`. */
  readonly cluster: ClusterPlan | undefined;
  readonly caches: CachesPlan;
  /** Settings that work, but probably not as intended. */
  readonly warnings: readonly string[];
}

/**
 * Decides what a run creates. Pure: the same context gives the same plan.
 *
 * @returns the plan, and all problems that prevent it, including those of the inputs
 */
export function createPlan(context: PlanContext): { plan: Plan; problems: Problem[] } {
  const { inputs, job, runId } = context;
  const problems: Problem[] = [...inputs.problems];
  const warnings: string[] = [];
  const kindVersion = resolveKind(context, warnings);
  const folder = join(job.temp, `kind-action-${runId}`);
  const cluster = inputs.installOnly
    ? undefined
    : planCluster(context, { kindVersion, folder }, problems, warnings);
  if (inputs.installOnly) problems.push(...unusedNameProblems(inputs));
  const images = cluster?.images ?? [
    nodeImageFor(kindVersion, inputs.kubernetesVersion ?? "stable")?.image ?? "",
  ];
  const kubernetes = images.map(kubernetesVersionOf).find((version) => version !== undefined);
  const { kind, kubectl } = planTools(context, { kindVersion, kubernetes }, warnings);
  return { plan: { runId, folder, kind, kubectl, cluster, caches: planCaches(context), warnings }, problems };
}

/** A `cluster_name` that no cluster can have is an error even where none is created. Its maximum length depends on the cluster. */
function unusedNameProblems({ clusterName }: Inputs): Problem[] {
  const reason = clusterName === undefined ? undefined : clusterNameSyntaxProblem(clusterName);
  return clusterName === undefined || reason === undefined
    ? []
    : [{ input: "cluster_name", value: clusterName, reason }];
}
