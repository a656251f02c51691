import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Engine } from "../docker/engine.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Credentials } from "../oci/registry-client.ts";
import type { RegistryHosts } from "./hosts-toml.ts";
import { registryEnvironment, startRegistry } from "./registry-container.ts";
import type { CredentialsPlan } from "./resolve-credentials.ts";
import type { Upstream } from "./upstreams.ts";

/** Registries that keep what nodes pull through them. */
export interface ProxiesPlan {
  readonly upstreams: readonly Upstream[];
  readonly logins: CredentialsPlan;
  /** Where they keep what nodes pull; undefined where the daemon does not see this machine's folders. */
  readonly folders:
    | {
        /** Of the job: a later cluster pulls nothing that an earlier one has. */
        readonly shared: string;
        /** Of this run: for what not everybody may see. */
        readonly own: string;
      }
    | undefined;
}

/** A registry that runs, and what it is for. */
export interface RegistryProxy {
  readonly upstream: Upstream;
  /** Its container's ID. */
  readonly container: string;
  /** Where nodes find it: `http://NAME:5000`. */
  readonly url: string;
  /** Whether it may hold what not everybody may see. */
  readonly hasLogin: boolean;
}

const port = 5000;

/** distribution's only storage in its image: https://distribution.github.io/distribution/about/configuration/ */
const storage = "/var/lib/registry";

/** How long a proxy may take until it serves, in milliseconds: it asks its upstream something first. */
const startDeadline = 20_000;

/** Makes the folder for what proxies keep. @returns whether it was made now, and is this run's to remove */
export async function createProxiesFolder(folder: string): Promise<boolean> {
  await mkdir(dirname(folder), { recursive: true });
  try {
    await mkdir(folder);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

/** Where proxies keep what everybody may see, by the upstream's name, where they can have folders. */
export const sharedFolders = ({ folders, upstreams }: ProxiesPlan): Map<string, string> =>
  new Map(
    folders === undefined ? [] : upstreams.map(({ name }) => [name, join(folders.shared, safeName(name))]),
  );

/** The name of a registry as that of a file, or of a container. */
export const safeName = (name: string) => name.replace(":", "-");

/**
 * Starts a proxy for each upstream, all at once, on the cluster's network.
 *
 * @param on.addresses that they get there, as far as there are some
 * @returns those that run, and why others do not
 */
export async function startProxies(
  engine: Engine,
  plan: ProxiesPlan,
  on: {
    readonly image: string;
    readonly cluster: string;
    readonly network: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly addresses: readonly string[];
    /** Credentials, by the upstream's name. */
    readonly logins: ReadonlyMap<string, Credentials>;
  },
): Promise<{ proxies: RegistryProxy[]; failed: { upstream: Upstream; reason: string }[] }> {
  const proxies: RegistryProxy[] = [];
  const failed: { upstream: Upstream; reason: string }[] = [];
  const shared = sharedFolders(plan);
  await Promise.all(
    plan.upstreams.map(async (upstream, index) => {
      const name = `${on.cluster}-proxy-${safeName(upstream.name)}`;
      const login = on.logins.get(upstream.name);
      const own = plan.folders && join(plan.folders.own, safeName(upstream.name));
      const source = login === undefined ? shared.get(upstream.name) : own;
      if (source !== undefined) await mkdir(source, { recursive: true });
      try {
        const container = await startRegistry(
          engine,
          {
            name,
            image: on.image,
            labels: on.labels,
            network: on.network,
            address: on.addresses[index],
            environment: {
              ...registryEnvironment,
              REGISTRY_HTTP_ADDR: `:${port}`,
              REGISTRY_PROXY_REMOTEURL: upstream.mirror ?? upstream.url,
              // What comes back from a cache would expire by its age.
              REGISTRY_PROXY_TTL: "0",
              ...(login && {
                // distribution reads its variables as YAML.
                REGISTRY_PROXY_USERNAME: JSON.stringify(login.user),
                REGISTRY_PROXY_PASSWORD: JSON.stringify(login.password),
              }),
            },
            binds: source === undefined ? [] : [{ source, target: storage }],
            // Its files are this user's to save.
            user: source === undefined ? undefined : `${process.getuid?.()}:${process.getgid?.()}`,
          },
          startDeadline,
        );
        proxies.push({ upstream, container, url: `http://${name}:${port}`, hasLogin: login !== undefined });
      } catch (error) {
        failed.push({ upstream, reason: errorMessage(error) });
      }
    }),
  );
  return { proxies, failed };
}

/** How nodes pull through proxies: what these do not have or do not answer, they get from the upstream itself. */
export const proxyHosts = (proxies: readonly RegistryProxy[]): RegistryHosts[] =>
  proxies.map(({ upstream: { name, url, mirror }, url: proxy }) => ({
    name,
    hosts: [proxy, ...(mirror === undefined ? [] : [mirror])],
    server: url,
  }));
