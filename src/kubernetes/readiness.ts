import { setTimeout } from "node:timers/promises";
import * as z from "zod";
import { errorMessage } from "../lib/errors.ts";
import type { KubernetesApi } from "./client.ts";
import { retryIntervalMs, type Sleep, watchList } from "./watch.ts";

/** How far ready: `everything`, or for a cluster whose network is yet to be installed no further than its API. */
export type Readiness = "everything" | "api";

/** A cluster was not ready in time. */
export class NotReadyError extends Error {
  override readonly name = "NotReady";
  /** What was missing when the time was up, a line each. */
  readonly missing: readonly string[];

  constructor(cluster: string, wait: number, missing: readonly string[]) {
    super(
      `The cluster "${cluster}" was not ready after ${wait / 1000} s:\n- ${missing.join("\n- ")}\n` +
        "If it only needs longer, raise `wait`; the post step shows the logs that matter.",
    );
    this.missing = missing;
  }
}

/**
 * Waits until a cluster is ready: every node Ready, everything in kube-system available, and the default
 * ServiceAccount there, without which no pod can be made.
 *
 * @param on.wait milliseconds; 0 waits for nothing
 * @param on.nodes how many the cluster has
 * @throws {NotReadyError} naming what is not ready
 */
export async function waitUntilReady(
  api: KubernetesApi,
  on: { readonly name: string; readonly wait: number; readonly readiness: Readiness; readonly nodes: number },
  sleep: Sleep = sleepUnlessAborted,
): Promise<void> {
  if (on.wait === 0) return;
  const over = new AbortController();
  const { signal } = over;
  try {
    const ready =
      on.readiness === "api" ? answers(api, signal, sleep) : becomesReady(api, on.nodes, signal, sleep);
    const inTime = await Promise.race([ready.then(() => true), sleep(on.wait, signal).then(() => false)]);
    if (inTime) return;
  } finally {
    over.abort();
  }
  // Asked, not remembered: a connection may have died unnoticed, and a short wait has seen nothing yet.
  const missing = await whatIsMissing(api, on.readiness, on.nodes);
  if (missing.length > 0) throw new NotReadyError(on.name, on.wait, missing);
}

const sleepUnlessAborted: Sleep = (milliseconds, signal) => setTimeout(milliseconds, undefined, { signal });

/** What a cluster that takes pods has, whatever they are. */
const anyNamespace = "/api/v1/namespaces/default";

const workloads = "/apis/apps/v1/namespaces/kube-system";

/** The lists that readiness is read from, each with what it tells of what is missing. */
const lists: readonly {
  readonly path: string;
  readonly missing: (list: unknown, nodes: number) => string[];
}[] = [
  { path: "/api/v1/nodes", missing: missingNodes },
  { path: `${workloads}/deployments`, missing: (list) => missingReplicas("deployment", list) },
  { path: `${workloads}/statefulsets`, missing: (list) => missingReplicas("statefulset", list) },
  { path: `${workloads}/daemonsets`, missing: missingDaemons },
  {
    path: `${anyNamespace}/serviceaccounts?fieldSelector=metadata.name%3Ddefault`,
    missing: missingAccount,
  },
];

/** Waits until nothing is missing in any list, each of which is read once and then followed. */
function becomesReady(api: KubernetesApi, nodes: number, signal: AbortSignal, sleep: Sleep): Promise<void> {
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

/** Waits until the API answers. */
async function answers(api: KubernetesApi, signal: AbortSignal, sleep: Sleep): Promise<void> {
  while (!signal.aborted) {
    try {
      await api.get(anyNamespace);
      return;
    } catch {
      await sleep(retryIntervalMs, signal).catch(() => {});
    }
  }
}

async function whatIsMissing(api: KubernetesApi, readiness: Readiness, nodes: number): Promise<string[]> {
  try {
    if (readiness === "api") {
      await api.get(anyNamespace);
      return [];
    }
    const read = await Promise.all(
      lists.map(async ({ path, missing }) => missing(await api.get(path), nodes)),
    );
    return read.flat();
  } catch (error) {
    return [`the API does not answer: ${errorMessage(error)}`];
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

/** The nodes that are not Ready, in words. */
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

/** The Deployments or StatefulSets with fewer pods available than they want, in words. */
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

/** The DaemonSets that do not run on every node they should, in words. */
export function missingDaemons(list: unknown): string[] {
  return daemonSetList.parse(list).items.flatMap(({ metadata: { name, generation }, status }) => {
    if (status.observedGeneration >= generation && status.numberAvailable >= status.desiredNumberScheduled)
      return [];
    return [
      `daemonset kube-system/${name}: ${status.numberAvailable} of ${status.desiredNumberScheduled} available`,
    ];
  });
}

const anyList = z.looseObject({ items: z.array(z.unknown()) });

/** The default ServiceAccount, in words, where it is not in the list of those of that name. */
export function missingAccount(list: unknown): string[] {
  return anyList.parse(list).items.length > 0
    ? []
    : ["the ServiceAccount default in the namespace default is not there yet"];
}
