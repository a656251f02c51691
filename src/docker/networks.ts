import type Docker from "dockerode";
import * as z from "zod";
import { ignoreStatus, isNotFound } from "./expected-status.ts";

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

/** The networks of a Docker daemon. */
export class Networks {
  readonly #docker: Docker;

  constructor(docker: Docker) {
    this.#docker = docker;
  }

  async inspect(name: string): Promise<Network | undefined> {
    const found = await ignoreStatus(isNotFound, this.#docker.getNetwork(name).inspect());
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
  async listIds(name: string): Promise<string[]> {
    const containing = await this.#docker.listNetworks({ filters: { name: [name] } });
    const named = networkList.parse(containing).filter((network) => network.Name === name);
    return named.toSorted(byAge).map(({ Id }) => Id);
  }

  /** Makes a bridge network. @returns its ID @throws the daemon's own error, a taken name included */
  async create(network: {
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

/** What a daemon answers for a network with endpoints: 403 up to Docker 28, 409 since. */
const inUse = (status: number) => status === 403 || status === 409;

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
