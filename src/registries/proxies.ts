import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Engine } from "../docker/engine.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Credentials } from "../oci/registry-client.ts";
import type { RegistryHosts } from "./hosts-toml.ts";
import { registryEnvironment, startRegistry } from "./registry-container.ts";
import type { CredentialsPlan } from "./resolve-credentials.ts";
import type { Upstream } from "./upstreams.ts";

/** The pull-through caches of a cluster. */
export interface ProxiesPlan {
  readonly upstreams: readonly Upstream[];
  readonly logins: CredentialsPlan;
  /** The folders of their storage; undefined if the Docker daemon cannot mount folders of this machine. */
  readonly folders:
    | {
        /** For public images. All clusters of the job share it, so each blob is pulled once. */
        readonly shared: string;
        /** For proxies with credentials, whose images may be private. Only this run uses it. */
        readonly own: string;
      }
    | undefined;
}

/** A running pull-through cache. */
export interface RegistryProxy {
  readonly upstream: Upstream;
  /** The ID of its container. */
  readonly container: string;
  /** Its URL for nodes: `http://NAME:5000`. */
  readonly url: string;
  /** Whether it has credentials for its upstream, and so may have private images. */
  readonly hasLogin: boolean;
}

const port = 5000;

/** The storage folder in the image of distribution: https://distribution.github.io/distribution/about/configuration/ */
const storage = "/var/lib/registry";

/** The milliseconds until a proxy must listen. It sends a request to its upstream first. */
const startTimeoutMs = 20_000;

/** Creates the shared folder of the proxies. @returns whether this call created it; then this run must remove it */
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

/** Returns the storage folders for public images, by the upstream's name; empty if proxies have no folders. */
export const sharedFolders = ({ folders, upstreams }: ProxiesPlan): Map<string, string> =>
  new Map(
    folders === undefined ? [] : upstreams.map(({ name }) => [name, join(folders.shared, safeName(name))]),
  );

/** Returns the name of a registry in a form that files and containers can have. */
export const safeName = (name: string) => name.replace(":", "-");

/**
 * Starts a proxy for each upstream on the Docker network of the cluster, all at the same time.
 *
 * @param options.addresses their IP addresses on the network, as far as they get fixed ones
 * @returns the running proxies, and the reasons why others could not be started
 */
export async function startProxies(
  engine: Engine,
  plan: ProxiesPlan,
  options: {
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
      const name = `${options.cluster}-proxy-${safeName(upstream.name)}`;
      const login = options.logins.get(upstream.name);
      const source =
        login === undefined
          ? shared.get(upstream.name)
          : plan.folders && join(plan.folders.own, safeName(upstream.name));
      if (source !== undefined) await mkdir(source, { recursive: true });
      try {
        const container = await startRegistry(
          engine,
          {
            name,
            image: options.image,
            labels: options.labels,
            network: options.network,
            address: options.addresses[index],
            environment: {
              ...registryEnvironment,
              REGISTRY_HTTP_ADDR: `:${port}`,
              REGISTRY_PROXY_REMOTEURL: upstream.mirror ?? upstream.url,
              // Otherwise the proxy would remove restored blobs by their age.
              REGISTRY_PROXY_TTL: "0",
              ...(login && {
                // distribution parses the values of its variables as YAML.
                REGISTRY_PROXY_USERNAME: JSON.stringify(login.user),
                REGISTRY_PROXY_PASSWORD: JSON.stringify(login.password),
              }),
            },
            binds: source === undefined ? [] : [{ source, target: storage }],
            // The files must belong to this user, who saves them into the cache.
            user: source === undefined ? undefined : `${process.getuid?.()}:${process.getgid?.()}`,
          },
          startTimeoutMs,
        );
        proxies.push({ upstream, container, url: `http://${name}:${port}`, hasLogin: login !== undefined });
      } catch (error) {
        failed.push({ upstream, reason: errorMessage(error) });
      }
    }),
  );
  return { proxies, failed };
}

/** Returns the hosts of proxies for hosts.toml. If a proxy fails, containerd pulls from the mirror or the upstream. */
export const proxyHosts = (proxies: readonly RegistryProxy[]): RegistryHosts[] =>
  proxies.map(({ upstream: { name, url, mirror }, url: proxy }) => ({
    name,
    hosts: [proxy, ...(mirror === undefined ? [] : [mirror])],
    server: url,
  }));
