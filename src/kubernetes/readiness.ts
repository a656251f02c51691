import { setTimeout } from "node:timers/promises";
import * as z from "zod";
import { errorMessage } from "../lib/errors.ts";
import { formatTimeout } from "../lib/units.ts";
import type { KubernetesApi } from "./client.ts";
import { retryIntervalMs, type Sleep, watchList } from "./watch.ts";

/** What has to be ready: `everything`, or only the API, for a cluster whose CNI the user installs later. */
export type Readiness = "everything" | "api";

/** A cluster was not ready before the timeout. */
export class NotReadyError extends Error {
  override readonly name = "NotReadyError";
  /** The reasons, one for each resource that was not ready. */
  readonly missing: readonly string[];

  constructor(cluster: string, timeoutMs: number, missing: readonly string[]) {
    super(
      `Cluster "${cluster}" was not ready within ${formatTimeout(timeoutMs)}:\n- ${missing.join("\n- ")}\n` +
        "If the cluster needs more time, increase `wait`. The post step prints the important lines of the logs.",
    );
    this.missing = missing;
  }
}

/**
 * Waits until a cluster is ready: all nodes are Ready, all workloads in kube-system are available, and the default
 * ServiceAccount exists, without which no pod can be created.
 *
 * @param options.wait the timeout in milliseconds; with 0 it does not wait
 * @param options.nodes the number of nodes
 * @throws NotReadyError with the resources that are not ready
 */
export async function waitUntilReady(
  api: KubernetesApi,
  options: {
    readonly name: string;
    readonly wait: number;
    readonly readiness: Readiness;
    readonly nodes: number;
  },
  sleep: Sleep = sleepUnlessAborted,
): Promise<void> {
  const { name, wait, readiness, nodes } = options;
  if (wait === 0) return;
  const stop = new AbortController();
  const { signal } = stop;
  try {
    const ready =
      readiness === "api" ? waitForApi(api, signal, sleep) : waitForEverything(api, nodes, signal, sleep);
    const inTime = await Promise.race([ready.then(() => true), sleep(wait, signal).then(() => false)]);
    if (inTime) return;
  } finally {
    stop.abort();
  }
  // The lists are read again, because a watch may have lost its connection, and with a short timeout none has begun.
  const missing = await findMissing(api, readiness, nodes);
  if (missing.length > 0) throw new NotReadyError(name, wait, missing);
}

const sleepUnlessAborted: Sleep = (milliseconds, signal) => setTimeout(milliseconds, undefined, { signal });

/** The path of an object that exists in every cluster. */
const defaultNamespace = "/api/v1/namespaces/default";

const kubeSystemWorkloads = "/apis/apps/v1/namespaces/kube-system";

/** The lists that readiness depends on, each with a function that returns what is not ready in it. */
const lists: readonly {
  readonly path: string;
  readonly missing: (list: unknown, nodes: number) => string[];
}[] = [
  { path: "/api/v1/nodes", missing: missingNodes },
  { path: `${kubeSystemWorkloads}/deployments`, missing: (list) => missingReplicas("deployment", list) },
  { path: `${kubeSystemWorkloads}/statefulsets`, missing: (list) => missingReplicas("statefulset", list) },
  { path: `${kubeSystemWorkloads}/daemonsets`, missing: missingDaemonPods },
  {
    path: `${defaultNamespace}/serviceaccounts?fieldSelector=metadata.name%3Ddefault`,
    missing: missingServiceAccount,
  },
];

/** Waits until everything in the lists is ready. Each list is read once and then watched. */
function waitForEverything(
  api: KubernetesApi,
  nodes: number,
  signal: AbortSignal,
  sleep: Sleep,
): Promise<void> {
  const complete = new Set<string>();
  return new Promise((resolve) => {
    for (const { path, missing } of lists) {
      const changed = (list: unknown) => {
        if (list !== undefined && missing(list, nodes).length === 0) complete.add(path);
        else complete.delete(path);
        if (complete.size === lists.length) resolve();
      };
      watchList(api, path, changed, signal, sleep);
    }
  });
}

/** Waits until the API server answers. */
async function waitForApi(api: KubernetesApi, signal: AbortSignal, sleep: Sleep): Promise<void> {
  while (!signal.aborted) {
    try {
      await api.get(defaultNamespace);
      return;
    } catch {
      await sleep(retryIntervalMs, signal).catch(() => {});
    }
  }
}

/** Returns what is not ready. */
async function findMissing(api: KubernetesApi, readiness: Readiness, nodes: number): Promise<string[]> {
  try {
    if (readiness === "api") {
      await api.get(defaultNamespace);
      return [];
    }
    const missing = await Promise.all(
      lists.map(async ({ path, missing }) => missing(await api.get(path), nodes)),
    );
    return missing.flat();
  } catch (error) {
    return [`the API server does not answer: ${errorMessage(error)}`];
  }
}

const metadata = z.looseObject({ name: z.string(), generation: z.number().default(0) });

const nodeList = z.looseObject({
  items: z.array(
    z.looseObject({
      metadata,
      status: z.looseObject({
        conditions: z
          .array(z.looseObject({ type: z.string(), status: z.string(), message: z.string().default("") }))
          .default([]),
      }),
    }),
  ),
});

/** Describes the nodes that are not Ready, and the number of nodes that have not joined. */
export function missingNodes(list: unknown, expected: number): string[] {
  const nodes = nodeList.parse(list).items;
  const missing = nodes.flatMap(({ metadata: { name }, status }) => {
    const ready = status.conditions.find(({ type }) => type === "Ready");
    if (ready?.status === "True") return [];
    return [`node ${name} is not Ready${ready?.message ? `: ${ready.message}` : ""}`];
  });
  return nodes.length < expected
    ? [...missing, `${expected - nodes.length} of ${expected} nodes have not joined`]
    : missing;
}

const replicaList = z.looseObject({
  items: z.array(
    z.looseObject({
      metadata,
      spec: z.looseObject({ replicas: z.number().default(1) }),
      status: z.looseObject({
        observedGeneration: z.number().default(0),
        availableReplicas: z.number().default(0),
      }),
    }),
  ),
});

/** Describes the Deployments or StatefulSets that have fewer available pods than replicas. */
export function missingReplicas(kind: string, list: unknown): string[] {
  return replicaList.parse(list).items.flatMap(({ metadata: { name, generation }, spec, status }) => {
    if (status.observedGeneration >= generation && status.availableReplicas >= spec.replicas) return [];
    return [`${kind} kube-system/${name}: ${status.availableReplicas} of ${spec.replicas} available`];
  });
}

const daemonSetList = z.looseObject({
  items: z.array(
    z.looseObject({
      metadata,
      status: z.looseObject({
        observedGeneration: z.number().default(0),
        desiredNumberScheduled: z.number().default(0),
        numberAvailable: z.number().default(0),
      }),
    }),
  ),
});

/** Describes the DaemonSets that have fewer available pods than nodes to run on. */
export function missingDaemonPods(list: unknown): string[] {
  return daemonSetList.parse(list).items.flatMap(({ metadata: { name, generation }, status }) => {
    if (status.observedGeneration >= generation && status.numberAvailable >= status.desiredNumberScheduled)
      return [];
    return [
      `daemonset kube-system/${name}: ${status.numberAvailable} of ${status.desiredNumberScheduled} available`,
    ];
  });
}

const anyList = z.looseObject({ items: z.array(z.unknown()) });

/** Describes the default ServiceAccount if it is not in the list. */
export function missingServiceAccount(list: unknown): string[] {
  return anyList.parse(list).items.length > 0 ? [] : ["serviceaccount default/default does not exist"];
}
