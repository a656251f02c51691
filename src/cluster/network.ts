import type { Engine, Network } from "../docker/engine.ts";
import { runLabel } from "./claim.ts";

/**
 * The IPv6 subnet that kind gives its network `kind`: pkg/cluster/internal/providers/docker/network.go,
 * generateULASubnetFromName. Other names get one of kind's choosing.
 */
const kindSubnets: Readonly<Record<string, string>> = { kind: "fc00:f853:ccd:e793::/64" };

/**
 * Makes the network that kind's nodes are on, as kind would, but labelled as ours: so that whoever leaves last can
 * remove it. A network that is there is left as it is; where it cannot be made so, kind makes it.
 *
 * @returns whether it was made
 */
export async function makeNetwork(engine: Engine, name: string, run: string): Promise<boolean> {
  if ((await engine.network(name)) !== undefined) return false;
  const ipv6Subnet = kindSubnets[name];
  const network = {
    name,
    labels: { [runLabel]: run },
    options: { "com.docker.network.bridge.enable_ip_masquerade": "true", ...(await defaultMtu(engine)) },
  };
  const attempts = [...(ipv6Subnet === undefined ? [] : [{ ...network, ipv6Subnet }]), network];
  for (const attempt of attempts) {
    try {
      await engine.createNetwork(attempt);
      return true;
    } catch {
      // No IPv6 on this machine, a subnet that is taken, or another job that was faster.
      if ((await engine.network(name)) !== undefined) return false;
    }
  }
  return false;
}

/** Removes the network if this action made it, in this run or another, and nothing uses it any more. */
export async function removeNetwork(engine: Engine, name: string): Promise<void> {
  const network = await engine.network(name);
  if (network?.labels[runLabel] !== undefined && network.containers.size === 0)
    await engine.removeNetwork(network.id);
}

/** kind takes over the MTU of Docker's default network, which people set where a tunnel leaves less room. */
async function defaultMtu(engine: Engine): Promise<Record<string, string>> {
  const mtu = (await engine.network("bridge"))?.options["com.docker.network.driver.mtu"];
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
  const [base = "", length = ""] = subnet.split("/");
  if (!base.includes(".") || Number(length) > 24) return "";
  const size = 2 ** (32 - Number(length));
  // Docker keeps a subnet as it was given, with an address from its middle, too.
  const address = base.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const end = Math.floor(address / size) * size + size;
  const text = (number: number) =>
    [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join(".");
  return `${text(end - 56)}-${text(end - 6)}`;
}
