import { join } from "node:path";
import { getInput } from "@actions/core";
import { clusterNameSyntaxProblem, resolveClusterName } from "../cluster/cluster-name.ts";
import { contextName } from "../cluster/kubeconfig.ts";
import { resolveEndpoint } from "../docker/endpoint.ts";
import { Engine } from "../docker/engine.ts";
import { clusterLabel, runLabel } from "../docker/labels.ts";
import { loadImages } from "../images/load/load-images.ts";
import { restartWorkloads } from "../kubernetes/rollout.ts";
import { InvalidInputsError, type Problem } from "../lib/errors.ts";
import { createTaskGraph } from "../lib/task-graph.ts";
import { type ClusterNode, listNodes, selectNodes } from "../node/nodes.ts";
import { NodeSessions } from "../node/sessions.ts";
import type { LoadInputs } from "../plan/inputs.ts";
import { readLoadInputs } from "../runner/inputs/load.ts";
import { setImagesOutput } from "../runner/outputs.ts";
import type { ActionContext } from "../runner/run-action.ts";
import { writeLoaded } from "../runner/summary.ts";

/** The action `load`: loads images into a cluster that was created earlier in the job, and restarts workloads. */
export async function loadIntoCluster(ctx: ActionContext): Promise<void> {
  const { runProgram, runId } = ctx;
  const [inputs, endpoint] = await Promise.all([
    readLoadInputs(getInput, ctx.job.workspace),
    resolveEndpoint(ctx.env, runProgram),
  ]);
  const engine = new Engine(endpoint);
  const cluster = resolveClusterName(inputs.clusterName, ctx.job.clusterName);
  const { nodes, into } = await nodesToLoad(cluster, inputs, engine);
  const sessions = new NodeSessions(engine, cluster);
  const graph = createTaskGraph(ctx.printer);
  const loaded = graph.add("Load images", [], async (log) => {
    const target = {
      platform: await engine.images.platform(nodes[0]?.container.image ?? ""),
      nodes: Promise.resolve(nodes.map((node) => ({ ...node, session: sessions.of(node) }))),
      into,
      startTimeoutMs: 60_000,
      alwaysPulls: false,
    };
    const folder = join(ctx.job.temp, `kind-action-${runId}`);
    const labels = { [runLabel]: runId, [clusterLabel]: cluster };
    return await loadImages({ ...inputs.load, folder }, target, { engine, runProgram, labels }, log);
  });
  if (inputs.restart.length > 0) {
    graph.add("Restart workloads", [loaded], (log) =>
      restartWorkloads(
        inputs.restart,
        { runProgram, context: contextName(cluster), timeoutMs: inputs.wait },
        log,
      ),
    );
  }
  await graph.waitForAll().finally(() => sessions.close());
  const images = await loaded.result;
  setImagesOutput(images);
  await writeLoaded(cluster, images);
}

/** Finds the nodes to load into. @throws InvalidInputsError with all problems of the inputs, the cluster and its nodes */
async function nodesToLoad(
  cluster: string,
  { load, problems }: LoadInputs,
  engine: Engine,
): Promise<{ nodes: readonly ClusterNode[]; into: readonly string[] }> {
  const nodes = await listNodes(engine, cluster);
  const isRunning = nodes.some(({ container }) => container.running);
  const selected = isRunning ? selectNodes(nodes, load.nodes) : [];
  const given = typeof load.nodes === "string" ? load.nodes : load.nodes.join(", ");
  const found: Problem[] = [
    ...problems,
    ...(isRunning ? [] : [{ input: "cluster_name", value: cluster, reason: notRunning(cluster) }]),
    ...("problem" in selected ? [{ input: "load_nodes", value: given, reason: selected.problem }] : []),
  ];
  if (found.length > 0 || "problem" in selected) throw new InvalidInputsError(found);
  return { nodes, into: selected.map(({ name }) => name) };
}

const notRunning = (cluster: string) =>
  clusterNameSyntaxProblem(cluster) ??
  "is not a running cluster: create it first, with `org/kind-action` or kind";
