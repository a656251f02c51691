import type { Engine } from "../../docker/engine.ts";
import type { NodeInventory } from "../../node/containerd/client.ts";
import { type ClusterNode, waitForNodeContainers } from "../../node/nodes.ts";
import { connectNode } from "../../node/session.ts";
import { unpackImages } from "../../node/unpack.ts";

/** What nodes run first, in that order: parts of the names of images. */
const wanted: Readonly<Record<ClusterNode["role"], readonly string[]>> = {
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

/** The digests that the names of a node's own images stand for, as far as it will run them, in the order of need. */
export function preunpackOrder(
  { idByName: names }: Pick<NodeInventory, "idByName">,
  role: ClusterNode["role"],
): string[] {
  const digests = new Map(
    [...names].flatMap(([name, id]): [string, string][] => {
      const digest = name.split("@")[1];
      return digest === undefined ? [] : [[id, digest]];
    }),
  );
  const ids = wanted[role].flatMap((part) =>
    [...names].filter(([name]) => name.includes(part)).map(([, id]) => id),
  );
  return [...new Set(ids)].flatMap((id) => digests.get(id) ?? []);
}

/**
 * Makes the nodes of a cluster that starts unpack what they will run, while kubeadm still makes certificates: a node
 * image brings its images packed, and the kubelet asks for all of them at once.
 *
 * @param deadline milliseconds, in which the nodes have to be up
 */
export async function preunpackImages(
  engine: Engine,
  cluster: { name: string; nodes: readonly string[] },
  deadline: number,
): Promise<void> {
  const nodes = await waitForNodeContainers(engine, cluster.name, cluster.nodes, deadline);
  await Promise.all(
    nodes.map(async (node) => {
      const { containerd, inventory } = await connectNode(engine, node, deadline);
      containerd.close();
      await unpackImages(engine, node.container.id, preunpackOrder(inventory, node.role));
    }),
  );
}
