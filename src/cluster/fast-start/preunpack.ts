import type { NodeInventory } from "../../node/containerd/client.ts";
import type { ClusterNode } from "../../node/nodes.ts";
import type { NodeSessions } from "../../node/sessions.ts";

/** The images that nodes run first, in this order: substrings of their names. */
const imageOrder: Readonly<Record<ClusterNode["role"], readonly string[]>> = {
  "control-plane": [
    "/pause:",
    "/etcd:",
    "/kube-apiserver",
    "/kube-controller-manager",
    "/kube-scheduler",
    "/kindnetd:",
    "/kube-proxy",
    "/coredns:",
    "/local-path-provisioner:",
  ],
  worker: ["/pause:", "/kindnetd:", "/kube-proxy"],
};

/** Returns the digests of the preloaded images that a node runs first, in the order in which it needs them. */
export function preunpackOrder(
  { idByName }: Pick<NodeInventory, "idByName">,
  role: ClusterNode["role"],
): string[] {
  const digests = new Map(
    [...idByName].flatMap(([name, id]): [string, string][] => {
      const digest = name.split("@")[1];
      return digest === undefined ? [] : [[id, digest]];
    }),
  );
  const ids = imageOrder[role].flatMap((part) =>
    [...idByName].filter(([name]) => name.includes(part)).map(([, id]) => id),
  );
  return [...new Set(ids)].flatMap((id) => digests.get(id) ?? []);
}

/**
 * Starts to unpack the preloaded images in the nodes of a starting cluster, while kubeadm generates certificates. A
 * node image contains them packed, and the kubelet needs all of them at the same time.
 *
 * @param timeoutMs for the nodes to start, and for their containerd to answer
 * @throws when a node does not start in time, or its containerd does not answer
 */
export async function preunpackImages(
  sessions: NodeSessions,
  nodes: readonly string[],
  timeoutMs: number,
): Promise<void> {
  const connected = await sessions.waitFor(nodes, timeoutMs);
  await Promise.all(
    connected.map(async ({ role, session }) => {
      await session.unpack(preunpackOrder(await session.inventory(timeoutMs), role));
    }),
  );
}
