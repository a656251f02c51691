import { join } from "node:path";
import type { RestoredProxies } from "../cache/entries/proxy-blobs.ts";
import { type CacheStore, cacheWorkerCommand, openCacheStore } from "../cache/transport/store.ts";
import { replaceNodeImages } from "../cluster/config.ts";
import { type CreatedCluster, createKindCluster as createWithKind } from "../cluster/create.ts";
import { ensureNetwork } from "../cluster/docker-network.ts";
import { applyCni, readCniManifest } from "../cluster/fast-start/apply-cni.ts";
import { addPodRoutes } from "../cluster/fast-start/pod-routes.ts";
import { preunpackImages } from "../cluster/fast-start/preunpack.ts";
import { createKindCli } from "../cluster/kind-cli.ts";
import { contextName, restrictPermissions } from "../cluster/kubeconfig.ts";
import { acquireNameLock, clusterLabel, runLabel } from "../cluster/name-lock.ts";
import { Engine } from "../docker/engine.ts";
import { type EnsuredImage, ensureImage, type ImageRequest, savedImages } from "../images/ensure.ts";
import { hasImages, type LoadedImage, loadImages } from "../images/load/load-images.ts";
import { NodeLoadError } from "../images/load/load-into-nodes.ts";
import { KubernetesApi, readAccess } from "../kubernetes/client.ts";
import { waitUntilReady } from "../kubernetes/readiness.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { createTaskGraph, type Task, type TaskGraph } from "../lib/task-graph.ts";
import { waitForNodeContainers } from "../node/nodes.ts";
import type { ClusterPlan, Plan } from "../plan/plan.ts";
import type { Daemon } from "../runner/job.ts";
import {
  type ClusterDescription,
  describeCluster,
  exportClusterVariables,
  setCacheOutput,
  setClusterOutputs,
  setImagesOutput,
  setRunOutputs,
} from "../runner/outputs.ts";
import type { ActionContext } from "../runner/run-action.ts";
import { saveState, type UpdateState } from "../runner/state.ts";
import { type CachedThings, writeSummary } from "../runner/summary.ts";
import { type InstalledTools, installTools } from "./install-tools.ts";
import { addRegistryTasks, linkProxiedBlobs, publishRegistryHosts } from "./registries.ts";
import { initialState, resolvePlan } from "./resolve-plan.ts";

/** Main: makes what the inputs ask for, and leaves for post what it needs to undo it. */
export async function createCluster(on: ActionContext): Promise<void> {
  const { plan, daemon } = await resolvePlan(on);
  for (const warning of plan.warnings) on.printer.warning(warning);
  const record = saveState(await initialState(plan, daemon, on));
  const run = createTaskGraph(on.printer);
  let cluster: ClusterDescription | undefined;
  let settings: readonly string[] = [];
  let images: readonly LoadedImage[] = [];
  let caches: CachedThings | undefined;
  let succeeded = false;
  try {
    const cache = await openCacheStore(join(plan.folder, "cache"), {
      spawnWorker: on.spawnWorker,
      program: cacheWorkerCommand(),
      deadline: plan.caches.restoreDeadline,
      mode: on.env.ACTIONS_CACHE_MODE,
      warn: (message) => on.printer.warning(message),
    });
    const tools = run.add("Install kind and kubectl", [], (log) =>
      installTools(plan, on, cache, record, log),
    );
    const made =
      plan.cluster &&
      daemon &&
      addClusterTasks(plan.cluster, plan, daemon, { tools, cache, record }, run, on);
    // The summary lists them where a later task fails, too.
    made?.created.result.then(
      (created) => {
        settings = created.settings;
      },
      () => {},
    );
    await run.waitForAll();
    caches = {
      images: made?.obtained ?? [],
      nodeImages: plan.cluster?.images ?? [],
      proxies: await made?.restored?.result,
    };
    setCacheOutput(plan.caches, caches);
    await cache.close();
    const { kind, kubectl } = await tools.result;
    cluster = await made?.ready.result;
    images = (await made?.loaded?.result) ?? [];
    setImagesOutput(images);
    setRunOutputs(
      { kind: kind.version, kubectl: kubectl.version },
      run.timings(),
      (Date.now() - on.startedMs) / 1000,
    );
    succeeded = true;
    record({ succeeded });
  } finally {
    await writeSummary({ plan, timings: run.timings(), cluster, settings, images, caches, succeeded });
  }
}

/** Everything that a cluster takes, each part as soon as what it needs is there. */
function addClusterTasks(
  plan: ClusterPlan,
  { runId: name, folder, caches }: Plan,
  { endpoint }: Daemon,
  { tools, cache, record }: { tools: Task<InstalledTools>; cache: CacheStore; record: UpdateState },
  run: TaskGraph,
  on: ActionContext,
): {
  created: Task<CreatedCluster>;
  ready: Task<ClusterDescription>;
  loaded: Task<LoadedImage[]> | undefined;
  /** The images that the daemon was given, as they come. */
  obtained: readonly EnsuredImage[];
  restored: Task<RestoredProxies> | undefined;
} {
  const engine = new Engine(endpoint);
  const context = contextName(plan.name);
  const labels = { [runLabel]: name, [clusterLabel]: plan.name };

  const source = {
    engine,
    endpoint,
    run: on.runProgram,
    platform: { os: "linux", architecture: on.job.architecture },
    cache: caches.nodeImage ? { store: cache, onlyIfFaster: caches.onlyIfFaster } : undefined,
    labels,
  };
  const obtained: EnsuredImage[] = [];
  const obtain = async (image: ImageRequest, log: Log) => {
    const got = await ensureImage(image, source, log);
    obtained.push(got);
    if (caches.nodeImage && caches.saves) record({ images: savedImages(obtained, on.job.architecture) });
    return got.name;
  };
  const images = run.add("Get the node image", [], async (log) => {
    const nodes = plan.images.map(
      async (reference) => [reference, await obtain({ reference }, log)] as const,
    );
    const others = plan.loadBalancer === undefined ? [] : [obtain(plan.loadBalancer, log)];
    await Promise.all([...nodes, ...others]);
    return new Map(await Promise.all(nodes));
  });
  const network = run.add("Claim the name, make the network", [], async (log) => {
    await acquireNameLock(engine, plan.name, name);
    const fixedAddresses = plan.registries !== undefined;
    if (await ensureNetwork(engine, plan.network, name, { fixedAddresses }))
      log.line(`Made the Docker network ${plan.network}.`);
  });
  const registries =
    plan.registries &&
    addRegistryTasks(
      plan.registries,
      plan,
      { engine, labels, network, obtain, caches, cache, record },
      run,
      on,
    );
  const addOn = run.add("Read the network add-on", [images], (_, names) =>
    readCniManifest(plan.fastStart?.cni, names, engine, labels),
  );
  const cluster = run.add(
    "Create the cluster",
    [tools, images, network, addOn],
    async (log, { kind }, names, __, objects) => {
      const { fastStart } = plan;
      // Docker would make it, and as root's.
      await registries?.folder;
      const config = objects === undefined ? plan.config : (fastStart?.cni?.config ?? plan.config);
      const made = await createWithKind(
        createKindCli(kind.path, on.runProgram, endpoint),
        {
          ...plan,
          config: replaceNodeImages(config, names),
          fastStart: fastStart && {
            ...fastStart,
            configWithout: replaceNodeImages(fastStart.configWithout, names),
          },
        },
        folder,
        log,
      );
      await restrictPermissions(plan.kubeconfig);
      exportClusterVariables(plan, on.job);
      return made;
    },
  );
  const podNetwork = run.add("Make the pod network", [tools, addOn, network], async (log, _, objects) => {
    const controlPlane = plan.fastStart?.cni?.controlPlane;
    if (objects === undefined || controlPlane === undefined) return;
    try {
      await applyCni(engine, { name: plan.name, controlPlane }, objects, 15 * 60_000);
    } catch (error) {
      // Nodes that were made anew have kind's.
      if (!(await cluster.result.catch(() => undefined))?.recreated) throw error;
      log.line("kind has made it.");
    }
  });
  if (plan.fastStart !== undefined) {
    run.add("Unpack the nodes' own images", [tools, images, network], (log) =>
      // What is not unpacked ahead is unpacked when it is needed.
      preunpackImages(engine, plan, 60_000).catch((error: unknown) => log.line(errorMessage(error))),
    );
  }
  // Beside kind, which is busy with kubeadm by the time the nodes' containerd answers.
  const loaded = hasImages(plan.load)
    ? run.add("Load images", [tools, images, network], async (log, _, names) => {
        const platform = await engine.images.platform([...names.values()][0] ?? "");
        const into = () => ({
          platform,
          nodes: waitForNodeContainers(engine, plan.name, plan.nodes, 5 * 60_000),
          into: plan.loadInto,
          starting: 5 * 60_000,
          alwaysPulls: plan.alwaysPullsImages,
        });
        const load = () =>
          loadImages(plan.load, into(), { engine, endpoint, run: on.runProgram, labels }, log);
        try {
          return await load();
        } catch (error) {
          // Nodes that were removed under it, because they were made anew, take it once more.
          const anew =
            error instanceof NodeLoadError && (await cluster.result.catch(() => undefined))?.recreated;
          if (!anew) throw error;
          return await load();
        }
      })
    : undefined;
  if (registries !== undefined) {
    run.add("Tell the nodes of the registries", [cluster, registries.started], (_, __, started) =>
      publishRegistryHosts(plan, engine, started),
    );
  }
  const proxies = plan.registries?.proxies;
  if (proxies?.folders !== undefined) {
    const restored = registries?.restored === undefined ? [] : [registries.restored];
    run.add("Give the nodes what the proxies hold", [cluster, ...restored], (log) =>
      linkProxiedBlobs(proxies, plan, engine, log),
    );
  }
  if (plan.fastStart?.cni !== undefined && plan.nodes.length > 1) {
    run.add("Join the nodes' pod networks", [cluster, podNetwork], async (log) => {
      const api = new KubernetesApi(await readAccess(plan.kubeconfig, context));
      try {
        const nodes = await waitForNodeContainers(engine, plan.name, plan.nodes, 5_000);
        await addPodRoutes(engine, api, nodes, 10_000);
      } catch (error) {
        log.line(`The network add-on does it by itself, a little later: ${errorMessage(error)}`);
      } finally {
        api.close();
      }
    });
  }
  const ready = run.add("Wait until ready", [cluster, podNetwork], async (log) => {
    const access = await readAccess(plan.kubeconfig, context);
    const api = new KubernetesApi(access);
    try {
      await waitUntilReady(api, { ...plan, nodes: plan.nodes.length });
      const description = await describeCluster(plan, engine, api, access.server);
      setClusterOutputs(plan, description);
      log.line(`Kubernetes ${description.kubernetesVersion} at ${access.server}`);
      for (const { name: node, role, address } of description.nodes)
        log.line(`  ${node}  ${role}  ${address}`);
      return description;
    } finally {
      api.close();
    }
  });
  return { created: cluster, ready, loaded, obtained, restored: registries?.restored };
}
