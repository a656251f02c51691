import { setSecret } from "@actions/core";
import { type RestoredProxies, restoreProxies } from "../cache/entries/proxy-blobs.ts";
import type { CacheStore } from "../cache/transport/store.ts";
import { contextName } from "../cluster/kubeconfig.ts";
import type { Engine } from "../docker/engine.ts";
import type { ImageRequest } from "../images/ensure.ts";
import { KubernetesApi, readAccess } from "../kubernetes/client.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { Task, TaskGraph } from "../lib/task-graph.ts";
import { proxiedBlobs, symlinkBlobs } from "../node/content/symlink.ts";
import { waitForNodeContainers } from "../node/nodes.ts";
import type { CachesPlan, ClusterPlan } from "../plan/plan.ts";
import type { RegistriesPlan } from "../plan/registries.ts";
import { renderHostsToml } from "../registries/hosts-toml.ts";
import { localRegistryHosting } from "../registries/local-registry.ts";
import { createProxiesFolder, type ProxiesPlan, sharedFolders } from "../registries/proxies.ts";
import { resolveCredentials } from "../registries/resolve-credentials.ts";
import { noRegistries, type Registries, startRegistries } from "../registries/start.ts";
import { readStorage } from "../registries/storage.ts";
import { exportRegistryAddress } from "../runner/outputs.ts";
import type { ActionContext } from "../runner/run-action.ts";
import type { UpdateState } from "../runner/state.ts";

/** Everything that a cluster's registries take, beside the cluster itself. */
export function addRegistryTasks(
  plan: RegistriesPlan,
  cluster: Pick<ClusterPlan, "name" | "network">,
  made: {
    readonly engine: Engine;
    readonly labels: Readonly<{ [label: string]: string }>;
    readonly network: Task<void>;
    readonly obtain: (image: ImageRequest, log: Log) => Promise<string>;
    readonly caches: CachesPlan;
    readonly cache: CacheStore;
    readonly record: UpdateState;
  },
  run: TaskGraph,
  on: ActionContext,
): {
  started: Task<Registries>;
  restored: Task<RestoredProxies> | undefined;
  /** Ends when there is the folder that proxies and nodes are to have. */
  folder: Promise<void>;
} {
  const { caches, cache } = made;
  const { proxies } = plan;
  const prefix = caches.proxies;
  const folder = prepareFolder(proxies, made.record);
  // Whoever needs it gets the rejection.
  folder.catch(() => {});
  const restored =
    proxies === undefined || prefix === undefined
      ? undefined
      : run.add("Restore what the proxies had", [], async (log) => {
          await folder;
          return await restoreProxies(cache, sharedFolders(proxies), prefix, log);
        });
  const started = run.add("Start registries", [made.network], async (log) => {
    const known = {
      home: on.job.home,
      dockerConfig: on.env.DOCKER_CONFIG,
      run: on.runProgram,
      mask: setSecret,
    };
    const logins = proxies && resolveCredentials(proxies.upstreams, proxies.logins, known, log);
    // Asked for beside the image, and awaited where they are needed.
    logins?.catch(() => {});
    let image: string;
    try {
      image = await made.obtain({ reference: plan.image }, log);
    } catch (error) {
      if (plan.local !== undefined) throw error;
      log.warning(`Nodes pull without proxies: ${errorMessage(error)}`);
      return noRegistries;
    }
    await folder;
    const registries = await startRegistries(
      made.engine,
      { ...plan, image },
      { cluster: cluster.name, network: cluster.network, labels: made.labels, logins: await logins },
      log,
    );
    if (registries.local !== undefined) exportRegistryAddress(registries.local.address);
    if (proxies !== undefined && prefix !== undefined && caches.saves)
      made.record({ proxies: savedProxies(registries, sharedFolders(proxies), prefix, caches.maxSize) });
    return registries;
  });
  return { started, restored, folder };
}

async function prepareFolder(proxies: ProxiesPlan | undefined, record: UpdateState): Promise<void> {
  const shared = proxies?.folders?.shared;
  if (shared !== undefined && (await createProxiesFolder(shared))) record({ proxiesFolder: shared });
}

/** What post has to know to save what the proxies hold: not of those that may hold what not everybody may see. */
function savedProxies(
  { proxies }: Registries,
  folders: ReadonlyMap<string, string>,
  prefix: string,
  most: number,
) {
  const open = proxies.filter(({ hasLogin }) => !hasLogin);
  return {
    containers: Object.fromEntries(open.map(({ upstream, container }) => [upstream.name, container])),
    folders: Object.fromEntries(
      open.flatMap(({ upstream: { name } }) => {
        const folder = folders.get(name);
        return folder === undefined ? [] : [[name, folder]];
      }),
    ),
    prefix,
    most,
  };
}

/** Lets the nodes find the registries, and the cluster's users the local one. */
export async function publishRegistryHosts(
  plan: ClusterPlan,
  engine: Engine,
  { local, hosts }: Registries,
): Promise<void> {
  const files = renderHostsToml(hosts);
  const tellNodes = async () => {
    const nodes = await waitForNodeContainers(engine, plan.name, plan.nodes, 5_000);
    await Promise.all(nodes.map(({ container }) => engine.containers.writeFiles(container.id, files)));
  };
  const tellUsers = async () => {
    if (local === undefined) return;
    const { path, body } = localRegistryHosting(local);
    const api = new KubernetesApi(await readAccess(plan.kubeconfig, contextName(plan.name)));
    await api.create(path, body).finally(() => api.close());
  };
  await Promise.all([tellNodes(), tellUsers()]);
}

/**
 * Gives the nodes what the proxies hold from an earlier run or cluster, before any pod asks for it: they ask the proxies
 * for manifests, and for nothing else. Without it they ask for all.
 */
export async function linkProxiedBlobs(
  proxies: ProxiesPlan,
  cluster: Pick<ClusterPlan, "name" | "nodes">,
  engine: Engine,
  log: Log,
): Promise<void> {
  try {
    const held = [...sharedFolders(proxies)].map(
      async ([name, folder]) => [name, await readStorage(folder)] as const,
    );
    const blobs = proxiedBlobs(new Map(await Promise.all(held)));
    if (blobs.length === 0) return;
    const nodes = await waitForNodeContainers(engine, cluster.name, cluster.nodes, 5_000);
    await Promise.all(nodes.map((node) => symlinkBlobs(engine, node, blobs, 10_000)));
    log.line(`Every node has the ${blobs.length} blobs that the proxies hold.`);
  } catch (error) {
    log.line(`Nodes ask the proxies for what these hold: ${errorMessage(error)}`);
  }
}
