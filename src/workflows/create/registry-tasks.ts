import { setSecret } from "@actions/core";
import { proxyBlobsEntry, proxyKeyPrefix } from "../../cache/entries/proxy-blobs.ts";
import { contextName } from "../../cluster/kubeconfig.ts";
import { KubernetesApi, readAccess } from "../../kubernetes/client.ts";
import { errorMessage } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import type { Task } from "../../lib/task-graph.ts";
import { symlinkBlobs } from "../../node/content/symlink.ts";
import { renderHostsToml } from "../../registries/hosts-toml.ts";
import { localRegistryHosting } from "../../registries/local-registry.ts";
import { proxiedBlobs } from "../../registries/proxied-blobs.ts";
import { createProxiesFolder, type ProxiesPlan, sharedFolders } from "../../registries/proxies.ts";
import { resolveCredentials } from "../../registries/resolve-credentials.ts";
import {
  noRegistries,
  type Registries,
  type RegistriesPlan,
  startRegistries,
} from "../../registries/start.ts";
import { readStorage } from "../../registries/storage.ts";
import { exportRegistryAddress } from "../../runner/outputs.ts";
import type { ClusterRun } from "./cluster-run.ts";
import { getImage } from "./image-tasks.ts";

/** Adds the tasks that start the registries of the cluster, if there are any. */
export function addRegistryTasks(
  run: ClusterRun,
  network: Task<void>,
):
  | {
      /** Resolves when the shared folder exists, which proxies and nodes mount. */
      readonly sharedFolderCreated: Promise<void>;
      /** Adds the tasks that configure the registries in the cluster. */
      readonly addNodeTasks: (created: Task<unknown>) => void;
    }
  | undefined {
  const { plan, graph, caches } = run;
  const { registries } = plan;
  if (registries === undefined) return undefined;
  const { proxies } = registries;
  const storageFolders = proxies === undefined ? new Map<string, string>() : sharedFolders(proxies);
  const sharedFolderCreated = createSharedFolder(run, proxies);
  // Consumers await it; this avoids an unhandled rejection if none does.
  sharedFolderCreated.catch(() => {});
  const restored =
    proxies !== undefined && caches.isEnabled(proxyBlobsEntry)
      ? graph.add("Restore proxy blobs", [], async (log) => {
          await sharedFolderCreated;
          await caches.restore(
            proxyBlobsEntry,
            { job: run.ctx.job, folders: storageFolders },
            { item: "proxies" },
            log,
          );
        })
      : undefined;
  const started = graph.add("Start registries", [network], (log) =>
    startAll(run, registries, { storageFolders, sharedFolderCreated }, log),
  );
  return {
    sharedFolderCreated,
    addNodeTasks: (created) => {
      graph.add("Configure registries in the nodes", [created, started], (_, __, running) =>
        publishRegistryHosts(run, running),
      );
      if (storageFolders.size > 0)
        graph.add("Link proxy blobs into the nodes", [created, ...(restored ? [restored] : [])], (log) =>
          linkProxyBlobs(run, storageFolders, log),
        );
    },
  };
}

/** Creates the shared folder of the proxies, and adds it to the state if it is new. */
async function createSharedFolder(
  { updateState }: ClusterRun,
  proxies: ProxiesPlan | undefined,
): Promise<void> {
  const shared = proxies?.folders?.shared;
  if (shared !== undefined && (await createProxiesFolder(shared))) updateState({ proxiesFolder: shared });
}

/** Starts the registries. @throws Error when the local registry cannot be started */
async function startAll(
  run: ClusterRun,
  registries: RegistriesPlan,
  {
    storageFolders,
    sharedFolderCreated,
  }: { storageFolders: ReadonlyMap<string, string>; sharedFolderCreated: Promise<void> },
  log: Log,
): Promise<Registries> {
  const { ctx, plan, engine, labels } = run;
  const { proxies } = registries;
  const source = {
    home: ctx.job.home,
    dockerConfig: ctx.env.DOCKER_CONFIG,
    runProgram: ctx.runProgram,
    mask: setSecret,
  };
  const logins = proxies && resolveCredentials(proxies.upstreams, proxies.logins, source, log);
  // Resolved while the image is pulled, and awaited below.
  logins?.catch(() => {});
  let image: string;
  try {
    image = await getImage(run, { reference: registries.image }, { countsForCacheHit: false }, log);
  } catch (error) {
    if (registries.local !== undefined) throw error;
    log.warning(`Could not start the registry proxies; nodes pull without them: ${errorMessage(error)}`);
    return noRegistries;
  }
  await sharedFolderCreated;
  const options = { cluster: plan.name, network: plan.network, labels, logins: await logins };
  const running = await startRegistries(engine, { ...registries, image }, options, log);
  if (running.local !== undefined) exportRegistryAddress(running.local.address);
  if (proxies !== undefined) saveProxiesLater(run, running, storageFolders);
  return running;
}

/** Adds the proxies to the state for post to save, except those with credentials, which may have private images. */
function saveProxiesLater(
  { ctx, caches }: ClusterRun,
  { proxies }: Registries,
  storageFolders: ReadonlyMap<string, string>,
): void {
  const withoutLogin = proxies
    .filter(({ hasLogin }) => !hasLogin)
    .map(({ upstream, container }) => ({ name: upstream.name, container }));
  caches.saveLater(proxyBlobsEntry, {
    containers: Object.fromEntries(withoutLogin.map(({ name, container }) => [name, container])),
    folders: Object.fromEntries(
      [...storageFolders].filter(([name]) => withoutLogin.some((proxy) => proxy.name === name)),
    ),
    keyPrefix: proxyKeyPrefix(ctx.job),
    maxBytes: caches.maxBytes,
    requested: [],
  });
}

/** Configures the registries in the nodes, and announces the local registry in the cluster. */
async function publishRegistryHosts(
  { plan, engine, sessions }: ClusterRun,
  { local, hosts }: Registries,
): Promise<void> {
  const files = renderHostsToml(hosts);
  const configureNodes = async () => {
    const connected = await sessions.waitFor(plan.nodes, 5_000);
    await Promise.all(connected.map(({ container }) => engine.containers.writeFiles(container.id, files)));
  };
  const publishLocalRegistry = async () => {
    if (local === undefined) return;
    const { path, body } = localRegistryHosting(local);
    const api = new KubernetesApi(await readAccess(plan.kubeconfig, contextName(plan.name)));
    await api.create(path, body).finally(() => api.close());
  };
  await Promise.all([configureNodes(), publishLocalRegistry()]);
}

/**
 * Links blobs that the proxies have from an earlier run or cluster into the nodes, so that nodes request only manifests from
 * the proxies.
 */
async function linkProxyBlobs(
  { plan, engine, sessions }: ClusterRun,
  storageFolders: ReadonlyMap<string, string>,
  log: Log,
): Promise<void> {
  try {
    const contents = [...storageFolders].map(
      async ([name, folder]) => [name, await readStorage(folder)] as const,
    );
    const blobs = proxiedBlobs(new Map(await Promise.all(contents)));
    if (blobs.length === 0) return;
    const connected = await sessions.waitFor(plan.nodes, 5_000);
    await Promise.all(connected.map(({ session }) => symlinkBlobs(engine, session, blobs, 10_000)));
    log.line(`Linked ${blobs.length} proxy blobs into each node.`);
  } catch (error) {
    log.line(`Could not link proxy blobs; nodes pull them through the proxies: ${errorMessage(error)}`);
  }
}
