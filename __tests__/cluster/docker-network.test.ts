import { describe, expect, it } from "vitest";
import {
  describeNetwork,
  ensureNetwork,
  fixedAddresses,
  removeNetwork,
} from "../../src/cluster/docker-network.ts";
import type { Network } from "../../src/docker/networks.ts";
import { type DockerDaemon, dockerDaemon } from "../fixtures/docker-daemon.ts";

const network = (
  subnets: Network["subnets"],
  containers: readonly { name: string; ipv4?: string; ipv6?: string }[] = [],
): Network => ({
  id: "id",
  name: "kind",
  labels: {},
  options: {},
  subnets,
  containers: new Map(containers.map((container) => [container.name, container])),
});

describe("the network of a cluster", () => {
  it("is described by its IPv4 side, with the API's address inside it", () => {
    const described = describeNetwork(
      network(
        [{ subnet: "fc00:f853:ccd:e793::/64" }, { subnet: "172.18.0.0/16", gateway: "172.18.0.1" }],
        [
          { name: "kind-worker", ipv4: "172.18.0.2" },
          { name: "kind-control-plane", ipv4: "172.18.0.3", ipv6: "fc00:f853:ccd:e793::3" },
        ],
      ),
      "kind-control-plane",
    );
    expect(described).toEqual({
      name: "kind",
      subnet: "172.18.0.0/16",
      gateway: "172.18.0.1",
      load_balancer_range: "172.18.255.200-172.18.255.250",
      api_server: "https://172.18.0.3:6443",
    });
  });

  it("is described by its IPv6 side where that is all it has, without a range", () => {
    const described = describeNetwork(
      network(
        [{ subnet: "fc00:f853:ccd:e793::/64", gateway: "fc00:f853:ccd:e793::1" }],
        [{ name: "kind-control-plane", ipv6: "fc00:f853:ccd:e793::2" }],
      ),
      "kind-control-plane",
    );
    expect(described).toEqual({
      name: "kind",
      subnet: "fc00:f853:ccd:e793::/64",
      gateway: "fc00:f853:ccd:e793::1",
      load_balancer_range: "",
      api_server: "https://[fc00:f853:ccd:e793::2]:6443",
    });
  });

  it.each([
    ["172.18.0.0/16", "172.18.255.200-172.18.255.250"],
    ["10.0.0.0/8", "10.255.255.200-10.255.255.250"],
    ["192.168.96.0/20", "192.168.111.200-192.168.111.250"],
    ["10.89.3.0/24", "10.89.3.200-10.89.3.250"],
    // Nothing to spare.
    ["10.89.3.0/25", ""],
    ["10.89.3.0/28", ""],
  ])("with the subnet %s leaves %j for load balancers", (subnet, range) => {
    expect(describeNetwork(network([{ subnet }]), "").load_balancer_range).toBe(range);
  });

  it("has no address of the API where its container is not on it", () => {
    expect(describeNetwork(network([{ subnet: "172.18.0.0/16" }]), "kind-control-plane")).toMatchObject({
      gateway: "",
      api_server: "",
    });
  });
});

describe("making the network", () => {
  it("makes it as kind would, with kind's IPv6 subnet, and labels it as this run's", async () => {
    const daemon = await dockerDaemon();
    expect(await ensureNetwork(daemon.engine, "kind", "run-1")).toBe(true);
    expect(daemon.networks.get("kind")).toEqual({
      name: "kind",
      labels: { "kind-action.run": "run-1" },
      options: { "com.docker.network.bridge.enable_ip_masquerade": "true" },
      subnets: [{ subnet: "fc00:f853:ccd:e793::/64" }],
    });
  });

  it("gives IPv6 to no network of another name: its subnet would be kind's to choose", async () => {
    const daemon = await dockerDaemon();
    expect(await ensureNetwork(daemon.engine, "mine", "run-1")).toBe(true);
    expect(daemon.networks.get("mine")?.subnets).toEqual([]);
  });

  it("takes over the MTU of Docker's default network", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("bridge", { name: "bridge", options: { "com.docker.network.driver.mtu": "1400" } });
    await ensureNetwork(daemon.engine, "kind", "run-1");
    expect(daemon.networks.get("kind")?.options).toMatchObject({ "com.docker.network.driver.mtu": "1400" });
  });

  it("leaves one that is there as it is", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind", { name: "kind", labels: { owner: "me" } });
    expect(await ensureNetwork(daemon.engine, "kind", "run-1")).toBe(false);
    expect(daemon.changes).toEqual([]);
  });

  it("does without IPv6 on a machine that has none", async () => {
    const daemon = await dockerDaemon();
    daemon.refuse = (call, body) =>
      call === "POST /networks/create" && JSON.stringify(body).includes('"EnableIPv6":true')
        ? { status: 500, message: "Cannot read IPv6 setup for bridge" }
        : undefined;
    expect(await ensureNetwork(daemon.engine, "kind", "run-1")).toBe(true);
    expect(daemon.networks.get("kind")?.subnets).toEqual([]);
  });

  it("leaves the network to another job that was faster", async () => {
    const daemon = await dockerDaemon();
    daemon.refuse = (call) => {
      if (call !== "POST /networks/create") return undefined;
      daemon.networks.set("kind", { name: "kind", labels: { "kind-action.run": "run-2" } });
      return { status: 409, message: "network with name kind already exists" };
    };
    expect(await ensureNetwork(daemon.engine, "kind", "run-1")).toBe(false);
    expect(daemon.networks.get("kind")?.labels).toEqual({ "kind-action.run": "run-2" });
  });

  it("leaves the network to kind where the daemon refuses it", async () => {
    const daemon = await dockerDaemon();
    daemon.refuse = (call) =>
      call === "POST /networks/create" ? { status: 403, message: "not allowed" } : undefined;
    expect(await ensureNetwork(daemon.engine, "kind", "run-1")).toBe(false);
  });
});

describe("making the network in the same moment as another job, on a daemon that then has two", () => {
  /** A daemon on which another job's network is there as soon as this one has asked for its own. */
  async function daemonWithAnother(created: string) {
    const daemon = await dockerDaemon();
    daemon.refuse = (call) => {
      if (call === "POST /networks/create")
        daemon.networks.set("theirs", { name: "kind", created, labels: { "kind-action.run": "run-2" } });
      return undefined;
    };
    return daemon;
  }
  const labels = (daemon: DockerDaemon) => [...daemon.networks.values()].map((each) => each.labels);

  it("keeps the one that is older, and removes its own", async () => {
    // Docker leaves out zeros at the end, and may write its own time zone.
    const daemon = await daemonWithAnother("2026-01-02T03:04:05.6789Z");
    expect(await ensureNetwork(daemon.engine, "kind", "run-1")).toBe(false);
    expect(labels(daemon)).toEqual([{ "kind-action.run": "run-2" }]);
  });

  it("waits until the other job has removed its own, where this one is older", async () => {
    const daemon = await daemonWithAnother("2026-01-02T03:04:05.67890123401Z");
    let waits = 0;
    const wait = async () => {
      if (++waits === 3) daemon.networks.delete("theirs");
    };
    expect(await ensureNetwork(daemon.engine, "kind", "run-1", { fixedAddresses: false, wait })).toBe(true);
    expect(labels(daemon)).toEqual([{ "kind-action.run": "run-1" }]);
    expect(waits).toBe(3);
  });

  it("waits for others that are at it, and goes on where that has no end", async () => {
    const daemon = await dockerDaemon();
    for (const key of ["one", "two"]) daemon.networks.set(key, { name: "kind" });
    let waited = 0;
    const wait = async (milliseconds: number) => {
      waited += milliseconds;
    };
    expect(await ensureNetwork(daemon.engine, "kind", "run-1", { fixedAddresses: false, wait })).toBe(false);
    expect(daemon.networks.size).toBe(2);
    expect(waited).toBe(5_000);
  });

  it("takes no network of a longer name for it", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind-of-mine", { name: "kind-of-mine" });
    expect(await ensureNetwork(daemon.engine, "kind", "run-1")).toBe(true);
    expect([...daemon.networks.keys()]).toEqual(["kind-of-mine", "kind"]);
  });
});

describe("making the network for containers that are to have addresses of their choice", () => {
  const fixed = { fixedAddresses: true };

  /** A daemon that has this subnet to give out. */
  async function daemonWithSubnet(subnet: string | undefined = "172.18.0.0/16") {
    const daemon = await dockerDaemon();
    daemon.freeSubnet = subnet;
    return daemon;
  }

  it("demands the subnet that Docker would choose, beside kind's of IPv6: Docker gives addresses out there", async () => {
    const daemon = await daemonWithSubnet();
    expect(await ensureNetwork(daemon.engine, "kind", "run-1", fixed)).toBe(true);
    expect([...daemon.networks.values()]).toEqual([
      {
        name: "kind",
        labels: { "kind-action.run": "run-1" },
        options: { "com.docker.network.bridge.enable_ip_masquerade": "true" },
        subnets: [{ subnet: "172.18.0.0/16" }, { subnet: "fc00:f853:ccd:e793::/64" }],
      },
    ]);
  });

  it("demands it of a network with another name as well", async () => {
    const daemon = await daemonWithSubnet("192.168.96.0/20");
    await ensureNetwork(daemon.engine, "mine", "run-1", fixed);
    expect(daemon.networks.get("mine")).toMatchObject({ subnets: [{ subnet: "192.168.96.0/20" }] });
    expect(daemon.networks.get("mine")?.chosen).toBeUndefined();
  });

  it("lets Docker choose unless such addresses are wanted", async () => {
    const daemon = await daemonWithSubnet();
    await ensureNetwork(daemon.engine, "kind", "run-1");
    expect(daemon.networks.get("kind")?.chosen).toBe(true);
  });

  it("leaves nothing behind of the network by which it learns the subnet, which is this run's as well", async () => {
    const daemon = await daemonWithSubnet();
    const made: unknown[] = [];
    daemon.refuse = (call, body) => {
      if (call === "POST /networks/create") made.push(body);
      return undefined;
    };
    await ensureNetwork(daemon.engine, "kind", "run-1", fixed);
    expect([...daemon.networks.keys()]).toEqual(["kind"]);
    expect(made).toHaveLength(2);
    for (const body of made) expect(body).toMatchObject({ Labels: { "kind-action.run": "run-1" } });
  });

  it.each([
    ["cannot be made", "POST /networks/create"],
    ["cannot be looked at", "GET /networks/kind-action.run-1"],
  ])("lets Docker choose where that network %s, and leaves nothing of it behind", async (_, refused) => {
    const daemon = await daemonWithSubnet();
    let first = true;
    daemon.refuse = (call) => {
      if (call !== refused || !first) return undefined;
      first = false;
      return { status: 500, message: "could not find an available, non-overlapping IPv4 address pool" };
    };
    expect(await ensureNetwork(daemon.engine, "kind", "run-1", fixed)).toBe(true);
    expect([...daemon.networks.keys()]).toEqual(["kind"]);
    expect(daemon.networks.get("kind")).toMatchObject({ chosen: true });
  });

  it("lets Docker choose where somebody else takes the subnet at that moment, and keeps IPv6", async () => {
    const daemon = await daemonWithSubnet();
    daemon.refuse = (call) => {
      if (call.startsWith("DELETE /networks/"))
        daemon.networks.set("theirs", { name: "theirs", subnets: [{ subnet: "172.18.0.0/16" }] });
      return undefined;
    };
    expect(await ensureNetwork(daemon.engine, "kind", "run-1", fixed)).toBe(true);
    expect([...daemon.networks.keys()].toSorted()).toEqual(["kind", "theirs"]);
    expect(daemon.networks.get("kind")).toMatchObject({
      chosen: true,
      subnets: expect.arrayContaining([{ subnet: "fc00:f853:ccd:e793::/64" }]),
    });
  });

  it("demands the subnet on a machine without IPv6, too", async () => {
    const daemon = await daemonWithSubnet();
    daemon.refuse = (call, body) =>
      call === "POST /networks/create" && JSON.stringify(body).includes('"EnableIPv6":true')
        ? { status: 500, message: "Cannot read IPv6 setup for bridge" }
        : undefined;
    expect(await ensureNetwork(daemon.engine, "kind", "run-1", fixed)).toBe(true);
    expect(daemon.networks.get("kind")?.subnets).toEqual([{ subnet: "172.18.0.0/16" }]);
  });

  it("leaves one that is there as it is, and looks for no subnet", async () => {
    const daemon = await daemonWithSubnet();
    daemon.networks.set("kind", { name: "kind" });
    expect(await ensureNetwork(daemon.engine, "kind", "run-1", fixed)).toBe(false);
    expect(daemon.changes).toEqual([]);
  });
});

describe("addresses of a container's choice", () => {
  it.each([
    ["172.18.0.0/16", ["172.18.255.199", "172.18.255.198", "172.18.255.197"]],
    ["10.0.0.0/8", ["10.255.255.199", "10.255.255.198", "10.255.255.197"]],
    ["192.168.96.0/20", ["192.168.111.199", "192.168.111.198", "192.168.111.197"]],
    ["10.89.3.0/24", ["10.89.3.199", "10.89.3.198", "10.89.3.197"]],
    // As somebody may have written it, with an address from its middle.
    ["10.211.5.0/16", ["10.211.255.199", "10.211.255.198", "10.211.255.197"]],
    // Nothing to spare.
    ["10.89.3.0/25", []],
    ["fc00:f853:ccd:e793::/64", []],
  ])("are just below those for load balancers, in %s: %j", (subnet, addresses) => {
    expect(fixedAddresses(network([{ subnet }]), 3)).toEqual(addresses);
  });

  it("are of IPv4, whichever side of the network comes first", () => {
    const sides = [{ subnet: "fc00:f853:ccd:e793::/64" }, { subnet: "172.18.0.0/16" }];
    expect(fixedAddresses(network(sides), 1)).toEqual(["172.18.255.199"]);
    expect(fixedAddresses(network(sides.toReversed()), 1)).toEqual(["172.18.255.199"]);
  });

  it("are none where there is no network, or none is wanted", () => {
    expect(fixedAddresses(undefined, 3)).toEqual([]);
    expect(fixedAddresses(network([{ subnet: "172.18.0.0/16" }]), 0)).toEqual([]);
  });
});

describe("removing the network", () => {
  const ours = { name: "kind", labels: { "kind-action.run": "run-1" } };

  it("removes one that this action made, by whichever run, and that nothing uses", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind", ours);
    await removeNetwork(daemon.engine, "kind", "run-1");
    expect(daemon.networks.size).toBe(0);
  });

  it("leaves one alone that somebody else made", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind", { name: "kind", labels: {} });
    await removeNetwork(daemon.engine, "kind", "run-1");
    expect(daemon.networks.size).toBe(1);
  });

  it("removes all of that name, where there are several", async () => {
    const daemon = await dockerDaemon();
    for (const key of ["one", "two"]) daemon.networks.set(key, ours);
    daemon.networks.set("theirs", { name: "kind" });
    await removeNetwork(daemon.engine, "kind", "run-1");
    expect([...daemon.networks.keys()]).toEqual(["theirs"]);
  });

  it("leaves one alone that a node is on", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind", { ...ours, containers: { id: { name: "other-control-plane" } } });
    await removeNetwork(daemon.engine, "kind", "run-1");
    expect(daemon.networks.size).toBe(1);
  });

  it("leaves one alone that a node joins at that moment", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind", ours);
    daemon.refuse = (call) =>
      call.startsWith("DELETE") ? { status: 403, message: "has active endpoints" } : undefined;
    await removeNetwork(daemon.engine, "kind", "run-1");
    expect(daemon.networks.size).toBe(1);
  });

  it("may be too late", async () => {
    await removeNetwork((await dockerDaemon()).engine, "kind", "run-1");
  });
});

describe("the range for load balancers", () => {
  it.each([
    ["10.211.5.0/16", "10.211.255.200-10.211.255.250"],
    ["", ""],
  ])("of the subnet %j is %j", (subnet, range) => {
    const described = describeNetwork(
      {
        id: "1",
        name: "kind",
        labels: {},
        options: {},
        containers: new Map(),
        subnets: subnet === "" ? [] : [{ subnet }],
      },
      "",
    );
    expect(described.load_balancer_range).toBe(range);
  });
});
