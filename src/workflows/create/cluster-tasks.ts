import type { CreatedCluster } from "../../cluster/create.ts";
import type { ClusterDescription } from "../../cluster/describe.ts";
import { ensureNetwork } from "../../cluster/docker-network.ts";
import { acquireNameLock } from "../../cluster/name-lock.ts";
import { clusterLabel, runLabel } from "../../docker/labels.ts";
import type { LoadedImage } from "../../images/load/load-images.ts";
import type { Task } from "../../lib/task-graph.ts";
import { NodeSessions } from "../../node/sessions.ts";
import type { InstalledTools } from "../install-tools.ts";
import type { ClusterRun } from "./cluster-run.ts";
import { addCreateTask } from "./create-task.ts";
import { addCniTask, addManifestTask, addPodRoutesTask, addPreunpackTask } from "./fast-start-tasks.ts";
import { addNodeImagesTask } from "./image-tasks.ts";
import { addLoadTask } from "./load-task.ts";
import { addReadyTask } from "./ready-task.ts";
import { addRegistryTasks } from "./registry-tasks.ts";

/** The tasks whose results are reported, and the node sessions, which must be closed after all tasks. */
export interface ClusterTasks {
  readonly created: Task<CreatedCluster>;
  readonly ready: Task<ClusterDescription>;
  /** Undefined if no images are loaded. */
  readonly loaded: Task<LoadedImage[]> | undefined;
  readonly sessions: NodeSessions;
}

/** Adds all tasks that create a cluster. Each task starts as soon as those that it depends on are done. */
export function addClusterTasks(
  base: Omit<ClusterRun, "sessions" | "labels">,
  tools: Task<InstalledTools>,
): ClusterTasks {
  const { plan, engine, ctx, graph } = base;
  const sessions = new NodeSessions(engine, plan.name);
  const labels = { [runLabel]: ctx.runId, [clusterLabel]: plan.name };
  const run: ClusterRun = { ...base, sessions, labels };

  const images = addNodeImagesTask(run);
  const network = graph.add("Lock the cluster name and create the network", [], async (log) => {
    await acquireNameLock(engine, plan.name, ctx.runId);
    const fixedAddresses = plan.registries !== undefined;
    if (await ensureNetwork(engine, plan.network, ctx.runId, { fixedAddresses }))
      log.line(`Created the Docker network ${plan.network}.`);
  });
  const manifest = addManifestTask(run, images);
  const registries = addRegistryTasks(run, network);
  const created = addCreateTask(run, {
    tools,
    images,
    network,
    manifest,
    sharedFolderCreated: registries?.sharedFolderCreated,
  });
  const cni = addCniTask(run, { tools, manifest, network, created });
  addPreunpackTask(run, [tools, images, network]);
  const loaded = addLoadTask(run, { tools, images, network, created });
  registries?.addNodeTasks(created);
  addPodRoutesTask(run, [created, cni]);
  const ready = addReadyTask(run, [created, cni]);
  return { created, ready, loaded, sessions };
}
