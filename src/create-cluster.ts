import { stat } from "node:fs/promises";
import { join } from "node:path";
import { addPath, getInput } from "@actions/core";
import { savesCaches, toolKey } from "./cache/keys.ts";
import { openCacheStore } from "./cache/store.ts";
import { KubernetesApi, readAccess } from "./cluster/api.ts";
import { claimName, clusterLabel, runLabel } from "./cluster/claim.ts";
import { createCluster as createWithKind, type MadeCluster } from "./cluster/create.ts";
import { type NewObject, networkManifest, networkObjects } from "./cluster/default-network.ts";
import { installNetwork } from "./cluster/install-network.ts";
import { kindAt } from "./cluster/kind.ts";
import { contextOf, protect } from "./cluster/kubeconfig.ts";
import { makeNetwork } from "./cluster/network.ts";
import { waitForNodes } from "./cluster/nodes.ts";
import { addPodRoutes } from "./cluster/pod-routes.ts";
import { waitUntilReady } from "./cluster/readiness.ts";
import { unpackAhead } from "./cluster/unpack-ahead.ts";
import { Engine } from "./docker/engine.ts";
import { type Daemon, latestKind, readDaemon, readEvent } from "./facts.ts";
import { ensureImage } from "./images/pull.ts";
import { NodesFailed } from "./images/transfer/transfer.ts";
import { readInputs } from "./inputs.ts";
import { hasImages, type LoadedImage, loadImages } from "./load-images.ts";
import type { Log } from "./log.ts";
import {
  type ClusterDescription,
  describeCluster,
  exportCluster,
  setClusterOutputs,
  setImagesOutput,
  setRunOutputs,
} from "./outputs.ts";
import { type ClusterPlan, makePlan, type NetworkPlan, type Plan } from "./plan.ts";
import { BadInputs, messageOf, type Problem } from "./problems.ts";
import { recordState, type State } from "./state.ts";
import type { Surroundings } from "./step.ts";
import { writeSummary } from "./summary.ts";
import { type Task, type Timeline, timeline } from "./timeline.ts";
import {
  folderOf,
  type InstalledTool,
  installTool,
  type PinnedTool,
  pinTool,
  type ToolPlan,
} from "./tools/install.ts";

type Record = ReturnType<typeof recordState>;
type PinnedPlan = Plan & { readonly kind: PinnedTool; readonly kubectl: PinnedTool };
type Tools = { readonly kind: InstalledTool; readonly kubectl: InstalledTool };

/** Main: makes what the inputs ask for, and leaves for post what it needs to undo it. */
export async function createCluster(on: Surroundings): Promise<void> {
  const { plan, daemon } = await decide(on);
  for (const warning of plan.warnings) on.printer.warning(warning);
  const record = recordState(await firstState(plan, daemon, on));
  const run = timeline(on.printer);
  let cluster: ClusterDescription | undefined;
  let settings: readonly string[] = [];
  let images: readonly LoadedImage[] = [];
  let succeeded = false;
  try {
    const tools = run.task("Install kind and kubectl", [], (log) => installTools(plan, on, record, log));
    const made = plan.cluster && daemon && bringUp(plan.cluster, plan, daemon, tools, run, on);
    // The summary lists them where a later task fails, too.
    made?.created.result.then(
      (created) => {
        settings = created.settings;
      },
      () => {},
    );
    await run.finish();
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
    await writeSummary({ plan, timings: run.timings(), cluster, settings, images, succeeded });
  }
}

/** Reads the inputs and the machine at once, and makes the plan from both. */
async function decide(on: Surroundings): Promise<{ plan: PinnedPlan; daemon: Daemon | undefined }> {
  const [inputs, daemon] = await Promise.all([
    readInputs(getInput, on.job.workspace),
    readDaemon(on.env, on.start),
  ]);
  const latest =
    inputs.version === "latest"
      ? await latestKind().catch((error: unknown) => ({
          problem: messageOf(error),
        }))
      : undefined;
  const { plan, problems } = makePlan({ inputs, job: on.job, daemon, latest, run: on.run });
  const [kind, kubectl] = await Promise.all([
    pin(plan.kind, "version", problems),
    pin(plan.kubectl, "kubectl_version", problems),
  ]);
  if (problems.length > 0 || kind === undefined || kubectl === undefined) throw new BadInputs(problems);
  return { plan: { ...plan, kind, kubectl }, daemon: "problem" in daemon ? undefined : daemon };
}

/** Looks for a version that the action does not know before anything is made for it. */
async function pin(tool: ToolPlan, input: string, problems: Problem[]): Promise<PinnedTool | undefined> {
  try {
    return await pinTool(tool);
  } catch (error) {
    problems.push({
      input,
      value: tool.version,
      reason: messageOf(error),
    });
    return undefined;
  }
}

/** What post must know from the first moment on. */
async function firstState(plan: Plan, daemon: Daemon | undefined, on: Surroundings): Promise<State> {
  const cluster = plan.cluster && {
    name: plan.cluster.name,
    network: plan.cluster.network,
    kubeconfig: {
      path: plan.cluster.kubeconfig,
      existed: await stat(plan.cluster.kubeconfig).then(
        () => true,
        () => false,
      ),
    },
    logs: plan.cluster.logs,
    ignoreFailedClean: plan.cluster.ignoreFailedClean,
  };
  return {
    version: 1,
    run: plan.run,
    folder: plan.folder,
    began: on.began,
    endpoint: { ...daemon?.endpoint },
    ...(cluster === undefined ? {} : { cluster }),
    saves: [],
    succeeded: false,
  };
}

async function installTools(plan: PinnedPlan, on: Surroundings, record: Record, log: Log): Promise<Tools> {
  const cache = await openCacheStore(join(plan.folder, "cache"), (message) => log.warning(message));
  const sources = { path: on.job.path, folder: join(plan.folder, "downloads"), cache };
  const [kind, kubectl] = await Promise.all([
    installTool(plan.kind, sources, log),
    installTool(plan.kubectl, sources, log),
  ]);
  for (const tool of [kind, kubectl]) if (!tool.first) addPath(folderOf(tool));
  const downloaded = [kind, kubectl].filter(({ from }) => from === "download");
  const saves = savesCaches(await readEvent(on.env)) ? downloaded : [];
  record({
    kind: { path: kind.path, checksum: kind.checksum },
    kubectl: { path: kubectl.path, checksum: kubectl.checksum },
    saves: saves.map((tool) => ({
      file: tool.path,
      name: tool.name,
      key: toolKey(tool.name, tool.checksum),
    })),
  });
  return { kind, kubectl };
}

/** What the node image's network add-on consists of; undefined where kind has to make it, or the user does. */
async function readAddOn(
  plan: NetworkPlan | undefined,
  engine: Engine,
  labels: Readonly<{ [label: string]: string }>,
): Promise<NewObject[] | undefined> {
  if (plan === undefined) return undefined;
  const manifest = await engine.imageFile(plan.image, networkManifest, labels).catch(() => undefined);
  return manifest && networkObjects(manifest.toString(), plan);
}

/** Everything that a cluster takes, each part as soon as what it needs is there. */
function bringUp(
  plan: ClusterPlan,
  { run: name, folder }: Plan,
  { endpoint }: Daemon,
  tools: Task<Tools>,
  run: Timeline,
  on: Surroundings,
): {
  created: Task<MadeCluster>;
  ready: Task<ClusterDescription>;
  loaded: Task<LoadedImage[]> | undefined;
} {
  const engine = new Engine(endpoint);
  const context = contextOf(plan.name);

  const images = run.task("Get the node image", [], (log) =>
    Promise.all(plan.images.map((image) => ensureImage(image, { engine, endpoint, run: on.start }, log))),
  );
  const network = run.task("Claim the name, make the network", [], async (log) => {
    await claimName(engine, plan.name, name);
    if (await makeNetwork(engine, plan.network, name)) log.line(`Made the Docker network ${plan.network}.`);
  });
  const addOn = run.task("Read the network add-on", [images], () =>
    readAddOn(plan.fastStart?.network, engine, { [runLabel]: name, [clusterLabel]: plan.name }),
  );
  const cluster = run.task(
    "Create the cluster",
    [tools, images, network, addOn],
    async (log, { kind }, _, __, objects) => {
      const made = await createWithKind(
        kindAt(kind.path, on.start, endpoint),
        objects === undefined ? plan : { ...plan, config: plan.fastStart?.network?.config ?? plan.config },
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
    ? run.task("Load images", [tools, images, network], async (log) => {
        const platform = await engine.imagePlatform(plan.images[0] ?? "");
        const into = () => ({
          platform,
          nodes: waitForNodes(engine, plan.name, plan.nodes, 5 * 60_000),
          into: plan.loadInto,
          starting: 5 * 60_000,
          alwaysPulls: plan.alwaysPullsImages,
        });
        const labels = { [runLabel]: name, [clusterLabel]: plan.name };
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
  return { created: cluster, ready, loaded };
}
