import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import Docker from "dockerode";
import { Header } from "tar/header";
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

/** What an image is made for, or a node is: os and architecture as Go has them (`linux`, `amd64`). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** `v8` for arm64, `v7` for arm; mostly left out. */
  readonly variant?: string | undefined;
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

/** A program that runs in a container. */
export interface ContainerProgram {
  readonly stdin: NodeJS.WritableStream;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Closes the connection: a program that reads its input finds the end of it. */
  close(): void;
}

/** A container that serves others, on a network of theirs. */
export interface NewServer {
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

  /** The IDs of all containers with a label of a value. */
  async labelled(label: string, value: string): Promise<string[]> {
    const filters = { label: [`${label}=${value}`] };
    return (await this.#docker.listContainers({ all: true, filters })).map(({ Id }) => Id);
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

  /** Gives an image that the daemon has another name, `REPOSITORY:TAG`. */
  async tag(image: string, name: string): Promise<void> {
    const [repo = "", tag = ""] = name.split(/:([^:/]*)$/);
    await this.#docker.getImage(image).tag({ repo, tag });
  }

  /** Takes a name from an image, and the image if that was its last. One without a name goes by its ID. */
  async untag(name: string): Promise<void> {
    await unless(gone, this.#docker.getImage(name).remove());
  }

  /** The IDs of all images with a label of a value. */
  async labelledImages(label: string, value: string): Promise<string[]> {
    const filters = { label: [`${label}=${value}`] };
    return (await this.#docker.listImages({ filters })).map(({ Id }) => Id);
  }

  /** Makes images from an archive of them. @throws what the daemon says is wrong with it */
  async loadImage(archive: Readable): Promise<void> {
    await sendTar(archive, (abortSignal) => this.#docker.loadImage(archive, { quiet: true, abortSignal }));
  }

  /** Makes an image without a name of one layer. @param layer its tar. @returns its ID */
  async importImage(layer: Readable, labels: Readonly<Record<string, string>>): Promise<string> {
    const changes = Object.entries(labels).map(([label, value]) => `LABEL ${label}=${JSON.stringify(value)}`);
    const [id] = await sendTar(layer, (abortSignal) =>
      this.#docker.importImage(layer, { changes, abortSignal }),
    );
    if (id === undefined) throw new Error("The Docker daemon made no image of a layer, and did not say why.");
    return id;
  }

  /** The layers of an image that the daemon has, the lowest first: each the digest of its tar. */
  async imageLayers(reference: string): Promise<readonly string[]> {
    return layerFacts.parse(await this.#docker.getImage(reference).inspect()).RootFS.Layers;
  }

  /** What an image that the daemon has was made for. */
  async imagePlatform(reference: string): Promise<Platform> {
    const image = platformFacts.parse(await this.#docker.getImage(reference).inspect());
    return {
      os: image.Os,
      architecture: image.Architecture,
      ...(image.Variant ? { variant: image.Variant } : {}),
    };
  }

  /**
   * Images as the daemon exports them, one archive with all of them.
   *
   * @param platform the one to export where the daemon can choose (API 1.48, Docker 28)
   */
  async saveImages(
    names: readonly string[],
    platform: Platform | undefined,
    signal: AbortSignal,
  ): Promise<Readable> {
    const query = new URLSearchParams();
    for (const name of names) query.append("names", name);
    if (platform !== undefined) query.set("platform", JSON.stringify(platform));
    return await new Promise((resolve, reject) => {
      this.#docker.modem.dial(
        {
          // docker-modem cuts off the last letter of a query that it did not write.
          path: `/images/get?${query}&`,
          method: "GET",
          abortSignal: signal,
          isStream: true,
          statusCodes: { 200: true, 400: "bad request", 404: "no such image", 500: "server error" },
        },
        (error: unknown, stream: unknown) => {
          if (stream instanceof Readable) resolve(stream);
          else reject(error);
        },
      );
    });
  }

  /** A container as it was made, if it is there. One that is being made may be listed a moment before. */
  async container(id: string): Promise<ContainerDetails | undefined> {
    const found = await unless(gone, this.#docker.getContainer(id).inspect());
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

  /** A file of an image that the daemon has, from a container that is never started. @throws when it is not in there */
  async imageFile(reference: string, path: string, labels: Record<string, string>): Promise<Buffer> {
    const container = await this.#docker.createContainer({
      Image: reference,
      Entrypoint: [path],
      Labels: labels,
    });
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of await container.getArchive({ path })) chunks.push(Buffer.from(chunk));
      return onlyFile(Buffer.concat(chunks));
    } finally {
      await this.removeContainer(container.id);
    }
  }

  /** Runs a program in a container that runs. */
  async exec(id: string, argv: readonly string[]): Promise<ContainerProgram> {
    const exec = await this.#docker.getContainer(id).exec({
      Cmd: [...argv],
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
    });
    return this.#program(await exec.start({ hijack: true, stdin: true }));
  }

  /**
   * Runs a program in a container of its own, without rights beyond its user's. The container and its volume are gone
   * when the program ends, which it has to when its input does.
   *
   * @param binds daemon's path to path in the container; `true` makes it read-only
   * @param volume where the container has a volume of its own
   */
  async runAlone(container: {
    image: string;
    argv: readonly string[];
    labels: Record<string, string>;
    binds: readonly { source: string; target: string; readOnly: boolean }[];
    volume: string;
  }): Promise<{ id: string; program: ContainerProgram; volume: string }> {
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
      const volume = (await this.container(made.id))?.mounts.find(
        ({ destination }) => destination === container.volume,
      )?.name;
      if (volume === undefined) throw new Error(`The container ${made.id} has no volume of its own.`);
      return { id: made.id, program: this.#program(stream), volume };
    } catch (error) {
      await this.removeContainer(made.id);
      throw error;
    }
  }

  /**
   * Starts a container that serves others, without rights beyond its user's.
   *
   * @returns its ID
   * @throws the daemon's own error, a taken name, address or port included: then there is none
   */
  async startServer(server: NewServer): Promise<string> {
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
      await this.removeContainer(container.id);
      throw error;
    }
  }

  /** What a container has printed so far. */
  async logs(id: string): Promise<string> {
    const multiplexed = await this.#docker.getContainer(id).logs({ stdout: true, stderr: true });
    return textOf(multiplexed);
  }

  /** Writes files into a container. @param files texts by their absolute paths, whose folders are made */
  async writeFiles(id: string, files: Readonly<Record<string, string>>): Promise<void> {
    await this.#docker.getContainer(id).putArchive(archiveOf(files), { path: "/" });
  }

  /** Waits until a container that removes itself is gone. */
  async removed(id: string): Promise<void> {
    await unless(gone, this.#docker.getContainer(id).wait({ condition: "removed" }));
  }

  #program(stream: NodeJS.ReadWriteStream): ContainerProgram {
    const stdout = new PassThrough();
    const stderr = new PassThrough();
    this.#docker.modem.demuxStream(stream, stdout, stderr);
    const end = () => {
      stdout.end();
      stderr.end();
    };
    stream
      .once("end", end)
      .once("error", (error) => {
        stdout.destroy(error);
        stderr.end();
      })
      .once("close", end);
    return { stdin: stream, stdout, stderr, close: () => stream.end() };
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

  /** The IDs of all networks of a name, the oldest first: daemons before 25 may have several. */
  async networkIds(name: string): Promise<string[]> {
    const containing = await this.#docker.listNetworks({ filters: { name: [name] } });
    const named = networkList.parse(containing).filter((network) => network.Name === name);
    return named.toSorted(byAge).map(({ Id }) => Id);
  }

  /** Makes a bridge network. @returns its ID @throws the daemon's own error, a taken name included */
  async createNetwork(network: {
    name: string;
    labels: Record<string, string>;
    options: Record<string, string>;
    /** Without one of IPv4, Docker chooses that. */
    subnets: readonly string[];
  }): Promise<string> {
    const made = await this.#docker.createNetwork({
      Name: network.name,
      // Daemons before 25 (API 1.44) make a second network of the same name unless told not to, and at times even then.
      CheckDuplicate: true,
      Driver: "bridge",
      Labels: network.labels,
      Options: network.options,
      EnableIPv6: network.subnets.some((subnet) => subnet.includes(":")),
      ...(network.subnets.length > 0 && {
        IPAM: { Config: network.subnets.map((subnet) => ({ Subnet: subnet })) },
      }),
    });
    return made.id;
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

const tarMessage = z.looseObject({ error: z.string().optional(), status: z.string().optional() });

const daemonFacts = z.looseObject({ CgroupVersion: z.string().optional(), DockerRootDir: z.string() });

const layerFacts = z.looseObject({ RootFS: z.looseObject({ Layers: z.array(z.string()).default([]) }) });

const platformFacts = z.looseObject({
  Os: z.string(),
  Architecture: z.string(),
  Variant: z.string().optional(),
});

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

/** The file in a tar of one file, which may have a header with more about it before its own. */
function onlyFile(archive: Buffer): Buffer {
  const block = 512;
  for (let offset = 0; offset + block <= archive.length; ) {
    const { type, size = 0 } = new Header(archive, offset);
    const content = offset + block;
    if (type === "File") return archive.subarray(content, content + size);
    offset = content + Math.ceil(size / block) * block;
  }
  throw new Error("It is no file.");
}

/** A tar of files that belong to root. */
function archiveOf(files: Readonly<Record<string, string>>): Buffer {
  const blocks = Object.entries(files).flatMap(([path, text]) => {
    const content = Buffer.from(text);
    const header = new Header({
      path: path.replace(/^\//, ""),
      mode: 0o644,
      size: content.length,
      type: "File",
      uid: 0,
      gid: 0,
      mtime: new Date(0),
    });
    const block = Buffer.alloc(512 + Math.ceil(content.length / 512) * 512);
    header.encode(block, 0);
    content.copy(block, 512);
    return [block];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

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

const networkList = z.array(z.looseObject({ Id: z.string(), Name: z.string(), Created: z.string() }));

/** Docker writes a time down to its last digit that is not 0, and all times in one zone. */
function byAge(one: { Id: string; Created: string }, other: { Id: string; Created: string }): number {
  const age = ({ Id, Created }: typeof one) => `${Created.replace(/(Z|[+-]\d\d:\d\d)$/, "")} ${Id}`;
  return age(one) < age(other) ? -1 : 1;
}

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

/**
 * Sends the daemon the tar of an image, and reads what it says of it. The daemon is not left waiting for the rest of one that
 * breaks off.
 *
 * @returns its messages
 * @throws the one that is an error, or what the tar ends with
 */
async function sendTar(
  tar: Readable,
  send: (signal: AbortSignal) => Promise<NodeJS.ReadableStream>,
): Promise<string[]> {
  const failed = new Promise<never>((_, reject) => tar.on("error", reject));
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(15 * 60_000)]);
  try {
    const answer = await Promise.race([send(signal), failed]);
    const said = await Promise.race([text(answer), failed]);
    return said.split("\n").filter(Boolean).flatMap(statusOf);
  } catch (error) {
    stop.abort();
    throw error;
  }
}

function statusOf(line: string): string | [] {
  const { error, status } = tarMessage.safeParse(JSON.parse(line)).data ?? {};
  if (error !== undefined) throw new Error(error);
  return status ?? [];
}

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
