import type { Engine } from "../docker/engine.ts";
import { errorMessage } from "../lib/errors.ts";
import type { RegistryHosts } from "./hosts-toml.ts";
import { registryEnvironment, startRegistry } from "./registry-container.ts";

/** A registry for the images that a job builds. */
export interface LocalRegistryPlan {
  /** Its container's, by which nodes and pods find it. */
  readonly name: string;
  /** On which it listens, and is published on this machine's loopback. */
  readonly port: number;
  readonly enableDelete: boolean;
}

export interface LocalRegistry {
  /** Where the runner pushes to, and what names of images begin with: `localhost:5000`. */
  readonly address: string;
  /** The same registry for containers and pods: `kind-registry:5000`. */
  readonly inside: string;
}

const startDeadline = 60_000;

/** What Docker says of a port that somebody else has: its own containers, or a program of the machine. */
const portTaken = /port is already allocated|address already in use/i;

/**
 * Starts the registry on the cluster's network. Where its port on this machine is taken, it gets another one.
 *
 * @param on.labels of its container
 * @param on.address that it gets on the network, if it can
 * @throws when there is a container of its name already, or it does not start
 */
export async function startLocalRegistry(
  engine: Engine,
  { name, port, enableDelete }: LocalRegistryPlan,
  on: {
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
        image: on.image,
        labels: on.labels,
        network: on.network,
        address: on.address,
        environment: {
          ...registryEnvironment,
          REGISTRY_HTTP_ADDR: `:${port}`,
          ...(enableDelete && { REGISTRY_STORAGE_DELETE_ENABLED: "true" }),
        },
        publish: { port, hostPort },
        binds: [],
      },
      startDeadline,
    );
  let id: string;
  let taken = false;
  try {
    id = await start(port).catch((error: unknown) => {
      if (!portTaken.test(errorMessage(error))) throw error;
      taken = true;
      return start(undefined);
    });
  } catch (error) {
    throw new Error(
      `The local registry cannot be started: ${errorMessage(error)}. If another container has its name, give this one its own with \`registry_name\`.`,
      { cause: error },
    );
  }
  const published = (await engine.containers.inspect(id))?.ports.get(`${port}/tcp`);
  const hostPort = published?.split(":").at(-1) ?? String(port);
  return { address: `localhost:${hostPort}`, inside: `${name}:${port}`, portTaken: taken };
}

/** How nodes find it, under both of its names. */
export const localRegistryHosts = ({ address, inside }: LocalRegistry): RegistryHosts[] =>
  [address, inside].map((name) => ({ name, hosts: [], server: `http://${inside}` }));

/**
 * What tells the cluster's users of it, as Tilt, Skaffold and others read it:
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
