import { fixedAddresses } from "../cluster/docker-network.ts";
import type { Engine } from "../docker/engine.ts";
import type { Log } from "../lib/log.ts";
import type { Credentials } from "../oci/registry-client.ts";
import type { RegistriesPlan } from "../plan/registries.ts";
import type { RegistryHosts } from "./hosts-toml.ts";
import { type LocalRegistry, localRegistryHosts, startLocalRegistry } from "./local-registry.ts";
import { proxyHosts, type RegistryProxy, startProxies } from "./proxies.ts";

/** The registries that run beside a cluster. */
export interface Registries {
  readonly local: LocalRegistry | undefined;
  readonly proxies: readonly RegistryProxy[];
  /** How nodes find them. */
  readonly hosts: readonly RegistryHosts[];
}

export const noRegistries: Registries = { local: undefined, proxies: [], hosts: [] };

/**
 * Starts a cluster's registries, all at once. What is only to make pulls faster warns where it fails.
 *
 * @throws when the local registry cannot be started
 */
export async function startRegistries(
  engine: Engine,
  plan: RegistriesPlan,
  on: {
    readonly cluster: string;
    readonly network: string;
    readonly labels: Readonly<Record<string, string>>;
    /** Credentials of upstreams, by their names. */
    readonly logins: ReadonlyMap<string, Credentials> | undefined;
  },
  log: Log,
): Promise<Registries> {
  const count = 1 + (plan.proxies?.upstreams.length ?? 0);
  const [address, ...addresses] = fixedAddresses(await engine.networks.inspect(on.network), count);
  const [local, { proxies, failed }] = await Promise.all([
    plan.local && startLocalRegistry(engine, plan.local, { ...on, image: plan.image, address }),
    plan.proxies === undefined
      ? { proxies: [], failed: [] }
      : startProxies(engine, plan.proxies, {
          ...on,
          image: plan.image,
          addresses,
          logins: on.logins ?? new Map(),
        }),
  ]);
  if (local !== undefined) {
    log.line(`${local.address} on this machine and in every node, ${local.inside} for pods`);
    if (local.portTaken)
      log.warning(
        `Port ${plan.local?.port} of this machine is taken, so that the local registry is at ${local.address}: use the output LOCAL_REGISTRY, or give it a free port with \`registry_port\`.`,
      );
  }
  for (const { upstream, url } of proxies) log.line(`${upstream.name} through ${url}`);
  if (failed.length > 0) {
    const reasons = failed.map(({ upstream, reason }) => `${upstream.name} (${reason})`);
    log.warning(`Nodes pull without a proxy from ${reasons.join(", ")}.`);
  }
  return { local, proxies, hosts: [...(local ? localRegistryHosts(local) : []), ...proxyHosts(proxies)] };
}
