import type { ContainerDetails } from "../docker/containers.ts";
import type { Engine } from "../docker/engine.ts";
import { poll } from "../lib/poll.ts";
import { formatTimeout } from "../lib/units.ts";

/** A node of a cluster. */
export interface ClusterNode {
  readonly name: string;
  readonly role: "control-plane" | "worker";
  readonly container: ContainerDetails;
}

/** A selection of nodes: all, all workers, or nodes by name. */
export type NodeSelection = "all" | "workers" | readonly string[];

/**
 * Waits until the containers of nodes run; the programs in them may still be starting.
 *
 * @param timeoutMs milliseconds
 * @returns all nodes of the cluster whose containers run
 * @throws Error naming the nodes whose containers do not run in time
 */
export async function waitForNodeContainers(
  engine: Engine,
  cluster: string,
  names: readonly string[],
  timeoutMs: number,
): Promise<ClusterNode[]> {
  let missing: string[] = [];
  const nodes = await poll(
    async () => {
      const running = (await listNodes(engine, cluster)).filter(({ container }) => container.running);
      missing = names.filter((name) => !running.some((node) => node.name === name));
      return missing.length === 0 ? running : undefined;
    },
    { intervalMs: 150, timeoutMs },
  );
  if (nodes === undefined)
    throw new Error(
      `Node containers did not start within ${formatTimeout(timeoutMs)}: ${missing.join(", ")}.`,
    );
  return nodes;
}

/** Lists the nodes of a cluster, stopped ones too, in the order of their names. */
export async function listNodes(engine: Engine, cluster: string): Promise<ClusterNode[]> {
  const listed = await engine.containers.listNodes(cluster);
  const nodes = await Promise.all(
    listed.map(async ({ id, name, role }): Promise<ClusterNode[]> => {
      if (role !== "control-plane" && role !== "worker") return [];
      const container = await engine.containers.inspect(id);
      return container ? [{ name, role, container }] : [];
    }),
  );
  return nodes.flat().toSorted((a, b) => a.name.localeCompare(b.name, "en"));
}

/** Returns the names that kind gives to nodes: pkg/cluster/internal/providers/common/namer.go. */
export function nodeNames(cluster: string, nodes: readonly { readonly role: string }[]): string[] {
  const countByRole = new Map<string, number>();
  return nodes.map(({ role }) => {
    const number = (countByRole.get(role) ?? 0) + 1;
    countByRole.set(role, number);
    return `${cluster}-${role}${number === 1 ? "" : number}`;
  });
}

/**
 * Selects nodes.
 *
 * @returns at least one node, or the problem with the selection
 */
export function selectNodes<T extends { readonly name: string; readonly role: string }>(
  nodes: readonly T[],
  selection: NodeSelection,
): T[] | { problem: string } {
  if (selection === "all") return [...nodes];
  if (selection === "workers") {
    const workers = nodes.filter(({ role }) => role === "worker");
    return workers.length > 0 ? workers : { problem: "the cluster has no workers, only control planes" };
  }
  const unknown = selection.filter((name) => !nodes.some((node) => node.name === name));
  if (unknown.length > 0) {
    const known = nodes.map(({ name }) => name).join(", ");
    return { problem: `the cluster has no node ${unknown.join(", ")}. It has: ${known}` };
  }
  return nodes.filter(({ name }) => selection.includes(name));
}

/** Returns the node that all pods run on, if there is exactly one: kind taints control planes of clusters with workers. */
export function soleSchedulableNode<T extends Pick<ClusterNode, "role">>(nodes: readonly T[]): T | undefined {
  const workers = nodes.filter(({ role }) => role === "worker");
  const [node, ...others] = workers.length > 0 ? workers : nodes;
  return others.length === 0 ? node : undefined;
}
