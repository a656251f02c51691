import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { messageOf } from "../problems.ts";
import { ApiError, type KubernetesApi } from "./api.ts";

/** How far ready: `everything`, or for a cluster whose network is yet to be installed no further than its API. */
export type Readiness = "everything" | "api";

/** A cluster was not ready in time. */
export class NotReady extends Error {
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

/** How often the API is asked, in milliseconds: a few kilobytes over one kept connection. */
const interval = 200;

/**
 * Waits until a cluster is ready: every node Ready, everything in kube-system available, and the default
 * ServiceAccount there, without which no pod can be made.
 *
 * @param on.wait milliseconds; 0 waits for nothing
 * @param on.nodes how many the cluster has
 * @throws {NotReady} naming what is not ready
 */
export async function waitUntilReady(
  api: KubernetesApi,
  on: { readonly name: string; readonly wait: number; readonly readiness: Readiness; readonly nodes: number },
  clock: { now: () => number; sleep: (milliseconds: number) => Promise<unknown> } = {
    now: () => performance.now(),
    sleep,
  },
): Promise<void> {
  if (on.wait === 0) return;
  const end = clock.now() + on.wait;
  for (;;) {
    const missing = await whatIsMissing(api, on.readiness, on.nodes);
    if (missing.length === 0) return;
    if (clock.now() >= end) throw new NotReady(on.name, on.wait, missing);
    await clock.sleep(interval);
  }
}

async function whatIsMissing(api: KubernetesApi, readiness: Readiness, nodes: number): Promise<string[]> {
  try {
    if (readiness === "api") {
      await api.get("/api/v1/namespaces/default");
      return [];
    }
    const workloads = "/apis/apps/v1/namespaces/kube-system";
    const [nodeList, deployments, daemonSets, statefulSets, account] = await Promise.all([
      api.get("/api/v1/nodes"),
      api.get(`${workloads}/deployments`),
      api.get(`${workloads}/daemonsets`),
      api.get(`${workloads}/statefulsets`),
      api.get("/api/v1/namespaces/default/serviceaccounts/default").catch(absent),
    ]);
    return [
      ...missingNodes(nodeList, nodes),
      ...missingReplicas("deployment", deployments),
      ...missingReplicas("statefulset", statefulSets),
      ...missingDaemons(daemonSets),
      ...(account === undefined
        ? ["the ServiceAccount default in the namespace default is not there yet"]
        : []),
    ];
  } catch (error) {
    return [`the API does not answer: ${messageOf(error)}`];
  }
}

function absent(error: unknown): undefined {
  if (error instanceof ApiError && error.status === 404) return undefined;
  throw error;
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
