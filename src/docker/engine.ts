import { readFileSync } from "node:fs";
import { join } from "node:path";
import Docker from "dockerode";
import { z } from "zod";
import type { Endpoint } from "./endpoint.ts";

/** What the daemon says of itself. */
export interface DaemonInfo {
  readonly version: string;
  readonly apiVersion: string;
  readonly cgroupVersion: 1 | 2;
  /** The daemon's own folder for images and volumes: on this machine's disks only if the daemon is local. */
  readonly rootDirectory: string;
  readonly local: boolean;
}

/** A container that kind made: a node, or the load balancer in front of several control planes. */
export interface NodeContainer {
  readonly id: string;
  readonly name: string;
  readonly cluster: string;
  /** As kind labels it: control-plane, worker, external-load-balancer. */
  readonly role: string;
}

export interface Network {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly subnets: readonly { readonly subnet: string; readonly gateway?: string }[];
  /** Container id to the addresses it has there. */
  readonly containers: ReadonlyMap<
    string,
    { readonly name: string; readonly ipv4?: string; readonly ipv6?: string }
  >;
}

/** kind's labels on what it makes: pkg/cluster/constants and pkg/cluster/internal/providers/docker/constants.go. */
const clusterLabel = "io.x-k8s.kind.cluster";
const roleLabel = "io.x-k8s.kind.role";

/** Talks to the Docker Engine API. The only user of dockerode: its types stay in here. */
export class Engine {
  readonly #docker: Docker;
  readonly #local: boolean;

  constructor(endpoint: Endpoint) {
    this.#local = endpoint.DOCKER_HOST?.startsWith("unix://") ?? true;
    this.#docker = withoutOwnVariables(() => connect(endpoint));
  }

  /** @throws when the daemon does not answer */
  async info(): Promise<DaemonInfo> {
    const [info, version] = await Promise.all([this.#docker.info(), this.#docker.version()]);
    const facts = daemonFacts.parse(info);
    return {
      version: version.Version,
      apiVersion: version.ApiVersion,
      cgroupVersion: facts.CgroupVersion === "2" ? 2 : 1,
      rootDirectory: facts.DockerRootDir,
      local: this.#local,
    };
  }

  /** The containers of one kind cluster, or of all, stopped ones too. */
  async nodes(cluster?: string): Promise<NodeContainer[]> {
    const label = cluster === undefined ? clusterLabel : `${clusterLabel}=${cluster}`;
    const containers = await this.#docker.listContainers({ all: true, filters: { label: [label] } });
    return containers.map((container) => ({
      id: container.Id,
      name: container.Names[0]?.replace(/^\//, "") ?? container.Id,
      cluster: container.Labels[clusterLabel] ?? "",
      role: container.Labels[roleLabel] ?? "",
    }));
  }

  /** Removes a container, running or not, with its anonymous volumes. One that is gone already is no error. */
  async removeContainer(id: string): Promise<void> {
    await unless(gone, this.#docker.getContainer(id).remove({ force: true, v: true }));
  }

  /** The ID (`sha256:…` of the config) of an image that the daemon has. */
  async imageId(reference: string): Promise<string | undefined> {
    const image = await unless(gone, this.#docker.getImage(reference).inspect());
    return image?.Id;
  }

  async network(name: string): Promise<Network | undefined> {
    const found = await unless(gone, this.#docker.getNetwork(name).inspect());
    if (found === undefined) return undefined;
    const network = networkFacts.parse(found);
    return {
      id: network.Id,
      name: network.Name,
      labels: network.Labels ?? {},
      options: network.Options ?? {},
      subnets: (network.IPAM.Config ?? []).map(({ Subnet: subnet, Gateway: gateway }) => ({
        subnet,
        ...(gateway ? { gateway } : {}),
      })),
      containers: new Map(
        Object.entries(network.Containers ?? {}).map(([id, { Name: name, IPv4Address, IPv6Address }]) => [
          id,
          {
            name,
            ...(IPv4Address ? { ipv4: IPv4Address.replace(/\/.*/, "") } : {}),
            ...(IPv6Address ? { ipv6: IPv6Address.replace(/\/.*/, "") } : {}),
          },
        ]),
      ),
    };
  }

  /** Makes a bridge network. @throws the daemon's own error, a taken name included */
  async createNetwork(network: {
    name: string;
    labels: Record<string, string>;
    options: Record<string, string>;
    ipv6Subnet?: string;
  }): Promise<void> {
    await this.#docker.createNetwork({
      Name: network.name,
      // Daemons before 25 (API 1.44) make a second network of the same name unless told not to.
      CheckDuplicate: true,
      Driver: "bridge",
      Labels: network.labels,
      Options: network.options,
      EnableIPv6: network.ipv6Subnet !== undefined,
      ...(network.ipv6Subnet === undefined ? {} : { IPAM: { Config: [{ Subnet: network.ipv6Subnet }] } }),
    });
  }

  /** Removes a network that nothing is attached to. @returns whether it is gone */
  async removeNetwork(name: string): Promise<boolean> {
    const removed = await unless(
      (status) => gone(status) || inUse(status),
      this.#docker
        .getNetwork(name)
        .remove()
        .then(() => true),
    );
    return removed ?? (await this.network(name)) === undefined;
  }

  /** Makes a named volume, or finds the one that has the name: the daemon settles who was first. @returns its labels */
  async claimVolume(name: string, labels: Record<string, string>): Promise<Readonly<Record<string, string>>> {
    await this.#docker.createVolume({ Name: name, Labels: labels });
    const volume = await this.#docker.getVolume(name).inspect();
    return volume.Labels ?? {};
  }

  async removeVolume(name: string): Promise<void> {
    await unless(gone, this.#docker.getVolume(name).remove());
  }

  /** The labels of every volume that carries a label, by name. */
  async volumes(label: string): Promise<ReadonlyMap<string, Readonly<Record<string, string>>>> {
    const { Volumes } = await this.#docker.listVolumes({ filters: { label: [label] } });
    return new Map((Volumes ?? []).map((volume) => [volume.Name, volume.Labels ?? {}]));
  }
}

const daemonFacts = z.looseObject({ CgroupVersion: z.string().optional(), DockerRootDir: z.string() });

const networkFacts = z.looseObject({
  Id: z.string(),
  Name: z.string(),
  Labels: z.record(z.string(), z.string()).nullish(),
  Options: z.record(z.string(), z.string()).nullish(),
  IPAM: z.looseObject({
    Config: z.array(z.looseObject({ Subnet: z.string(), Gateway: z.string().optional() })).nullish(),
  }),
  Containers: z
    .record(
      z.string(),
      z.looseObject({
        Name: z.string(),
        IPv4Address: z.string().optional(),
        IPv6Address: z.string().optional(),
      }),
    )
    .nullish(),
});

/** docker-modem lets DOCKER_* of the environment win over what it is given: a later step may have changed them. */
function withoutOwnVariables<T>(make: () => T): T {
  const names = ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CLIENT_TIMEOUT"];
  const kept = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) delete process.env[name];
  try {
    return make();
  } finally {
    for (const [name, value] of kept) if (value !== undefined) process.env[name] = value;
  }
}

function connect(endpoint: Endpoint): Docker {
  const host = endpoint.DOCKER_HOST ?? "unix:///var/run/docker.sock";
  if (host.startsWith("unix://")) return new Docker({ socketPath: host.slice("unix://".length) });
  const url = new URL(host);
  const certificates = endpoint.DOCKER_TLS_VERIFY ? endpoint.DOCKER_CERT_PATH : undefined;
  const read = (name: string) => readFileSync(join(certificates ?? "", name));
  return new Docker({
    host: url.hostname,
    port: url.port || (certificates === undefined ? 2375 : 2376),
    protocol: certificates === undefined && url.protocol !== "https:" ? "http" : "https",
    ...(certificates === undefined
      ? {}
      : { ca: read("ca.pem"), cert: read("cert.pem"), key: read("key.pem") }),
  });
}

const gone = (status: number) => status === 404;
/** What a daemon answers for a network with endpoints: 403 up to Docker 28, 409 since. */
const inUse = (status: number) => status === 403 || status === 409;

/** The answer, or undefined where the daemon refused with an expected status. */
async function unless<T>(expected: (status: number) => boolean, answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    const status = z.looseObject({ statusCode: z.number() }).safeParse(error);
    if (status.success && expected(status.data.statusCode)) return undefined;
    throw error;
  }
}
