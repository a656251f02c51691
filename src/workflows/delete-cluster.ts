import { rm } from "node:fs/promises";
import { join } from "node:path";
import { getInput } from "@actions/core";
import { deleteNodes } from "../cluster/delete-nodes.ts";
import { removeNetwork } from "../cluster/docker-network.ts";
import { createKindCli, type KindCli } from "../cluster/kind-cli.ts";
import { removeIfEmpty, removeStaleLock } from "../cluster/kubeconfig.ts";
import { holdsNameLock, releaseNameLock } from "../cluster/name-lock.ts";
import { Engine } from "../docker/engine.ts";
import { clusterLabel } from "../docker/labels.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { sha256File } from "../lib/sha256.ts";
import { killMarkedProcesses } from "../lib/subprocess.ts";
import { createTaskGraph, type TaskGraph } from "../lib/task-graph.ts";
import type { ActionContext } from "../runner/run-action.ts";
import { readState, type State, type StateCluster } from "../runner/state.ts";
import { collectClusterLogs, shouldCollectLogs } from "./cluster-logs.ts";
import { prepareSaves } from "./save-caches.ts";

/** Post: collects logs, saves caches, and deletes everything that main created. A failed task does not stop the others. */
export async function deleteCluster(ctx: ActionContext): Promise<void> {
  const state = readState();
  if (state === undefined) {
    ctx.log.line("There is nothing to delete: main created nothing.");
    return;
  }
  // A killed main may have left programs that still create resources.
  await killMarkedProcesses(state.runId);
  const graph = createTaskGraph(ctx.printer);
  // Must run before the deletion: the proxies are deleted with the cluster.
  const saves = await prepareSaves(state, ctx);
  const [deleted] = await Promise.allSettled([
    state.cluster && deleteCreatedCluster(state, state.cluster, graph, ctx),
    saves && attempt(graph, ctx, "Save caches", (log) => saves.save(log)),
  ]);
  await saves?.close();
  for (const folder of [state.folder, state.proxiesFolder])
    if (folder !== undefined) await removeFolder(folder, ctx);
  if (deleted.status === "fulfilled") return;
  const message = `Could not delete the cluster "${state.cluster?.name}": ${errorMessage(deleted.reason)}`;
  if (state.cluster?.ignoreFailedClean !== true) throw new Error(message, { cause: deleted.reason });
  ctx.log.warning(message);
}

/** Collects the logs of the cluster and deletes it, if this run created it. */
async function deleteCreatedCluster(
  state: State,
  cluster: StateCluster,
  graph: TaskGraph,
  ctx: ActionContext,
): Promise<void> {
  const engine = new Engine(state.endpoint);
  if (!(await holdsNameLock(engine, cluster.name, state.runId))) {
    ctx.log.line(
      `This run did not create a cluster "${cluster.name}". If one exists, it belongs to another run or user, and is not deleted.`,
    );
    return;
  }
  const [kindPath, kubectl] = await Promise.all([verifiedPath(state.kind), verifiedPath(state.kubectl)]);
  const kind = kindPath === undefined ? undefined : createKindCli(kindPath, ctx.runProgram, state.endpoint);
  if (kind !== undefined && shouldCollectLogs(cluster, getInput("job_status"), state.succeeded)) {
    const tools = { kind, kubectl, cache: join(state.folder, "kubectl") };
    await attempt(graph, ctx, "Collect logs", (log) => collectClusterLogs(cluster, tools, ctx, log));
  }
  await graph.add("Delete the cluster", [], (log) => deleteResources(state, cluster, engine, kind, log))
    .result;
}

/** Deletes the cluster with its containers, images, Docker network, kubeconfig and name lock. */
async function deleteResources(
  state: State,
  cluster: StateCluster,
  engine: Engine,
  kind: KindCli | undefined,
  log: Log,
): Promise<void> {
  const { path, existed } = cluster.kubeconfig;
  await removeStaleLock(path, state.startedMs);
  await kind?.delete(cluster.name, path, log).catch((error: unknown) => log.line(errorMessage(error)));
  await deleteNodes(engine, cluster.name, { stillCreating: !state.succeeded });
  // Registry containers, and helper containers and images that a killed step left.
  const containers = await engine.containers.listByLabel(clusterLabel, cluster.name);
  await Promise.all(containers.map((id) => engine.containers.remove(id)));
  const images = await engine.images.listByLabel(clusterLabel, cluster.name);
  await Promise.all(images.map((id) => engine.images.untag(id)));
  await removeNetwork(engine, cluster.network, state.runId);
  if (!existed) await removeIfEmpty(path);
  await releaseNameLock(engine, cluster.name, state.runId);
}

/** Returns the path of a tool that main installed, if no other step of the job has changed the file. */
async function verifiedPath(
  tool: { path: string; checksum: string } | undefined,
): Promise<string | undefined> {
  if (tool === undefined) return undefined;
  return (await sha256File(tool.path).catch(() => "")) === tool.checksum ? tool.path : undefined;
}

/** Deletes a folder of the run. A file that cannot be deleted is a warning: it must not hide why the cluster was not deleted. */
async function removeFolder(folder: string, ctx: ActionContext): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true });
  } catch (error) {
    ctx.log.warning(`Could not delete the folder ${folder}: ${errorMessage(error)}`);
  }
}

/** Runs a task, and turns its failure into a warning. */
async function attempt(
  graph: TaskGraph,
  ctx: ActionContext,
  name: string,
  work: (log: Log) => Promise<void>,
): Promise<void> {
  await graph
    .add(name, [], work)
    .result.catch((error: unknown) => ctx.log.warning(`The task "${name}" failed: ${errorMessage(error)}`));
}
