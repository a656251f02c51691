import { join } from "node:path";
import { getInput } from "@actions/core";
import { contextOf } from "../cluster/kubeconfig.ts";
import { clusterLabel, runLabel } from "../cluster/name-lock.ts";
import { resolveEndpoint } from "../docker/endpoint.ts";
import { Engine } from "../docker/engine.ts";
import { loadImages } from "../images/load/load-images.ts";
import { restart } from "../kubernetes/rollout.ts";
import { BadInputs } from "../lib/errors.ts";
import { timeline } from "../lib/task-graph.ts";
import { type ClusterNode, clusterNodes, selectNodes } from "../node/nodes.ts";
import { type LoadStepInputs, readLoadInputs } from "../runner/inputs.ts";
import { setImagesOutput } from "../runner/outputs.ts";
import type { Surroundings } from "../runner/run-action.ts";
import { writeLoaded } from "../runner/summary.ts";

/** The step `load`: brings images into a cluster made earlier in the job, and restarts what runs them. */
export async function loadIntoCluster(on: Surroundings): Promise<void> {
  const [inputs, endpoint] = await Promise.all([
    readLoadInputs(getInput, on.job.workspace),
    resolveEndpoint(on.env, on.start),
  ]);
  const engine = new Engine(endpoint);
  const cluster = inputs.clusterName ?? on.job.clusterName ?? "kind";
  const { nodes, into } = await nodesToLoad(cluster, inputs, engine);
  const folder = join(on.job.temp, `kind-action-${on.run}`);
  const run = timeline(on.printer);
  const loaded = run.task("Load images", [], async (log) => {
    const platform = await engine.images.platform(nodes[0]?.container.image ?? "");
    const labels = { [runLabel]: on.run, [clusterLabel]: cluster };
    return await loadImages(
      { ...inputs.load, folder },
      { platform, nodes: Promise.resolve(nodes), into, starting: 60_000, alwaysPulls: false },
      { engine, endpoint, run: on.start, labels },
      log,
    );
  });
  if (inputs.restart.length > 0) {
    run.task("Restart what runs them", [loaded], (log) =>
      restart(inputs.restart, { run: on.start, context: contextOf(cluster), deadline: inputs.wait }, log),
    );
  }
  await run.finish();
  const images = await loaded.result;
  setImagesOutput(images);
  await writeLoaded(cluster, images);
}

/** @throws BadInputs with everything that is wrong with the inputs, the cluster and its nodes included */
async function nodesToLoad(
  cluster: string,
  { load, problems }: LoadStepInputs,
  engine: Engine,
): Promise<{ nodes: readonly ClusterNode[]; into: readonly string[] }> {
  const nodes = await clusterNodes(engine, cluster);
  if (!nodes.some(({ container }) => container.running)) {
    const reason = "there is no running cluster of that name: make it first, with `org/kind-action` or kind";
    throw new BadInputs([...problems, { input: "cluster_name", value: cluster, reason }]);
  }
  const selected = selectNodes(nodes, load.nodes);
  if (!("problem" in selected) && problems.length === 0)
    return { nodes, into: selected.map(({ name }) => name) };
  const given = typeof load.nodes === "string" ? load.nodes : load.nodes.join(", ");
  throw new BadInputs([
    ...problems,
    ...("problem" in selected ? [{ input: "load_nodes", value: given, reason: selected.problem }] : []),
  ]);
}
