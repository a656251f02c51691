import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import type { Engine } from "../../docker/engine.ts";
import { ShellSession } from "../../docker/shell-session.ts";
import type { KubernetesApi } from "../../kubernetes/client.ts";
import type { ClusterNode } from "../../node/nodes.ts";

/** Where a node sends what is for the pods of another. */
export interface PodRoute {
  readonly pods: string;
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
 * The routes of each node to the pods of all others.
 *
 * @param list of the API's nodes
 * @param names of the nodes that the cluster is to have
 * @returns undefined as long as one of them has no range of pods, or no address of its kind
 */
export function podRoutes(list: unknown, names: readonly string[]): Map<string, PodRoute[]> | undefined {
  const { items } = nodeList.parse(list);
  const routes = new Map<string, PodRoute[]>();
  for (const name of names) {
    const node = items.find(({ metadata }) => metadata.name === name);
    const addresses = node?.status.addresses.filter(({ type }) => type === "InternalIP") ?? [];
    const ranges = node?.spec.podCIDRs ?? [];
    const to = ranges.flatMap((pods): PodRoute[] => {
      const via = addresses.find(({ address }) => isIpv6(address) === isIpv6(pods));
      return via === undefined ? [] : [{ pods, via: via.address }];
    });
    if (ranges.length === 0 || to.length < ranges.length) return undefined;
    for (const other of names.filter((each) => each !== name))
      routes.set(other, [...(routes.get(other) ?? []), ...to]);
  }
  return routes;
}

/** How often nodes that lack their range are looked at, in milliseconds: they get it when they join. */
const interval = 200;

/** Runs in a node: each line is a range and an address. */
const answers = `
while read -r pods via; do
  [[ $pods == *:* ]] && family=-6 || family=-4
  ip "$family" route replace "$pods" via "$via"
  printf '\\004%d\\n' $?
done
`;

/**
 * Gives each node its routes to the pods of all others, which kindnet would give it when it looks for new nodes: every ten
 * seconds. Until then a pod on a worker gets no answer from DNS.
 *
 * @param deadline milliseconds, in which all nodes have to have a range of pods, and their routes
 * @throws when they have not, or a node does not take a route
 */
export async function addPodRoutes(
  engine: Engine,
  api: KubernetesApi,
  nodes: readonly ClusterNode[],
  deadline: number,
): Promise<void> {
  const until = performance.now() + deadline;
  const names = nodes.map(({ name }) => name);
  let routes = podRoutes(await api.get("/api/v1/nodes"), names);
  while (routes === undefined) {
    if (performance.now() > until) throw new Error("Not every node has a range of pods yet.");
    await sleep(interval);
    routes = podRoutes(await api.get("/api/v1/nodes"), names);
  }
  await Promise.all(
    nodes.map(async ({ name, container }) => {
      const program = await engine.containers.exec(container.id, ["bash", "-c", answers]);
      const conversation = new ShellSession(program, name);
      try {
        for (const { pods, via } of routes.get(name) ?? [])
          await conversation.run([pods, via], until - performance.now());
      } finally {
        conversation.close();
      }
    }),
  );
}
