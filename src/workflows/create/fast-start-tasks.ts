import type { CreatedCluster } from "../../cluster/create.ts";
import { applyCni, readCniManifest } from "../../cluster/fast-start/apply-cni.ts";
import type { ApiObject } from "../../cluster/fast-start/kindnet-manifest.ts";
import { addPodRoutes } from "../../cluster/fast-start/pod-routes.ts";
import { preunpackImages } from "../../cluster/fast-start/preunpack.ts";
import { contextName } from "../../cluster/kubeconfig.ts";
import { KubernetesApi, readAccess } from "../../kubernetes/client.ts";
import { errorMessage } from "../../lib/errors.ts";
import type { Task } from "../../lib/task-graph.ts";
import type { ClusterRun } from "./cluster-run.ts";

/** Adds a task that reads the CNI manifest from the node image. @returns undefined if kind or the user installs the CNI */
export const addManifestTask = (
  { plan, engine, graph, labels }: ClusterRun,
  images: Task<ReadonlyMap<string, string>>,
): Task<ApiObject[] | undefined> =>
  graph.add("Read the CNI manifest", [images], (_, names) =>
    readCniManifest(plan.fastStart?.cni, names, engine, labels),
  );

/** Adds a task that applies the CNI manifest as soon as the API is available. */
export const addCniTask = (
  { plan, engine, sessions, graph }: ClusterRun,
  after: {
    readonly tools: Task<unknown>;
    readonly manifest: Task<readonly ApiObject[] | undefined>;
    readonly network: Task<void>;
    readonly created: Task<CreatedCluster>;
  },
): Task<void> =>
  graph.add("Apply the CNI", [after.tools, after.manifest, after.network], async (log, _, manifest) => {
    const controlPlane = plan.fastStart?.cni?.controlPlane;
    if (manifest === undefined || controlPlane === undefined) return;
    try {
      await applyCni(engine, sessions, { name: plan.name, controlPlane }, manifest, 15 * 60_000);
    } catch (error) {
      // kind installs the CNI of a cluster that was created again without fast start.
      if (!(await after.created.result.catch(() => undefined))?.recreated) throw error;
      log.line(
        "The CNI manifest was not applied: the cluster was created again, and kind installed its CNI.",
      );
    }
  });

/** Adds a task that unpacks the preloaded images of the nodes before pods need them. */
export function addPreunpackTask(
  { plan, sessions, graph }: ClusterRun,
  after: readonly Task<unknown>[],
): void {
  if (plan.fastStart === undefined) return;
  graph.add("Unpack preloaded images", after, (log) =>
    // If this fails, containerd unpacks the images when pods need them.
    preunpackImages(sessions, plan.nodes, 60_000).catch((error: unknown) => log.line(errorMessage(error))),
  );
}

/** Adds a task that adds the routes between pods of different nodes, which the CNI would add a few seconds later. */
export function addPodRoutesTask(
  { plan, sessions, graph }: ClusterRun,
  after: readonly Task<unknown>[],
): void {
  if (plan.fastStart?.cni === undefined || plan.nodes.length === 1) return;
  graph.add("Add pod routes", after, async (log) => {
    const api = new KubernetesApi(await readAccess(plan.kubeconfig, contextName(plan.name)));
    try {
      const connected = await sessions.waitFor(plan.nodes, 5_000);
      await addPodRoutes(
        api,
        connected.map(({ session }) => session),
        10_000,
      );
    } catch (error) {
      log.line(`Could not add pod routes; the CNI adds them a few seconds later: ${errorMessage(error)}`);
    } finally {
      api.close();
    }
  });
}
