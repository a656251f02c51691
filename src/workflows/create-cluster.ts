import { join } from "node:path";
import type { RestoredProxies } from "../cache/entries/proxy-blobs.ts";
import { type CacheStore, cacheProgram, openCacheStore } from "../cache/transport/store.ts";
import { withImages } from "../cluster/config.ts";
import { createCluster as createWithKind, type MadeCluster } from "../cluster/create.ts";
import { makeNetwork } from "../cluster/docker-network.ts";
import { installNetwork, readAddOn } from "../cluster/fast-start/apply-cni.ts";
import { addPodRoutes } from "../cluster/fast-start/pod-routes.ts";
import { unpackAhead } from "../cluster/fast-start/preunpack.ts";
import { kindAt } from "../cluster/kind-cli.ts";
import { contextOf, protect } from "../cluster/kubeconfig.ts";
import { claimName, clusterLabel, runLabel } from "../cluster/name-lock.ts";
import { Engine } from "../docker/engine.ts";
import { type ObtainedImage, obtainImage, savedImages, type WantedImage } from "../images/ensure.ts";
import { hasImages, type LoadedImage, loadImages } from "../images/load/load-images.ts";
import { NodesFailed } from "../images/load/load-into-nodes.ts";
import { KubernetesApi, readAccess } from "../kubernetes/client.ts";
import { waitUntilReady } from "../kubernetes/readiness.ts";
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { type Task, type Timeline, timeline } from "../lib/task-graph.ts";
import { waitForNodes } from "../node/nodes.ts";
import type { ClusterPlan, Plan } from "../plan/plan.ts";
import type { Daemon } from "../runner/job.ts";
import {
  type ClusterDescription,
  describeCluster,
  exportCluster,
  setCacheOutput,
  setClusterOutputs,
  setImagesOutput,
  setRunOutputs,
} from "../runner/outputs.ts";
import type { Surroundings } from "../runner/run-action.ts";
import { type Record, recordState } from "../runner/state.ts";
import { type CachedThings, writeSummary } from "../runner/summary.ts";
import { installTools, type Tools } from "./install-tools.ts";
import { bringUpRegistries, giveWhatProxiesHold, tellOfRegistries } from "./registries.ts";
import { decide, firstState } from "./resolve-plan.ts";

/** Main: makes what the inputs ask for, and leaves for post what it needs to undo it. */
export async function createCluster(on: Surroundings): Promise<void> {
  const { plan, daemon } = await decide(on);
  for (const warning of plan.warnings) on.printer.warning(warning);
  const record = recordState(await firstState(plan, daemon, on));
  const run = timeline(on.printer);
  let cluster: ClusterDescription | undefined;
  let settings: readonly string[] = [];
  let images: readonly LoadedImage[] = [];
  let caches: CachedThings | undefined;
  let succeeded = false;
  try {
    const cache = await openCacheStore(join(plan.folder, "cache"), {
      converse: on.converse,
      program: cacheProgram(),
      deadline: plan.caches.restoreDeadline,
      mode: on.env.ACTIONS_CACHE_MODE,
      warn: (message) => on.printer.warning(message),
    });
    const tools = run.task("Install kind and kubectl", [], (log) =>
      installTools(plan, on, cache, record, log),
    );
    const made =
      plan.cluster && daemon && bringUp(plan.cluster, plan, daemon, { tools, cache, record }, run, on);
    // The summary lists them where a later task fails, too.
    made?.created.result.then(
      (created) => {
        settings = created.settings;
      },
      () => {},
    );
    await run.finish();
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
      (Date.now() - on.began) / 1000,
    );
    succeeded = true;
    record({ succeeded });
  } finally {
    await writeSummary({ plan, timings: run.timings(), cluster, settings, images, caches, succeeded });
  }
}

/** Everything that a cluster takes, each part as soon as what it needs is there. */
function bringUp(
  plan: ClusterPlan,
  { run: name, folder, caches }: Plan,
  { endpoint }: Daemon,
  { tools, cache, record }: { tools: Task<Tools>; cache: CacheStore; record: Record },
  run: Timeline,
  on: Surroundings,
): {
  created: Task<MadeCluster>;
  ready: Task<ClusterDescription>;
  loaded: Task<LoadedImage[]> | undefined;
  /** The images that the daemon was given, as they come. */
  obtained: readonly ObtainedImage[];
  restored: Task<RestoredProxies> | undefined;
} {
  const engine = new Engine(endpoint);
  const context = contextOf(plan.name);
  const labels = { [runLabel]: name, [clusterLabel]: plan.name };

  const source = {
    engine,
    endpoint,
    run: on.start,
    platform: { os: "linux", architecture: on.job.architecture },
    cache: caches.nodeImage ? { store: cache, onlyIfFaster: caches.onlyIfFaster } : undefined,
    labels,
  };
  const obtained: ObtainedImage[] = [];
  const obtain = async (image: WantedImage, log: Log) => {
    const got = await obtainImage(image, source, log);
    obtained.push(got);
    if (caches.nodeImage && caches.saves) record({ images: savedImages(obtained, on.job.architecture) });
    return got.name;
  };
  const images = run.task("Get the node image", [], async (log) => {
    const nodes = plan.images.map(
      async (reference) => [reference, await obtain({ reference }, log)] as const,
    );
    const others = plan.loadBalancer === undefined ? [] : [obtain(plan.loadBalancer, log)];
    await Promise.all([...nodes, ...others]);
    return new Map(await Promise.all(nodes));
  });
  const network = run.task("Claim the name, make the network", [], async (log) => {
    await claimName(engine, plan.name, name);
    const fixedAddresses = plan.registries !== undefined;
    if (await makeNetwork(engine, plan.network, name, { fixedAddresses }))
      log.line(`Made the Docker network ${plan.network}.`);
  });
  const registries =
    plan.registries &&
    bringUpRegistries(
      plan.registries,
      plan,
      { engine, labels, network, obtain, caches, cache, record },
      run,
      on,
    );
  const addOn = run.task("Read the network add-on", [images], (_, names) =>
    readAddOn(plan.fastStart?.network, names, engine, labels),
  );
  const cluster = run.task(
    "Create the cluster",
    [tools, images, network, addOn],
    async (log, { kind }, names, __, objects) => {
      const { fastStart } = plan;
      // Docker would make it, and as root's.
      await registries?.folder;
      const config = objects === undefined ? plan.config : (fastStart?.network?.config ?? plan.config);
      const made = await createWithKind(
        kindAt(kind.path, on.start, endpoint),
        {
          ...plan,
          config: withImages(config, names),
          fastStart: fastStart && { ...fastStart, configWithout: withImages(fastStart.configWithout, names) },
        },
        folder,
        log,
      );
      await protect(plan.kubeconfig);
      exportCluster(plan, on.job);
      return made;
    },
  );
  const podNetwork = run.task("Make the pod network", [tools, addOn, network], async (log, _, objects) => {
    const controlPlane = plan.fastStart?.network?.controlPlane;
    if (objects === undefined || controlPlane === undefined) return;
    try {
      await installNetwork(engine, { name: plan.name, controlPlane }, objects, 15 * 60_000);
    } catch (error) {
      // Nodes that were made anew have kind's.
      if (!(await cluster.result.catch(() => undefined))?.anew) throw error;
      log.line("kind has made it.");
    }
  });
  if (plan.fastStart !== undefined) {
    run.task("Unpack the nodes' own images", [tools, images, network], (log) =>
      // What is not unpacked ahead is unpacked when it is needed.
      unpackAhead(engine, plan, 60_000).catch((error: unknown) => log.line(messageOf(error))),
    );
  }
  // Beside kind, which is busy with kubeadm by the time the nodes' containerd answers.
  const loaded = hasImages(plan.load)
    ? run.task("Load images", [tools, images, network], async (log, _, names) => {
        const platform = await engine.images.platform([...names.values()][0] ?? "");
        const into = () => ({
          platform,
          nodes: waitForNodes(engine, plan.name, plan.nodes, 5 * 60_000),
          into: plan.loadInto,
          starting: 5 * 60_000,
          alwaysPulls: plan.alwaysPullsImages,
        });
        const load = () => loadImages(plan.load, into(), { engine, endpoint, run: on.start, labels }, log);
        try {
          return await load();
        } catch (error) {
          // Nodes that were removed under it, because they were made anew, take it once more.
          const anew = error instanceof NodesFailed && (await cluster.result.catch(() => undefined))?.anew;
          if (!anew) throw error;
          return await load();
        }
      })
    : undefined;
  if (registries !== undefined) {
    run.task("Tell the nodes of the registries", [cluster, registries.started], (_, __, started) =>
      tellOfRegistries(plan, engine, started),
    );
  }
  const proxies = plan.registries?.proxies;
  if (proxies?.folders !== undefined) {
    const restored = registries?.restored === undefined ? [] : [registries.restored];
    run.task("Give the nodes what the proxies hold", [cluster, ...restored], (log) =>
      giveWhatProxiesHold(proxies, plan, engine, log),
    );
  }
  if (plan.fastStart?.network !== undefined && plan.nodes.length > 1) {
    run.task("Join the nodes' pod networks", [cluster, podNetwork], async (log) => {
      const api = new KubernetesApi(await readAccess(plan.kubeconfig, context));
      try {
        const nodes = await waitForNodes(engine, plan.name, plan.nodes, 5_000);
        await addPodRoutes(engine, api, nodes, 10_000);
      } catch (error) {
        log.line(`The network add-on does it by itself, a little later: ${messageOf(error)}`);
      } finally {
        api.close();
      }
    });
  }
  const ready = run.task("Wait until ready", [cluster, podNetwork], async (log) => {
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
