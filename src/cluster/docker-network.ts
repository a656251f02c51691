import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "../docker/engine.ts";
import type { Network } from "../docker/networks.ts";
import { runLabel } from "./name-lock.ts";

/**
 * The IPv6 subnet that kind gives its network `kind`: pkg/cluster/internal/providers/docker/network.go,
 * generateULASubnetFromName. Other names get one of kind's choosing.
 */
const kindSubnets: Readonly<Record<string, string>> = { kind: "fc00:f853:ccd:e793::/64" };

/**
 * Makes the network that kind's nodes are on, as kind would, but labelled as ours: so that whoever leaves last can
 * remove it. A network that is there is left as it is; where it cannot be made so, kind makes it.
 *
 * @param on.fixedAddresses whether containers are to have addresses of their choice: Docker gives those out only where
 * the subnet was not Docker's choice
 * @returns whether it was made
 */
export async function ensureNetwork(
  engine: Engine,
  name: string,
  run: string,
  on: { fixedAddresses: boolean; wait?: (milliseconds: number) => Promise<unknown> } = {
    fixedAddresses: false,
  },
): Promise<boolean> {
  const id = (await isThere(engine, name)) ? undefined : await create(engine, name, run, on.fixedAddresses);
  return keepOldest(engine, name, id, on.wait ?? sleep);
}

const isThere = async (engine: Engine, name: string) => (await engine.networks.listIds(name)).length > 0;

/** @returns the ID of what it made */
async function create(
  engine: Engine,
  name: string,
  run: string,
  fixedAddresses: boolean,
): Promise<string | undefined> {
  const ipv6 = kindSubnets[name];
  const labels = { [runLabel]: run };
  const subnet = fixedAddresses ? await freeSubnet(engine, probeName(run), labels) : undefined;
  const network = {
    name,
    labels,
    options: { "com.docker.network.bridge.enable_ip_masquerade": "true", ...(await defaultMtu(engine)) },
  };
  const wishes = [[subnet, ipv6], [ipv6], [subnet], []].map((each) =>
    each.filter((one) => one !== undefined),
  );
  for (const subnets of new Map(wishes.map((each) => [each.join(), each])).values()) {
    try {
      return await engine.networks.create({ ...network, subnets });
    } catch {
      // No IPv6 on this machine, a subnet that is taken, or another job that was faster.
      if (await isThere(engine, name)) return undefined;
    }
  }
  return undefined;
}

/**
 * Daemons before 25 make two networks of one name for two jobs that ask in the same moment, and then start nothing on
 * either: the name is ambiguous. The oldest stays, whoever made another removes it, and all wait until that has happened.
 *
 * @param id of the network that this run made
 * @returns whether that one stays
 */
async function keepOldest(
  engine: Engine,
  name: string,
  id: string | undefined,
  wait: (milliseconds: number) => Promise<unknown>,
): Promise<boolean> {
  for (let looks = 0; looks < 50; looks++) {
    const [oldest, ...younger] = await engine.networks.listIds(name);
    if (younger.length === 0) return id !== undefined && oldest === id;
    if (id !== undefined && younger.includes(id)) await engine.networks.remove(id);
    else await wait(100);
  }
  return false;
}

const probeName = (run: string) => `kind-action.${run}`;

/** A subnet that Docker would choose: known from a network that is there for a moment. */
async function freeSubnet(
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
 * Removes the network if this action made it, in this run or another, and nothing uses it any more; and what a run that was
 * killed may have left of its own.
 */
export async function removeNetwork(engine: Engine, name: string, run: string): Promise<void> {
  await engine.networks.remove(probeName(run));
  for (const id of await engine.networks.listIds(name)) {
    const network = await engine.networks.inspect(id);
    if (network?.labels[runLabel] !== undefined && network.containers.size === 0)
      await engine.networks.remove(id);
  }
}

/** kind takes over the MTU of Docker's default network, which people set where a tunnel leaves less room. */
async function defaultMtu(engine: Engine): Promise<Record<string, string>> {
  const mtu = (await engine.networks.inspect("bridge"))?.options["com.docker.network.driver.mtu"];
  return mtu === undefined ? {} : { "com.docker.network.driver.mtu": mtu };
}

/** What of the cluster's network a later step needs. */
export interface ClusterNetwork {
  readonly name: string;
  readonly subnet: string;
  readonly gateway: string;
  /** Addresses that Docker gives to nobody soon, for load balancers: `FIRST-LAST`. */
  readonly load_balancer_range: string;
  /** Where pods and containers on the network reach the API: `https://ADDRESS:6443`. */
  readonly api_server: string;
}

/**
 * Describes the network by its IPv4 side, or IPv6 where that is all it has.
 *
 * @param apiContainer the name of the control plane's container, or of the load balancer before several
 */
export function describeNetwork(network: Network, apiContainer: string): ClusterNetwork {
  const usable = network.subnets.find(({ subnet }) => !subnet.includes(":")) ?? network.subnets[0];
  const subnet = usable?.subnet ?? "";
  const container = [...network.containers.values()].find(({ name }) => name === apiContainer);
  const address = container?.ipv4 ?? (container?.ipv6 === undefined ? "" : `[${container.ipv6}]`);
  return {
    name: network.name,
    subnet,
    gateway: usable?.gateway ?? "",
    load_balancer_range: freeRange(subnet),
    api_server: address === "" ? "" : `https://${address}:6443`,
  };
}

/**
 * Docker hands addresses out from the bottom of a subnet: fifty near its top stay free. In a /16 such as
 * 172.18.0.0/16 these are 172.18.255.200 to .250; a subnet smaller than a /24 has none to spare.
 */
function freeRange(subnet: string): string {
  const fromEnd = addressesFromEnd(subnet);
  return fromEnd === undefined ? "" : `${fromEnd(56)}-${fromEnd(6)}`;
}

/**
 * Addresses for containers that are to keep theirs, just below those for load balancers: Docker gives them to nobody
 * else soon. Without IPv4, or in a subnet smaller than a /24, there are none.
 */
export function fixedAddresses(network: Network | undefined, count: number): string[] {
  const subnet = network?.subnets.find((each) => each.subnet.includes("."))?.subnet ?? "";
  const fromEnd = addressesFromEnd(subnet);
  return fromEnd === undefined ? [] : Array.from({ length: count }, (_, index) => fromEnd(57 + index));
}

/** The addresses of an IPv4 subnet, counted from behind its last: 1 is the broadcast's. */
function addressesFromEnd(subnet: string): ((count: number) => string) | undefined {
  const [base = "", length = ""] = subnet.split("/");
  if (!base.includes(".") || Number(length) > 24) return undefined;
  const size = 2 ** (32 - Number(length));
  // Docker keeps a subnet as it was given, with an address from its middle, too.
  const address = base.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const end = Math.floor(address / size) * size + size;
  return (count) => [24, 16, 8, 0].map((shift) => Math.floor((end - count) / 2 ** shift) % 256).join(".");
}
