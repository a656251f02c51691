import { join } from "node:path";
import { getInput } from "@actions/core";
import { contextName } from "../cluster/kubeconfig.ts";
import { clusterLabel, runLabel } from "../cluster/name-lock.ts";
import { resolveEndpoint } from "../docker/endpoint.ts";
import { Engine } from "../docker/engine.ts";
import { loadImages } from "../images/load/load-images.ts";
import { restartWorkloads } from "../kubernetes/rollout.ts";
import { InvalidInputsError } from "../lib/errors.ts";
import { createTaskGraph } from "../lib/task-graph.ts";
import { type ClusterNode, listNodes, selectNodes } from "../node/nodes.ts";
import { type LoadInputs, readLoadInputs } from "../runner/inputs.ts";
import { setImagesOutput } from "../runner/outputs.ts";
import type { ActionContext } from "../runner/run-action.ts";
import { writeLoaded } from "../runner/summary.ts";

/** The step `load`: brings images into a cluster made earlier in the job, and restarts what runs them. */
export async function loadIntoCluster(on: ActionContext): Promise<void> {
  const [inputs, endpoint] = await Promise.all([
    readLoadInputs(getInput, on.job.workspace),
    resolveEndpoint(on.env, on.runProgram),
  ]);
  const engine = new Engine(endpoint);
  const cluster = inputs.clusterName ?? on.job.clusterName ?? "kind";
  const { nodes, into } = await nodesToLoad(cluster, inputs, engine);
  const folder = join(on.job.temp, `kind-action-${on.runId}`);
  const run = createTaskGraph(on.printer);
  const loaded = run.add("Load images", [], async (log) => {
    const platform = await engine.images.platform(nodes[0]?.container.image ?? "");
    const labels = { [runLabel]: on.runId, [clusterLabel]: cluster };
    return await loadImages(
      { ...inputs.load, folder },
      { platform, nodes: Promise.resolve(nodes), into, starting: 60_000, alwaysPulls: false },
      { engine, endpoint, run: on.runProgram, labels },
      log,
    );
  });
  if (inputs.restart.length > 0) {
    run.add("Restart what runs them", [loaded], (log) =>
      restartWorkloads(
        inputs.restart,
        { run: on.runProgram, context: contextName(cluster), deadline: inputs.wait },
        log,
      ),
    );
  }
  await run.waitForAll();
  const images = await loaded.result;
  setImagesOutput(images);
  await writeLoaded(cluster, images);
}

/** @throws BadInputs with everything that is wrong with the inputs, the cluster and its nodes included */
async function nodesToLoad(
  cluster: string,
  { load, problems }: LoadInputs,
  engine: Engine,
): Promise<{ nodes: readonly ClusterNode[]; into: readonly string[] }> {
  const nodes = await listNodes(engine, cluster);
  if (!nodes.some(({ container }) => container.running)) {
    const reason = "there is no running cluster of that name: make it first, with `org/kind-action` or kind";
    throw new InvalidInputsError([...problems, { input: "cluster_name", value: cluster, reason }]);
  }
  const selected = selectNodes(nodes, load.nodes);
  if (!("problem" in selected) && problems.length === 0)
    return { nodes, into: selected.map(({ name }) => name) };
  const given = typeof load.nodes === "string" ? load.nodes : load.nodes.join(", ");
  throw new InvalidInputsError([
    ...problems,
    ...("problem" in selected ? [{ input: "load_nodes", value: given, reason: selected.problem }] : []),
  ]);
}
