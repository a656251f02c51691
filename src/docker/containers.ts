import type Docker from "dockerode";
import * as z from "zod";
import { createTar, type TarFile } from "../lib/tar.ts";
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

/** A container as it was made. */
export interface ContainerDetails {
  readonly id: string;
  /** The ID of its image. */
  readonly image: string;
  readonly running: boolean;
  /** Milliseconds since the epoch. */
  readonly created: number;
  readonly mounts: readonly Mount[];
  /** Where a port of it, such as `6443/tcp`, is published: `127.0.0.1:40123`. */
  readonly ports: ReadonlyMap<string, string>;
}

export interface Mount {
  readonly type: string;
  /** Where it is in the container. */
  readonly destination: string;
  /** Where it is on the daemon's machine. */
  readonly source: string;
  /** A volume's name and driver. */
  readonly name: string | undefined;
  readonly driver: string | undefined;
}

/** A container that serves others, on a network of theirs. */
export interface ServiceContainer {
  readonly name: string;
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly network: string;
  /** Its IPv4 address there; any that is free where there is none. */
  readonly address?: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
  /** A port of its own, on this machine's loopback; without a `hostPort`, on any that is free. */
  readonly publish?: { readonly port: number; readonly hostPort: number | undefined };
  readonly binds: readonly { readonly source: string; readonly target: string }[];
  /** `UID:GID`; default, the image's. */
  readonly user?: string | undefined;
}

/** kind's labels on what it makes: pkg/cluster/constants and pkg/cluster/internal/providers/docker/constants.go. */
const clusterLabel = "io.x-k8s.kind.cluster";
const roleLabel = "io.x-k8s.kind.role";

/** The containers of a Docker daemon. */
export class Containers {
  readonly #docker: Docker;

  constructor(docker: Docker) {
    this.#docker = docker;
  }

  /** The containers of one kind cluster, or of all, stopped ones too. */
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

  /** The IDs of all containers with a label of a value. */
  async listByLabel(label: string, value: string): Promise<string[]> {
    const filters = { label: [`${label}=${value}`] };
    return (await this.#docker.listContainers({ all: true, filters })).map(({ Id }) => Id);
  }

  /** Removes a container, running or not, with its anonymous volumes. One that is gone already is no error. */
  async remove(id: string): Promise<void> {
    await ignoreStatus(isNotFound, this.#docker.getContainer(id).remove({ force: true, v: true }));
  }

  /** A container as it was made, if it is there. One that is being made may be listed a moment before. */
  async inspect(id: string): Promise<ContainerDetails | undefined> {
    const found = await ignoreStatus(isNotFound, this.#docker.getContainer(id).inspect());
    if (found === undefined) return undefined;
    const container = containerFacts.parse(found);
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

  /** Runs a program in a container that runs. */
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
   * Runs a program in a container of its own, without rights beyond its user's. The container and its volume are gone
   * when the program ends, which it has to when its input does.
   *
   * @param binds daemon's path to path in the container; `true` makes it read-only
   * @param volume where the container has a volume of its own
   */
  async runHelper(container: {
    image: string;
    argv: readonly string[];
    labels: Record<string, string>;
    binds: readonly { source: string; target: string; readOnly: boolean }[];
    volume: string;
  }): Promise<{ id: string; program: ExecStream; volume: string }> {
    const [entrypoint = "", ...args] = container.argv;
    const made = await this.#docker.createContainer({
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
        // A network namespace of its own would cost 100 ms.
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
      const stream = await made.attach({
        stream: true,
        hijack: true,
        stdin: true,
        stdout: true,
        stderr: true,
      });
      await made.start();
      const volume = (await this.inspect(made.id))?.mounts.find(
        ({ destination }) => destination === container.volume,
      )?.name;
      if (volume === undefined) throw new Error(`The container ${made.id} has no volume of its own.`);
      return { id: made.id, program: toExecStream(this.#docker, stream), volume };
    } catch (error) {
      await this.remove(made.id);
      throw error;
    }
  }

  /**
   * Starts a container that serves others, without rights beyond its user's.
   *
   * @returns its ID
   * @throws the daemon's own error, a taken name, address or port included: then there is none
   */
  async startService(server: ServiceContainer): Promise<string> {
    const port = `${server.publish?.port}/tcp`;
    const container = await this.#docker.createContainer({
      name: server.name,
      Image: server.image,
      Labels: { ...server.labels },
      Env: Object.entries(server.environment).map(([name, value]) => `${name}=${value}`),
      ...(server.user !== undefined && { User: server.user }),
      ...(server.publish !== undefined && { ExposedPorts: { [port]: {} } }),
      HostConfig: {
        NetworkMode: server.network,
        CapDrop: ["ALL"],
        SecurityOpt: ["no-new-privileges", "label=disable"],
        Mounts: server.binds.map(({ source, target }) => ({ Type: "bind", Source: source, Target: target })),
        ...(server.publish !== undefined && {
          PortBindings: {
            [port]: [{ HostIp: "127.0.0.1", HostPort: String(server.publish.hostPort ?? "") }],
          },
        }),
      },
      ...(server.address !== undefined && {
        NetworkingConfig: {
          EndpointsConfig: { [server.network]: { IPAMConfig: { IPv4Address: server.address } } },
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

  /** What a container has printed so far. */
  async logs(id: string): Promise<string> {
    const multiplexed = await this.#docker.getContainer(id).logs({ stdout: true, stderr: true });
    return textOf(multiplexed);
  }

  /** Writes files into a container. @param files by their absolute paths, whose folders are made */
  async writeFiles(id: string, files: Readonly<Record<string, TarFile>>): Promise<void> {
    await this.#docker.getContainer(id).putArchive(createTar(files), { path: "/" });
  }

  /** Waits until a container that removes itself is gone. */
  async waitUntilRemoved(id: string): Promise<void> {
    await ignoreStatus(isNotFound, this.#docker.getContainer(id).wait({ condition: "removed" }));
  }
}

const containerFacts = z.looseObject({
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

/** The text of both streams of a container without a terminal: each piece has a header of eight bytes, its length last. */
function textOf(multiplexed: Buffer): string {
  const pieces: Buffer[] = [];
  for (let offset = 0; offset + 8 <= multiplexed.length; ) {
    const length = multiplexed.readUInt32BE(offset + 4);
    pieces.push(multiplexed.subarray(offset + 8, offset + 8 + length));
    offset += 8 + length;
  }
  return Buffer.concat(pieces).toString();
}

/** Where this machine reaches a published port. One that is open everywhere is open here. */
function addressOf({ HostIp: ip, HostPort: port }: { HostIp: string; HostPort: string }): string {
  const host =
    { "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]" }[ip] ?? (ip.includes(":") ? `[${ip}]` : ip);
  return `${host}:${port}`;
}
