import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "../docker/engine.ts";
import { runLabel } from "../docker/labels.ts";
import type { Network } from "../docker/networks.ts";
import { loadBalancerRange } from "../docker/subnet.ts";

/**
 * The IPv6 subnet of kind's default network, by the name of the network:
 * pkg/cluster/internal/providers/docker/network.go, generateULASubnetFromName. For a network with another name, kind
 * derives it from the name.
 */
const ipv6Subnets: Readonly<Record<string, string>> = { kind: "fc00:f853:ccd:e793::/64" };

/** Waits for a number of milliseconds. */
type Sleep = (milliseconds: number) => Promise<unknown>;

/**
 * Creates the Docker network of kind's nodes as kind would, but with a label, so that the last run that uses it can
 * remove it. An existing network is not changed. If the network cannot be created, kind creates it.
 *
 * @param options.fixedAddresses whether containers need fixed addresses, which Docker accepts only in a subnet that was
 * requested
 * @returns whether this run created the network
 */
export async function ensureNetwork(
  engine: Engine,
  name: string,
  runId: string,
  options: { fixedAddresses: boolean; wait?: Sleep } = { fixedAddresses: false },
): Promise<boolean> {
  const id = (await exists(engine, name))
    ? undefined
    : await create(engine, name, runId, options.fixedAddresses);
  return removeDuplicate(engine, name, id, options.wait ?? sleep);
}

const exists = async (engine: Engine, name: string) => (await engine.networks.listIds(name)).length > 0;

/**
 * Creates the network, with as many of the requested subnets as the daemon accepts.
 *
 * @returns its ID; undefined if it was not created
 */
async function create(
  engine: Engine,
  name: string,
  runId: string,
  fixedAddresses: boolean,
): Promise<string | undefined> {
  const ipv6Subnet = ipv6Subnets[name];
  const labels = { [runLabel]: runId };
  const ipv4Subnet = fixedAddresses ? await findFreeSubnet(engine, probeName(runId), labels) : undefined;
  const network = {
    name,
    labels,
    options: { "com.docker.network.bridge.enable_ip_masquerade": "true", ...(await copyDefaultMtu(engine)) },
  };
  const candidates = [[ipv4Subnet, ipv6Subnet], [ipv6Subnet], [ipv4Subnet], []].map((subnets) =>
    subnets.filter((subnet) => subnet !== undefined),
  );
  for (const subnets of new Map(candidates.map((each) => [each.join(), each])).values()) {
    try {
      return await engine.networks.create({ ...network, subnets });
    } catch {
      // This machine has no IPv6, another network has the subnet, or another job has created the network.
      if (await exists(engine, name)) return undefined;
    }
  }
  return undefined;
}

/**
 * Makes sure that there is one network of a name. Docker before 25 creates two networks of one name for two concurrent
 * requests, and then starts no container on either, because the name is ambiguous. The oldest network stays. Each run
 * removes the network that it created if it is not the oldest, and waits up to 5 s until the other runs have done so.
 *
 * @param id the ID of the network that this run created
 * @returns whether this run created the network that stays
 */
async function removeDuplicate(
  engine: Engine,
  name: string,
  id: string | undefined,
  wait: Sleep,
): Promise<boolean> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const [oldest, ...younger] = await engine.networks.listIds(name);
    if (younger.length === 0) return id !== undefined && oldest === id;
    if (id !== undefined && younger.includes(id)) await engine.networks.remove(id);
    else await wait(100);
  }
  return false;
}

/** The name of the temporary network of {@link findFreeSubnet}. */
const probeName = (runId: string) => `kind-action.${runId}`;

/** Finds a free IPv4 subnet: creates a network, reads the subnet that Docker chose for it, and removes the network. */
async function findFreeSubnet(
  engine: Engine,
  name: string,
  labels: Record<string, string>,
): Promise<string | undefined> {
  try {
    await engine.networks.create({ name, labels, options: {}, subnets: [] });
    return (await engine.networks.inspect(name))?.subnets[0]?.subnet;
  } catch {
    return undefined;
  } finally {
    await engine.networks.remove(name).catch(() => {});
  }
}

/**
 * Removes the network if this action created it, in this run or in another one, and it has no containers. Also removes
 * the temporary network that an interrupted run may have left.
 */
export async function removeNetwork(engine: Engine, name: string, runId: string): Promise<void> {
  await engine.networks.remove(probeName(runId));
  for (const id of await engine.networks.listIds(name)) {
    const network = await engine.networks.inspect(id);
    if (network?.labels[runLabel] !== undefined && network.containers.size === 0)
      await engine.networks.remove(id);
  }
}

/**
 * Returns the MTU option of Docker's default network, which kind copies: users lower it where packets go through a
 * tunnel.
 */
async function copyDefaultMtu(engine: Engine): Promise<Record<string, string>> {
  const mtu = (await engine.networks.inspect("bridge"))?.options["com.docker.network.driver.mtu"];
  return mtu === undefined ? {} : { "com.docker.network.driver.mtu": mtu };
}

/** The cluster's Docker network, as the output `network` describes it. Texts are empty where there is no value. */
export interface ClusterNetwork {
  readonly name: string;
  readonly subnet: string;
  readonly gateway: string;
  /** Addresses for load balancers, which Docker assigns last: `FIRST-LAST`. */
  readonly load_balancer_range: string;
  /** The URL of the API for pods and for containers on the network: `https://ADDRESS:6443`. */
  readonly api_server: string;
}

/**
 * Describes a network by its IPv4 subnet, or by its IPv6 subnet if it has no other.
 *
 * @param apiContainer the name of the container of the control plane, or of the load balancer in front of several
 */
export function describeNetwork(network: Network, apiContainer: string): ClusterNetwork {
  const preferred = network.subnets.find(({ subnet }) => !subnet.includes(":")) ?? network.subnets[0];
  const subnet = preferred?.subnet ?? "";
  const container = [...network.containers.values()].find(({ name }) => name === apiContainer);
  const address = container?.ipv4 ?? (container?.ipv6 === undefined ? "" : `[${container.ipv6}]`);
  return {
    name: network.name,
    subnet,
    gateway: preferred?.gateway ?? "",
    load_balancer_range: loadBalancerRange(subnet),
    api_server: address === "" ? "" : `https://${address}:6443`,
  };
}
