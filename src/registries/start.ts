import type { Engine } from "../docker/engine.ts";
import { fixedAddresses } from "../docker/subnet.ts";
import type { Log } from "../lib/log.ts";
import type { Credentials } from "../oci/registry-client.ts";
import type { RegistryHosts } from "./hosts-toml.ts";
import {
  type LocalRegistry,
  type LocalRegistryPlan,
  localRegistryHosts,
  startLocalRegistry,
} from "./local-registry.ts";
import { type ProxiesPlan, proxyHosts, type RegistryProxy, startProxies } from "./proxies.ts";

/** The registries of a cluster. */
export interface RegistriesPlan {
  /** The image of all registries. */
  readonly image: string;
  readonly local: LocalRegistryPlan | undefined;
  readonly proxies: ProxiesPlan | undefined;
}

/** The running registries of a cluster. */
export interface Registries {
  readonly local: LocalRegistry | undefined;
  readonly proxies: readonly RegistryProxy[];
  /** The hosts for hosts.toml in the nodes. */
  readonly hosts: readonly RegistryHosts[];
}

export const noRegistries: Registries = { local: undefined, proxies: [], hosts: [] };

/**
 * Starts the registries of a cluster on its Docker network, all at the same time. Proxies that cannot be started cause a
 * warning, because nodes can pull without them.
 *
 * @throws Error when the local registry cannot be started
 */
export async function startRegistries(
  engine: Engine,
  plan: RegistriesPlan,
  options: {
    readonly cluster: string;
    readonly network: string;
    readonly labels: Readonly<Record<string, string>>;
    /** The credentials for upstreams, by the upstream's name. */
    readonly logins: ReadonlyMap<string, Credentials> | undefined;
  },
  log: Log,
): Promise<Registries> {
  const count = 1 + (plan.proxies?.upstreams.length ?? 0);
  const [address, ...addresses] = fixedAddresses(await engine.networks.inspect(options.network), count);
  const [local, { proxies, failed }] = await Promise.all([
    plan.local && startLocalRegistry(engine, plan.local, { ...options, image: plan.image, address }),
    plan.proxies === undefined
      ? { proxies: [], failed: [] }
      : startProxies(engine, plan.proxies, {
          ...options,
          image: plan.image,
          addresses,
          logins: options.logins ?? new Map(),
        }),
  ]);
  if (local !== undefined) {
    log.line(`Local registry: ${local.address} on this machine and in the nodes, ${local.inside} in pods`);
    if (local.portTaken)
      log.warning(
        `Port ${plan.local?.port} of this machine is in use, so the local registry listens on ${local.address}. Use the output LOCAL_REGISTRY, or set a free port with \`registry_port\`.`,
      );
  }
  for (const { upstream, url } of proxies) log.line(`Proxy for ${upstream.name}: ${url}`);
  if (failed.length > 0) {
    const reasons = failed.map(({ upstream, reason }) => `${upstream.name} (${reason})`);
    log.warning(
      `Could not start the registry proxies for ${reasons.join(", ")}. Nodes pull from these registries directly.`,
    );
  }
  return { local, proxies, hosts: [...(local ? localRegistryHosts(local) : []), ...proxyHosts(proxies)] };
}
