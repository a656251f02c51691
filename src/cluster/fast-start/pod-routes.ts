import * as z from "zod";
import type { KubernetesApi } from "../../kubernetes/client.ts";
import { poll } from "../../lib/poll.ts";
import { formatTimeout } from "../../lib/units.ts";
import type { NodeSession } from "../../node/session.ts";

/** A route of a node to the pods of another node. */
export interface PodRoute {
  /** The pod subnet of the other node. */
  readonly pods: string;
  /** The address of the other node. */
  readonly via: string;
}

const nodeList = z.looseObject({
  items: z.array(
    z.looseObject({
      metadata: z.looseObject({ name: z.string() }),
      spec: z.looseObject({ podCIDRs: z.array(z.string()).default([]) }),
      status: z.looseObject({
        addresses: z.array(z.looseObject({ type: z.string(), address: z.string() })).default([]),
      }),
    }),
  ),
});

const isIpv6 = (address: string) => address.includes(":");

/**
 * Returns the routes of each node to the pods of all other nodes.
 *
 * @param list the NodeList of the API
 * @param names the names of all nodes
 * @returns undefined if a node has no pod subnet, or no internal address of the IP family of its pod subnet
 */
export function podRoutes(list: unknown, names: readonly string[]): Map<string, PodRoute[]> | undefined {
  const { items } = nodeList.parse(list);
  const routes = new Map<string, PodRoute[]>();
  for (const name of names) {
    const node = items.find(({ metadata }) => metadata.name === name);
    const addresses = node?.status.addresses.filter(({ type }) => type === "InternalIP") ?? [];
    const podSubnets = node?.spec.podCIDRs ?? [];
    const toNode = podSubnets.flatMap((pods): PodRoute[] => {
      const via = addresses.find(({ address }) => isIpv6(address) === isIpv6(pods));
      return via === undefined ? [] : [{ pods, via: via.address }];
    });
    if (podSubnets.length === 0 || toNode.length < podSubnets.length) return undefined;
    for (const other of names.filter((each) => each !== name))
      routes.set(other, [...(routes.get(other) ?? []), ...toNode]);
  }
  return routes;
}

/**
 * Adds the routes to the pods of all other nodes in each node. kindnet adds them when it next lists the nodes, every
 * ten seconds; until then, a pod on a worker gets no answer from DNS.
 *
 * @param timeoutMs for the nodes to get their pod subnets, and for adding the routes
 * @throws when a node has no pod subnet in time
 * @throws ShellSessionError when a node cannot add a route
 */
export async function addPodRoutes(
  api: KubernetesApi,
  nodes: readonly NodeSession[],
  timeoutMs: number,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  const names = nodes.map(({ name }) => name);
  // A node gets its pod subnet when it joins.
  const routes = await poll(async () => podRoutes(await api.get("/api/v1/nodes"), names), {
    intervalMs: 200,
    timeoutMs,
  });
  if (routes === undefined)
    throw new Error(`Not all nodes got a pod subnet within ${formatTimeout(timeoutMs)}.`);
  await Promise.all(
    nodes.map(async (node) => {
      for (const { pods, via } of routes.get(node.name) ?? [])
        await node.run(["route", pods, via], deadlineMs - performance.now());
    }),
  );
}
