import { rm } from "node:fs/promises";
import { join } from "node:path";
import { getInput } from "@actions/core";
import { deleteNodes } from "../cluster/delete-nodes.ts";
import { removeNetwork } from "../cluster/docker-network.ts";
import { createKindCli, type KindCli } from "../cluster/kind-cli.ts";
import { contextName, removeIfEmpty, removeStaleLock } from "../cluster/kubeconfig.ts";
import { clusterLabel, holdsNameLock, releaseNameLock } from "../cluster/name-lock.ts";
import { Engine } from "../docker/engine.ts";
import { KubernetesApi, readAccess } from "../kubernetes/client.ts";
import { diagnose, highlightLogs } from "../kubernetes/diagnosis.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { sha256File } from "../lib/sha256.ts";
import { killMarkedProcesses } from "../lib/subprocess.ts";
import { createTaskGraph, type TaskGraph } from "../lib/task-graph.ts";
import { collectLogs, type LogSources } from "../logs/collect.ts";
import { redact } from "../logs/redact.ts";
import { uploadArtifact } from "../runner/artifact.ts";
import type { ActionContext } from "../runner/run-action.ts";
import { readState, type State } from "../runner/state.ts";
import { writeFindings } from "../runner/summary.ts";
import { hasSaves, saveCaches, usedBlobs } from "./save-caches.ts";

type MadeCluster = NonNullable<State["cluster"]>;

/** Post: logs, caches, and away with everything that main made. Nothing that fails keeps the rest from being done. */
export async function deleteCluster(on: ActionContext): Promise<void> {
  const state = readState();
  if (state === undefined) {
    on.printer.info("Nothing was made: there is nothing to remove.");
    return;
  }
  // A main that was killed may have left programs that still make things.
  await killMarkedProcesses(state.run);
  const run = createTaskGraph(on.printer);
  // The proxies go with the cluster.
  const used = await usedBlobs(state);
  const [removed] = await Promise.allSettled([
    state.cluster && removeWhatIsOurs(state, state.cluster, run, on),
    hasSaves(state) && attempt(run, on, "Save caches", (log) => saveCaches(state, used, on, log)),
  ]);
  for (const folder of [state.folder, state.proxiesFolder])
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  if (removed.status === "fulfilled") return;
  const message = `The cluster "${state.cluster?.name}" could not be removed: ${errorMessage(removed.reason)}`;
  if (state.cluster?.ignoreFailedClean !== true) throw new Error(message, { cause: removed.reason });
  on.printer.warning(message);
}

async function removeWhatIsOurs(
  state: State,
  cluster: MadeCluster,
  run: TaskGraph,
  on: ActionContext,
): Promise<void> {
  const engine = new Engine(state.endpoint);
  if (!(await holdsNameLock(engine, cluster.name, state.run))) {
    on.printer.info(
      `This run made no cluster "${cluster.name}": if there is one, it is somebody else's and is left alone.`,
    );
    return;
  }
  const [kindPath, kubectl] = await Promise.all([verified(state.kind), verified(state.kubectl)]);
  const kind = kindPath === undefined ? undefined : createKindCli(kindPath, on.runProgram, state.endpoint);
  if (kind !== undefined && shouldCollectLogs(cluster, getInput("job_status"), state.succeeded)) {
    const from = { kind, kubectl, cache: join(state.folder, "kubectl") };
    await attempt(run, on, "Keep the logs", (log) => keepLogs(cluster, from, on, log));
  }
  await run.add("Delete the cluster", [], (log) => remove(state, cluster, engine, kind, log)).result;
}

/** A job that timed out says `cancelled`, and wants its logs too. Where nobody evaluates the status, main's own end counts. */
export function shouldCollectLogs(
  { logs }: Pick<MadeCluster, "logs">,
  jobStatus: string,
  mainSucceeded: boolean,
): boolean {
  if (logs.when !== "on-failure") return logs.when === "always";
  return !mainSucceeded || jobStatus === "failure" || jobStatus === "cancelled";
}

async function keepLogs(
  { name, kubeconfig, logs }: MadeCluster,
  tools: Pick<LogSources, "kind" | "kubectl" | "cache">,
  on: ActionContext,
  log: Log,
): Promise<void> {
  const asked = findingsOf(name, kubeconfig.path);
  await collectLogs(
    { cluster: name, kubeconfig: kubeconfig.path, ...tools, run: on.runProgram },
    logs.folder,
    log,
  );
  const findings = [...(await asked), ...(await highlightLogs(logs.folder))].map(redact);
  for (const finding of findings) log.line(finding);
  const uploaded = await uploadArtifact(logs.artifact, logs.folder, 60_000, on.env).catch(
    (error: unknown) => {
      on.printer.warning(`The logs could not be uploaded: ${errorMessage(error)}`);
      return undefined;
    },
  );
  if (uploaded !== undefined) await rm(logs.folder, { recursive: true, force: true });
  const place = uploaded === undefined ? `in ${logs.folder} on the runner` : `the artifact ${uploaded.name}`;
  on.printer.info(`Logs of the cluster "${name}": ${place}`);
  await writeFindings(name, place, findings);
}

async function findingsOf(cluster: string, kubeconfig: string): Promise<string[]> {
  try {
    const api = new KubernetesApi(await readAccess(kubeconfig, contextName(cluster)));
    return await diagnose(api).finally(() => api.close());
  } catch (error) {
    return [`The cluster's API cannot be asked: ${errorMessage(error)}`];
  }
}

async function remove(
  state: State,
  cluster: MadeCluster,
  engine: Engine,
  kind: KindCli | undefined,
  log: Log,
): Promise<void> {
  const { path, existed } = cluster.kubeconfig;
  await removeStaleLock(path, state.began);
  await kind?.delete(cluster.name, path, log).catch((error: unknown) => log.line(errorMessage(error)));
  await deleteNodes(engine, cluster.name, { stillMade: !state.succeeded });
  // What helped to load images, or to restore them, is removed by itself, unless its step was killed before that.
  const helpers = await engine.containers.listByLabel(clusterLabel, cluster.name);
  await Promise.all(helpers.map((id) => engine.containers.remove(id)));
  const layers = await engine.images.listByLabel(clusterLabel, cluster.name);
  await Promise.all(layers.map((id) => engine.images.untag(id)));
  await removeNetwork(engine, cluster.network, state.run);
  if (!existed) await removeIfEmpty(path);
  await releaseNameLock(engine, cluster.name, state.run);
}

/** A program that main installed, if it is still what it was: between main and post, other steps have run. */
async function verified(tool: { path: string; checksum: string } | undefined): Promise<string | undefined> {
  if (tool === undefined) return undefined;
  return (await sha256File(tool.path).catch(() => "")) === tool.checksum ? tool.path : undefined;
}

/** Does what is worth trying: a failure is a warning. */
async function attempt(
  run: TaskGraph,
  on: ActionContext,
  name: string,
  work: (log: Log) => Promise<void>,
): Promise<void> {
  await run
    .add(name, [], work)
    .result.catch((error: unknown) => on.printer.warning(`${name}: ${errorMessage(error)}`));
}
