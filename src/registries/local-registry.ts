import type { Engine } from "../docker/engine.ts";
import { errorMessage } from "../lib/errors.ts";
import type { RegistryHosts } from "./hosts-toml.ts";
import { registryEnvironment, startRegistry } from "./registry-container.ts";

/** A registry for the images that a job builds. */
export interface LocalRegistryPlan {
  /** The name of its container, which nodes and pods use as a host name. */
  readonly name: string;
  /** The port on which it listens, and which is published on the loopback address of this machine. */
  readonly port: number;
  readonly enableDelete: boolean;
}

export interface LocalRegistry {
  /** Its address on the runner, and the registry in image names: `localhost:5000`. */
  readonly address: string;
  /** Its address for containers and pods: `kind-registry:5000`. */
  readonly inside: string;
}

const startTimeoutMs = 60_000;

/** The errors of Docker when a container or another program of the machine uses a port. */
const portTaken = /port is already allocated|address already in use/i;

/**
 * Starts the registry on the Docker network of the cluster. If its port on this machine is in use, Docker assigns another.
 *
 * @param options.labels the labels of its container
 * @param options.address its IP address on the network, if it gets a fixed one
 * @throws Error when a container has its name already, or it does not start
 */
export async function startLocalRegistry(
  engine: Engine,
  { name, port, enableDelete }: LocalRegistryPlan,
  options: {
    image: string;
    network: string;
    address: string | undefined;
    labels: Readonly<Record<string, string>>;
  },
): Promise<LocalRegistry & { portTaken: boolean }> {
  const start = (hostPort: number | undefined) =>
    startRegistry(
      engine,
      {
        name,
        image: options.image,
        labels: options.labels,
        network: options.network,
        address: options.address,
        environment: {
          ...registryEnvironment,
          REGISTRY_HTTP_ADDR: `:${port}`,
          ...(enableDelete && { REGISTRY_STORAGE_DELETE_ENABLED: "true" }),
        },
        publish: { port, hostPort },
        binds: [],
      },
      startTimeoutMs,
    );
  let id: string;
  let isPortTaken = false;
  try {
    id = await start(port).catch((error: unknown) => {
      if (!portTaken.test(errorMessage(error))) throw error;
      isPortTaken = true;
      return start(undefined);
    });
  } catch (error) {
    throw new Error(
      `Could not start the local registry: ${errorMessage(error)}. If another container has its name, set another one with \`registry_name\`.`,
      { cause: error },
    );
  }
  const published = (await engine.containers.inspect(id))?.ports.get(`${port}/tcp`);
  const hostPort = published?.split(":").at(-1) ?? String(port);
  return { address: `localhost:${hostPort}`, inside: `${name}:${port}`, portTaken: isPortTaken };
}

/** Returns the hosts of the registry for hosts.toml, for both of its addresses. */
export const localRegistryHosts = ({ address, inside }: LocalRegistry): RegistryHosts[] =>
  [address, inside].map((name) => ({ name, hosts: [], server: `http://${inside}` }));

/**
 * Returns the ConfigMap that announces the registry to Tilt, Skaffold and other tools:
 * https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry
 */
export const localRegistryHosting = ({ address, inside }: LocalRegistry): { path: string; body: object } => ({
  path: "/api/v1/namespaces/kube-public/configmaps",
  body: {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "local-registry-hosting", namespace: "kube-public" },
    data: {
      "localRegistryHosting.v1": [
        `host: ${JSON.stringify(address)}`,
        `hostFromContainerRuntime: ${JSON.stringify(inside)}`,
        `hostFromClusterNetwork: ${JSON.stringify(inside)}`,
        'help: "https://kind.sigs.k8s.io/docs/user/local-registry/"',
        "",
      ].join("\n"),
    },
  },
});
