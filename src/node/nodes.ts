import { setTimeout as sleep } from "node:timers/promises";
import type { ConfiguredNode } from "../cluster/config.ts";
import type { ContainerDetails } from "../docker/containers.ts";
import type { Engine } from "../docker/engine.ts";

/** A node of a cluster. */
export interface ClusterNode {
  readonly name: string;
  readonly role: "control-plane" | "worker";
  readonly container: ContainerDetails;
}

/** Which nodes of a cluster. */
export type NodeSelection = "all" | "workers" | readonly string[];

/** Waits until all nodes of a cluster run, as containers: what is in them may still be starting. @param deadline milliseconds */
export async function waitForNodeContainers(
  engine: Engine,
  cluster: string,
  names: readonly string[],
  deadline: number,
): Promise<ClusterNode[]> {
  const until = performance.now() + deadline;
  for (;;) {
    const nodes = (await listNodes(engine, cluster)).filter(({ container }) => container.running);
    const missing = names.filter((name) => !nodes.some((node) => node.name === name));
    if (missing.length === 0) return nodes;
    if (performance.now() > until)
      throw new Error(`No container ${missing.join(", ")} came up within ${deadline / 1000} s.`);
    await sleep(150);
  }
}

/** The nodes of a cluster, those that do not run as well, in the order of their names. */
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

/** The names that kind gives nodes: pkg/cluster/internal/providers/common/namer.go. */
export function nodeNames(cluster: string, nodes: readonly Pick<ConfiguredNode, "role">[]): string[] {
  const count = new Map<string, number>();
  return nodes.map(({ role }) => {
    const number = (count.get(role) ?? 0) + 1;
    count.set(role, number);
    return `${cluster}-${role}${number === 1 ? "" : number}`;
  });
}

/**
 * Picks nodes.
 *
 * @returns at least one, or what is wrong with the selection
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

/** The node that all pods run on, where there is just one: kind keeps them off a control plane that has workers. */
export function soleSchedulableNode<T extends Pick<ClusterNode, "role">>(nodes: readonly T[]): T | undefined {
  const workers = nodes.filter(({ role }) => role === "worker");
  const [host, ...others] = workers.length > 0 ? workers : nodes;
  return others.length === 0 ? host : undefined;
}
