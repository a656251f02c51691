import type { Network } from "./networks.ts";

/**
 * Returns fifty addresses near the top of a subnet for load balancers: Docker assigns addresses from the bottom. In a /16
 * such as 172.18.0.0/16 these are 172.18.255.200 to .250. Empty for a subnet smaller than a /24.
 */
export function loadBalancerRange(subnet: string): string {
  const fromEnd = addressesFromEnd(subnet);
  return fromEnd === undefined ? "" : `${fromEnd(56)}-${fromEnd(6)}`;
}

/**
 * Returns addresses for containers that need fixed ones, just below those for load balancers: Docker assigns these last.
 * Empty without an IPv4 subnet, or in one smaller than a /24.
 */
export function fixedAddresses(network: Network | undefined, count: number): string[] {
  const subnet = network?.subnets.find((each) => each.subnet.includes("."))?.subnet ?? "";
  const fromEnd = addressesFromEnd(subnet);
  return fromEnd === undefined ? [] : Array.from({ length: count }, (_, index) => fromEnd(57 + index));
}

/** Returns a function that counts the addresses of an IPv4 subnet from its end: 1 is the broadcast address. */
function addressesFromEnd(subnet: string): ((position: number) => string) | undefined {
  const [base = "", length = ""] = subnet.split("/");
  if (!base.includes(".") || Number(length) > 24) return undefined;
  const size = 2 ** (32 - Number(length));
  // Docker stores a subnet as it was written, which may be an address from its middle.
  const address = base.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const end = Math.floor(address / size) * size + size;
  return (position) =>
    [24, 16, 8, 0].map((shift) => Math.floor((end - position) / 2 ** shift) % 256).join(".");
}
