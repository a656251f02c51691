import { rm } from "node:fs/promises";
import { join } from "node:path";
import { getInput } from "@actions/core";
import { removeNodes } from "../cluster/delete-nodes.ts";
import { removeNetwork } from "../cluster/docker-network.ts";
import { type Kind, kindAt } from "../cluster/kind-cli.ts";
import { contextOf, removeIfEmpty, removeStaleLock } from "../cluster/kubeconfig.ts";
import { clusterLabel, hasName, releaseName } from "../cluster/name-lock.ts";
import { Engine } from "../docker/engine.ts";
import { KubernetesApi, readAccess } from "../kubernetes/client.ts";
import { askCluster, tellingLines } from "../kubernetes/diagnosis.ts";
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { sha256 } from "../lib/sha256.ts";
import { endProcesses } from "../lib/subprocess.ts";
import { type Timeline, timeline } from "../lib/task-graph.ts";
import { collectLogs, type LogSources } from "../logs/collect.ts";
import { redact } from "../logs/redact.ts";
import { uploadFolder } from "../runner/artifact.ts";
import type { Surroundings } from "../runner/run-action.ts";
import { readState, type State } from "../runner/state.ts";
import { writeFindings } from "../runner/summary.ts";
import { hasSaves, saveCaches, usedBlobs } from "./save-caches.ts";

type MadeCluster = NonNullable<State["cluster"]>;

/** Post: logs, caches, and away with everything that main made. Nothing that fails keeps the rest from being done. */
export async function removeCluster(on: Surroundings): Promise<void> {
  const state = readState();
  if (state === undefined) {
    on.printer.info("Nothing was made: there is nothing to remove.");
    return;
  }
  // A main that was killed may have left programs that still make things.
  await endProcesses(state.run);
  const run = timeline(on.printer);
  // The proxies go with the cluster.
  const used = await usedBlobs(state);
  const [removed] = await Promise.allSettled([
    state.cluster && removeWhatIsOurs(state, state.cluster, run, on),
    hasSaves(state) && attempt(run, on, "Save caches", (log) => saveCaches(state, used, on, log)),
  ]);
  for (const folder of [state.folder, state.proxiesFolder])
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  if (removed.status === "fulfilled") return;
  const message = `The cluster "${state.cluster?.name}" could not be removed: ${messageOf(removed.reason)}`;
  if (state.cluster?.ignoreFailedClean !== true) throw new Error(message, { cause: removed.reason });
  on.printer.warning(message);
}

async function removeWhatIsOurs(
  state: State,
  cluster: MadeCluster,
  run: Timeline,
  on: Surroundings,
): Promise<void> {
  const engine = new Engine(state.endpoint);
  if (!(await hasName(engine, cluster.name, state.run))) {
    on.printer.info(
      `This run made no cluster "${cluster.name}": if there is one, it is somebody else's and is left alone.`,
    );
    return;
  }
  const [kindPath, kubectl] = await Promise.all([verified(state.kind), verified(state.kubectl)]);
  const kind = kindPath === undefined ? undefined : kindAt(kindPath, on.start, state.endpoint);
  if (kind !== undefined && wantsLogs(cluster, getInput("job_status"), state.succeeded)) {
    const from = { kind, kubectl, cache: join(state.folder, "kubectl") };
    await attempt(run, on, "Keep the logs", (log) => keepLogs(cluster, from, on, log));
  }
  await run.task("Delete the cluster", [], (log) => remove(state, cluster, engine, kind, log)).result;
}

/** A job that timed out says `cancelled`, and wants its logs too. Where nobody evaluates the status, main's own end counts. */
export function wantsLogs(
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
  on: Surroundings,
  log: Log,
): Promise<void> {
  const asked = findingsOf(name, kubeconfig.path);
  await collectLogs(
    { cluster: name, kubeconfig: kubeconfig.path, ...tools, run: on.start },
    logs.folder,
    log,
  );
  const findings = [...(await asked), ...(await tellingLines(logs.folder))].map(redact);
  for (const finding of findings) log.line(finding);
  const uploaded = await uploadFolder(logs.artifact, logs.folder, 60_000, on.env).catch((error: unknown) => {
    on.printer.warning(`The logs could not be uploaded: ${messageOf(error)}`);
    return undefined;
  });
  if (uploaded !== undefined) await rm(logs.folder, { recursive: true, force: true });
  const place = uploaded === undefined ? `in ${logs.folder} on the runner` : `the artifact ${uploaded.name}`;
  on.printer.info(`Logs of the cluster "${name}": ${place}`);
  await writeFindings(name, place, findings);
}

async function findingsOf(cluster: string, kubeconfig: string): Promise<string[]> {
  try {
    const api = new KubernetesApi(await readAccess(kubeconfig, contextOf(cluster)));
    return await askCluster(api).finally(() => api.close());
  } catch (error) {
    return [`The cluster's API cannot be asked: ${messageOf(error)}`];
  }
}

async function remove(
  state: State,
  cluster: MadeCluster,
  engine: Engine,
  kind: Kind | undefined,
  log: Log,
): Promise<void> {
  const { path, existed } = cluster.kubeconfig;
  await removeStaleLock(path, state.began);
  await kind?.delete(cluster.name, path, log).catch((error: unknown) => log.line(messageOf(error)));
  await removeNodes(engine, cluster.name, { stillMade: !state.succeeded });
  // What helped to load images, or to restore them, is removed by itself, unless its step was killed before that.
  const helpers = await engine.containers.labelled(clusterLabel, cluster.name);
  await Promise.all(helpers.map((id) => engine.containers.remove(id)));
  const layers = await engine.images.labelled(clusterLabel, cluster.name);
  await Promise.all(layers.map((id) => engine.images.untag(id)));
  await removeNetwork(engine, cluster.network, state.run);
  if (!existed) await removeIfEmpty(path);
  await releaseName(engine, cluster.name, state.run);
}

/** A program that main installed, if it is still what it was: between main and post, other steps have run. */
async function verified(tool: { path: string; checksum: string } | undefined): Promise<string | undefined> {
  if (tool === undefined) return undefined;
  return (await sha256(tool.path).catch(() => "")) === tool.checksum ? tool.path : undefined;
}

/** Does what is worth trying: a failure is a warning. */
async function attempt(
  run: Timeline,
  on: Surroundings,
  name: string,
  work: (log: Log) => Promise<void>,
): Promise<void> {
  await run
    .task(name, [], work)
    .result.catch((error: unknown) => on.printer.warning(`${name}: ${messageOf(error)}`));
}
