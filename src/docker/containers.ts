import type Docker from "dockerode";
import * as z from "zod";
import { poll } from "../lib/poll.ts";
import { createTar, type TarFile } from "../lib/tar.ts";
import { formatTimeout } from "../lib/units.ts";
import { type ExecStream, toExecStream } from "./exec-stream.ts";
import { ignoreStatus, isNotFound } from "./expected-status.ts";

/** A container that kind made: a node, or the load balancer in front of several control planes. */
export interface NodeContainer {
  readonly id: string;
  readonly name: string;
  readonly cluster: string;
  /** As kind labels it: control-plane, worker, external-load-balancer. */
  readonly role: string;
}

/** The details of a container that `docker inspect` shows. */
export interface ContainerDetails {
  readonly id: string;
  /** The ID of its image. */
  readonly image: string;
  readonly running: boolean;
  /** Milliseconds since the epoch. */
  readonly created: number;
  readonly mounts: readonly Mount[];
  /** The address that each port, such as `6443/tcp`, is published at: `127.0.0.1:40123`. */
  readonly ports: ReadonlyMap<string, string>;
}

/** A mount of a container. */
export interface Mount {
  readonly type: string;
  /** The path in the container. */
  readonly destination: string;
  /** The path on the daemon's machine. */
  readonly source: string;
  /** The name and driver of a volume. */
  readonly name: string | undefined;
  readonly driver: string | undefined;
}

/** A container that serves nodes on their Docker network, such as a registry. */
export interface ServiceContainer {
  readonly name: string;
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly network: string;
  /** Its IPv4 address in the network; Docker chooses a free one if undefined. */
  readonly address?: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
  /** The container's port to publish on the loopback interface; Docker chooses a free host port if `hostPort` is undefined. */
  readonly publish?: { readonly port: number; readonly hostPort: number | undefined };
  readonly binds: readonly { readonly source: string; readonly target: string }[];
  /** `UID:GID`; the image's user if undefined. */
  readonly user?: string | undefined;
}

/** The labels that kind gives to containers: pkg/cluster/constants and pkg/cluster/internal/providers/docker/constants.go. */
const clusterLabel = "io.x-k8s.kind.cluster";
const roleLabel = "io.x-k8s.kind.role";

/** The containers of a Docker daemon. */
export class Containers {
  readonly #docker: Docker;

  constructor(docker: Docker) {
    this.#docker = docker;
  }

  /** Lists the containers of one kind cluster, or of all clusters, stopped ones too. */
  async listNodes(cluster?: string): Promise<NodeContainer[]> {
    const label = cluster === undefined ? clusterLabel : `${clusterLabel}=${cluster}`;
    const containers = await this.#docker.listContainers({ all: true, filters: { label: [label] } });
    return containers.map((container) => ({
      id: container.Id,
      name: container.Names[0]?.replace(/^\//, "") ?? container.Id,
      cluster: container.Labels[clusterLabel] ?? "",
      role: container.Labels[roleLabel] ?? "",
    }));
  }

  /** Returns the IDs of all containers with a label of this value. */
  async listByLabel(label: string, value: string): Promise<string[]> {
    const filters = { label: [`${label}=${value}`] };
    return (await this.#docker.listContainers({ all: true, filters })).map(({ Id }) => Id);
  }

  /** Removes a container, running or not, with its anonymous volumes. A missing container is no error. */
  async remove(id: string): Promise<void> {
    await ignoreStatus(isNotFound, this.#docker.getContainer(id).remove({ force: true, v: true }));
  }

  /** Returns the details of a container, if it exists: one that is being created is listed a moment earlier. */
  async inspect(id: string): Promise<ContainerDetails | undefined> {
    const response = await ignoreStatus(isNotFound, this.#docker.getContainer(id).inspect());
    if (response === undefined) return undefined;
    const container = containerSchema.parse(response);
    return {
      id: container.Id,
      image: container.Image,
      running: container.State.Running,
      created: Date.parse(container.Created),
      mounts: container.Mounts.map((mount) => ({
        type: mount.Type,
        destination: mount.Destination,
        source: mount.Source,
        name: mount.Name,
        driver: mount.Driver,
      })),
      ports: new Map(
        Object.entries(container.NetworkSettings?.Ports ?? {}).flatMap(
          ([port, published]): [string, string][] =>
            published?.[0] === undefined ? [] : [[port, addressOf(published[0])]],
        ),
      ),
    };
  }

  /** Runs a program in a running container, as `docker exec` does. */
  async exec(id: string, argv: readonly string[]): Promise<ExecStream> {
    const exec = await this.#docker.getContainer(id).exec({
      Cmd: [...argv],
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
    });
    return toExecStream(this.#docker, await exec.start({ hijack: true, stdin: true }));
  }

  /**
   * Runs a program in a new container without capabilities. Docker removes the container and its volume when the program
   * ends, which it has to do at the end of its standard input.
   *
   * @param container.volume the path in the container of an anonymous volume
   * @returns the container's ID, the program, and the name of the volume
   */
  async runHelper(container: {
    image: string;
    argv: readonly string[];
    labels: Record<string, string>;
    binds: readonly { source: string; target: string; readOnly: boolean }[];
    volume: string;
  }): Promise<{ id: string; program: ExecStream; volume: string }> {
    const [entrypoint = "", ...args] = container.argv;
    const created = await this.#docker.createContainer({
      Image: container.image,
      Entrypoint: [entrypoint],
      Cmd: args,
      User: "0:0",
      Labels: container.labels,
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
      Volumes: { [container.volume]: {} },
      HostConfig: {
        AutoRemove: true,
        // A new network namespace would cost 100 ms.
        NetworkMode: "host",
        ReadonlyRootfs: true,
        UsernsMode: "host",
        CapDrop: ["ALL"],
        SecurityOpt: ["no-new-privileges", "label=disable"],
        Mounts: container.binds.map(({ source, target, readOnly }) => ({
          Type: "bind",
          Source: source,
          Target: target,
          ReadOnly: readOnly,
        })),
      },
    });
    try {
      const stream = await created.attach({
        stream: true,
        hijack: true,
        stdin: true,
        stdout: true,
        stderr: true,
      });
      await created.start();
      const volume = (await this.inspect(created.id))?.mounts.find(
        ({ destination }) => destination === container.volume,
      )?.name;
      if (volume === undefined)
        throw new Error(`Container ${created.id} has no volume at ${container.volume}.`);
      return { id: created.id, program: toExecStream(this.#docker, stream), volume };
    } catch (error) {
      await this.remove(created.id);
      throw error;
    }
  }

  /**
   * Creates and starts a container that serves nodes, without capabilities.
   *
   * @returns its ID
   * @throws the daemon's error, for instance when the name, address or port is in use; the container is removed then
   */
  async startService(service: ServiceContainer): Promise<string> {
    const port = `${service.publish?.port}/tcp`;
    const container = await this.#docker.createContainer({
      name: service.name,
      Image: service.image,
      Labels: { ...service.labels },
      Env: Object.entries(service.environment).map(([name, value]) => `${name}=${value}`),
      ...(service.user !== undefined && { User: service.user }),
      ...(service.publish !== undefined && { ExposedPorts: { [port]: {} } }),
      HostConfig: {
        NetworkMode: service.network,
        CapDrop: ["ALL"],
        SecurityOpt: ["no-new-privileges", "label=disable"],
        Mounts: service.binds.map(({ source, target }) => ({ Type: "bind", Source: source, Target: target })),
        ...(service.publish !== undefined && {
          PortBindings: {
            [port]: [{ HostIp: "127.0.0.1", HostPort: String(service.publish.hostPort ?? "") }],
          },
        }),
      },
      ...(service.address !== undefined && {
        NetworkingConfig: {
          EndpointsConfig: { [service.network]: { IPAMConfig: { IPv4Address: service.address } } },
        },
      }),
    });
    try {
      await container.start();
      return container.id;
    } catch (error) {
      await this.remove(container.id);
      throw error;
    }
  }

  /** Returns the output of a container so far, of both streams. */
  async logs(id: string): Promise<string> {
    const multiplexed = await this.#docker.getContainer(id).logs({ stdout: true, stderr: true });
    return demultiplex(multiplexed);
  }

  /** Writes files into a container. @param files the files by absolute path; missing folders are created */
  async writeFiles(id: string, files: Readonly<Record<string, TarFile>>): Promise<void> {
    await this.#docker.getContainer(id).putArchive(createTar(files), { path: "/" });
  }

  /**
   * Waits until Docker has removed a container that was started to be removed when it ends. Docker has a request for this, but
   * Docker 20.10 never responds to it if it removes the container at the same moment.
   *
   * @throws Error when the container still exists after the timeout
   */
  async waitUntilRemoved(id: string, timeoutMs: number): Promise<void> {
    const isRemoved = async () => ((await this.inspect(id)) === undefined ? true : undefined);
    if ((await poll(isRemoved, { intervalMs: 20, timeoutMs })) === undefined)
      throw new Error(`Docker did not remove container ${id} within ${formatTimeout(timeoutMs)}.`);
  }
}

const containerSchema = z.looseObject({
  Id: z.string(),
  Image: z.string(),
  Created: z.string(),
  State: z.looseObject({ Running: z.boolean() }),
  Mounts: z.array(
    z.looseObject({
      Type: z.string(),
      Destination: z.string(),
      Source: z.string(),
      Name: z.string().optional(),
      Driver: z.string().optional(),
    }),
  ),
  NetworkSettings: z
    .looseObject({
      Ports: z.record(
        z.string(),
        z.array(z.looseObject({ HostIp: z.string(), HostPort: z.string() })).nullable(),
      ),
    })
    .optional(),
});

/** The size of a frame's header, in bytes; its last four are the length of the payload. */
const headerSize = 8;

/** Returns the text of both output streams of a container without a terminal, which Docker sends in frames. */
function demultiplex(multiplexed: Buffer): string {
  const payloads: Buffer[] = [];
  for (let offset = 0; offset + headerSize <= multiplexed.length; ) {
    const start = offset + headerSize;
    const end = start + multiplexed.readUInt32BE(offset + 4);
    payloads.push(multiplexed.subarray(start, end));
    offset = end;
  }
  return Buffer.concat(payloads).toString();
}

/** Returns the address at which this machine reaches a published port; loopback for a port on all interfaces. */
function addressOf({ HostIp: ip, HostPort: port }: { HostIp: string; HostPort: string }): string {
  const host =
    { "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]" }[ip] ?? (ip.includes(":") ? `[${ip}]` : ip);
  return `${host}:${port}`;
}
