import type Docker from "dockerode";
import * as z from "zod";
import { ignoreStatus, isNotFound } from "./expected-status.ts";

/** A Docker network. */
export interface Network {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly subnets: readonly { readonly subnet: string; readonly gateway?: string }[];
  /** The containers in the network by ID, each with its addresses without their prefix lengths. */
  readonly containers: ReadonlyMap<
    string,
    { readonly name: string; readonly ipv4?: string; readonly ipv6?: string }
  >;
}

/** The networks of a Docker daemon. */
export class Networks {
  readonly #docker: Docker;

  constructor(docker: Docker) {
    this.#docker = docker;
  }

  /** Returns the details of a network, if it exists. */
  async inspect(name: string): Promise<Network | undefined> {
    const response = await ignoreStatus(isNotFound, this.#docker.getNetwork(name).inspect());
    if (response === undefined) return undefined;
    const network = networkSchema.parse(response);
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

  /** Returns the IDs of all networks with a name, the oldest first: daemons before Docker 25 may have several. */
  async listIds(name: string): Promise<string[]> {
    // The filter matches parts of names.
    const matches = await this.#docker.listNetworks({ filters: { name: [name] } });
    const networks = networkListSchema.parse(matches).filter((network) => network.Name === name);
    return networks.toSorted(compareAge).map(({ Id }) => Id);
  }

  /** Creates a bridge network. @returns its ID @throws the daemon's error, for instance when the name is in use */
  async create(network: {
    name: string;
    labels: Record<string, string>;
    options: Record<string, string>;
    /** Docker chooses the IPv4 subnet if there is none. */
    subnets: readonly string[];
  }): Promise<string> {
    const created = await this.#docker.createNetwork({
      Name: network.name,
      // Without it, daemons before Docker 25 (API 1.44) create a second network of the same name, at times even with it.
      CheckDuplicate: true,
      Driver: "bridge",
      Labels: network.labels,
      Options: network.options,
      EnableIPv6: network.subnets.some((subnet) => subnet.includes(":")),
      ...(network.subnets.length > 0 && {
        IPAM: { Config: network.subnets.map((subnet) => ({ Subnet: subnet })) },
      }),
    });
    return created.id;
  }

  /** Removes a network unless a container is connected to it. @returns whether the network no longer exists */
  async remove(name: string): Promise<boolean> {
    const removed = await ignoreStatus(
      (status) => isNotFound(status) || inUse(status),
      this.#docker
        .getNetwork(name)
        .remove()
        .then(() => true),
    );
    return removed ?? (await this.inspect(name)) === undefined;
  }
}

/** Whether a status means that the network has endpoints: 403 up to Docker 28, 409 since. */
const inUse = (status: number) => status === 403 || status === 409;

const networkListSchema = z.array(z.looseObject({ Id: z.string(), Name: z.string(), Created: z.string() }));

/** Compares as text: Docker omits trailing zeros of fractions of a second, and uses one time zone for all networks. */
function compareAge(a: { Id: string; Created: string }, b: { Id: string; Created: string }): number {
  const sortKey = ({ Id, Created }: typeof a) => `${Created.replace(/(Z|[+-]\d\d:\d\d)$/, "")} ${Id}`;
  return sortKey(a) < sortKey(b) ? -1 : 1;
}

const networkSchema = z.looseObject({
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
