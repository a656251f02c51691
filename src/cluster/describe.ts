import * as z from "zod";
import type { Engine } from "../docker/engine.ts";
import type { KubernetesApi } from "../kubernetes/client.ts";
import { type ClusterNetwork, describeNetwork } from "./docker-network.ts";

/** A node, as the output `nodes` lists it. */
export interface NodeDescription {
  readonly name: string;
  readonly role: string;
  /** Its IPv4 address on the cluster's Docker network, or its IPv6 address where it has no other. */
  readonly address: string;
}

/** A cluster, as the outputs describe it. */
export interface ClusterDescription {
  readonly apiServer: string;
  readonly kubernetesVersion: string;
  readonly nodes: readonly NodeDescription[];
  readonly network: ClusterNetwork;
}

const loadBalancerRole = "external-load-balancer";

/**
 * Describes a cluster that exists.
 *
 * @param server the URL at which the runner reaches the API
 * @throws when the Docker network of the cluster does not exist
 */
export async function describeCluster(
  plan: { readonly name: string; readonly network: string },
  engine: Engine,
  api: KubernetesApi,
  server: string,
): Promise<ClusterDescription> {
  const [containers, network, version] = await Promise.all([
    engine.containers.listNodes(plan.name),
    engine.networks.inspect(plan.network),
    api.get("/version"),
  ]);
  if (network === undefined)
    throw new Error(`The Docker network "${plan.network}" of cluster "${plan.name}" does not exist.`);
  const apiContainer =
    containers.find(({ role }) => role === loadBalancerRole) ??
    containers.find(({ role }) => role === "control-plane");
  const nodes = containers
    .filter(({ role }) => role !== loadBalancerRole)
    .map(({ id, name, role }) => {
      const addresses = network.containers.get(id);
      return { name, role, address: addresses?.ipv4 ?? addresses?.ipv6 ?? "" };
    })
    .toSorted((a, b) => a.name.localeCompare(b.name, "en"));
  return {
    apiServer: server,
    kubernetesVersion: z.looseObject({ gitVersion: z.string() }).parse(version).gitVersion,
    nodes,
    network: describeNetwork(network, apiContainer?.name ?? ""),
  };
}
