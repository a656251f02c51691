import { describe, expect, it } from "vitest";
import { describeNetwork, ensureNetwork, removeNetwork } from "../../src/cluster/docker-network.ts";
import type { Network } from "../../src/docker/networks.ts";
import { fixedAddresses } from "../../src/docker/subnet.ts";
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

describe("describeNetwork", () => {
  it("returns the IPv4 subnet, and the IPv4 address of the API", () => {
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

  it("returns the IPv6 subnet of a network without IPv4, and no range for load balancers", () => {
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
    // The base is an address in the middle of the subnet.
    ["10.211.5.0/16", "10.211.255.200-10.211.255.250"],
    // These are too small.
    ["10.89.3.0/25", ""],
    ["10.89.3.0/28", ""],
  ])("returns for the subnet %s the load balancer range %j", (subnet, range) => {
    expect(describeNetwork(network([{ subnet }]), "").load_balancer_range).toBe(range);
  });

  it("returns no range for a network without a subnet", () => {
    expect(describeNetwork(network([]), "")).toMatchObject({ subnet: "", load_balancer_range: "" });
  });

  it("returns no address of the API if its container is not on the network", () => {
    expect(describeNetwork(network([{ subnet: "172.18.0.0/16" }]), "kind-control-plane")).toMatchObject({
      gateway: "",
      api_server: "",
    });
  });
});

describe("ensureNetwork", () => {
  it("creates the network as kind does, with kind's IPv6 subnet and the label of the run", async () => {
    const daemon = await dockerDaemon();
    expect(await ensureNetwork(daemon.engine, "kind", "run-1")).toBe(true);
    expect(daemon.networks.get("kind")).toEqual({
      name: "kind",
      labels: { "kind-action.run": "run-1" },
      options: { "com.docker.network.bridge.enable_ip_masquerade": "true" },
      subnets: [{ subnet: "fc00:f853:ccd:e793::/64" }],
    });
  });

  it("does not enable IPv6 in a network with another name", async () => {
    const daemon = await dockerDaemon();
    expect(await ensureNetwork(daemon.engine, "mine", "run-1")).toBe(true);
    expect(daemon.networks.get("mine")?.subnets).toEqual([]);
  });

  it("copies the MTU of Docker's default network", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("bridge", { name: "bridge", options: { "com.docker.network.driver.mtu": "1400" } });
    await ensureNetwork(daemon.engine, "kind", "run-1");
    expect(daemon.networks.get("kind")?.options).toMatchObject({ "com.docker.network.driver.mtu": "1400" });
  });

  it("does not change an existing network", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind", { name: "kind", labels: { owner: "me" } });
    expect(await ensureNetwork(daemon.engine, "kind", "run-1")).toBe(false);
    expect(daemon.changes).toEqual([]);
  });

  it("creates the network without IPv6 on a machine without IPv6", async () => {
    const daemon = await dockerDaemon();
    daemon.refuse = (call, body) =>
      call === "POST /networks/create" && JSON.stringify(body).includes('"EnableIPv6":true')
        ? { status: 500, message: "Cannot read IPv6 setup for bridge" }
        : undefined;
    expect(await ensureNetwork(daemon.engine, "kind", "run-1")).toBe(true);
    expect(daemon.networks.get("kind")?.subnets).toEqual([]);
  });

  it("uses the network that another job created at the same time", async () => {
    const daemon = await dockerDaemon();
    daemon.refuse = (call) => {
      if (call !== "POST /networks/create") return undefined;
      daemon.networks.set("kind", { name: "kind", labels: { "kind-action.run": "run-2" } });
      return { status: 409, message: "network with name kind already exists" };
    };
    expect(await ensureNetwork(daemon.engine, "kind", "run-1")).toBe(false);
    expect(daemon.networks.get("kind")?.labels).toEqual({ "kind-action.run": "run-2" });
  });

  it("returns false if the daemon refuses to create the network, for kind to create it", async () => {
    const daemon = await dockerDaemon();
    daemon.refuse = (call) =>
      call === "POST /networks/create" ? { status: 403, message: "not allowed" } : undefined;
    expect(await ensureNetwork(daemon.engine, "kind", "run-1")).toBe(false);
  });
});

describe("ensureNetwork on a daemon that creates two networks of one name", () => {
  /** A daemon on which another job creates its network at the same time. */
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

  it("removes its own network if the other one is older", async () => {
    // Docker omits trailing zeros, and may use its local time zone.
    const daemon = await daemonWithAnother("2026-01-02T03:04:05.6789Z");
    expect(await ensureNetwork(daemon.engine, "kind", "run-1")).toBe(false);
    expect(labels(daemon)).toEqual([{ "kind-action.run": "run-2" }]);
  });

  it("waits until the other job has removed its network if that is younger", async () => {
    const daemon = await daemonWithAnother("2026-01-02T03:04:05.67890123401Z");
    let waits = 0;
    const wait = async () => {
      if (++waits === 3) daemon.networks.delete("theirs");
    };
    expect(await ensureNetwork(daemon.engine, "kind", "run-1", { fixedAddresses: false, wait })).toBe(true);
    expect(labels(daemon)).toEqual([{ "kind-action.run": "run-1" }]);
    expect(waits).toBe(3);
  });

  it("waits for at most 5 s until other jobs have removed their networks", async () => {
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

  it("ignores a network whose name only begins with the name", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind-of-mine", { name: "kind-of-mine" });
    expect(await ensureNetwork(daemon.engine, "kind", "run-1")).toBe(true);
    expect([...daemon.networks.keys()]).toEqual(["kind-of-mine", "kind"]);
  });
});

describe("ensureNetwork with fixed addresses", () => {
  const fixed = { fixedAddresses: true };

  /** A daemon whose next free subnet is this one. */
  async function daemonWithSubnet(subnet: string | undefined = "172.18.0.0/16") {
    const daemon = await dockerDaemon();
    daemon.freeSubnet = subnet;
    return daemon;
  }

  it("requests the subnet that Docker would choose, and kind's IPv6 subnet", async () => {
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

  it("requests the subnet also for a network with another name", async () => {
    const daemon = await daemonWithSubnet("192.168.96.0/20");
    await ensureNetwork(daemon.engine, "mine", "run-1", fixed);
    expect(daemon.networks.get("mine")).toMatchObject({ subnets: [{ subnet: "192.168.96.0/20" }] });
    expect(daemon.networks.get("mine")?.chosen).toBeUndefined();
  });

  it("lets Docker choose the subnet without fixed addresses", async () => {
    const daemon = await daemonWithSubnet();
    await ensureNetwork(daemon.engine, "kind", "run-1");
    expect(daemon.networks.get("kind")?.chosen).toBe(true);
  });

  it("removes the temporary network that finds the subnet, which has the label of the run", async () => {
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
    ["be created", "POST /networks/create"],
    ["be inspected", "GET /networks/kind-action.run-1"],
  ])(
    "lets Docker choose the subnet if the temporary network cannot %s, and removes that network",
    async (_, refused) => {
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
    },
  );

  it("lets Docker choose the IPv4 subnet if another network takes it first, and keeps the IPv6 subnet", async () => {
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

  it("requests the subnet also on a machine without IPv6", async () => {
    const daemon = await daemonWithSubnet();
    daemon.refuse = (call, body) =>
      call === "POST /networks/create" && JSON.stringify(body).includes('"EnableIPv6":true')
        ? { status: 500, message: "Cannot read IPv6 setup for bridge" }
        : undefined;
    expect(await ensureNetwork(daemon.engine, "kind", "run-1", fixed)).toBe(true);
    expect(daemon.networks.get("kind")?.subnets).toEqual([{ subnet: "172.18.0.0/16" }]);
  });

  it("does not change an existing network, and does not search for a subnet", async () => {
    const daemon = await daemonWithSubnet();
    daemon.networks.set("kind", { name: "kind" });
    expect(await ensureNetwork(daemon.engine, "kind", "run-1", fixed)).toBe(false);
    expect(daemon.changes).toEqual([]);
  });
});

describe("fixedAddresses", () => {
  it.each([
    ["172.18.0.0/16", ["172.18.255.199", "172.18.255.198", "172.18.255.197"]],
    ["10.0.0.0/8", ["10.255.255.199", "10.255.255.198", "10.255.255.197"]],
    ["192.168.96.0/20", ["192.168.111.199", "192.168.111.198", "192.168.111.197"]],
    ["10.89.3.0/24", ["10.89.3.199", "10.89.3.198", "10.89.3.197"]],
    // The base is an address in the middle of the subnet.
    ["10.211.5.0/16", ["10.211.255.199", "10.211.255.198", "10.211.255.197"]],
    // These have no such addresses.
    ["10.89.3.0/25", []],
    ["fc00:f853:ccd:e793::/64", []],
  ])("returns the addresses below the load balancer range of %s: %j", (subnet, addresses) => {
    expect(fixedAddresses(network([{ subnet }]), 3)).toEqual(addresses);
  });

  it("returns IPv4 addresses, in any order of the subnets", () => {
    const subnets = [{ subnet: "fc00:f853:ccd:e793::/64" }, { subnet: "172.18.0.0/16" }];
    expect(fixedAddresses(network(subnets), 1)).toEqual(["172.18.255.199"]);
    expect(fixedAddresses(network(subnets.toReversed()), 1)).toEqual(["172.18.255.199"]);
  });

  it("returns nothing without a network, and for a count of 0", () => {
    expect(fixedAddresses(undefined, 3)).toEqual([]);
    expect(fixedAddresses(network([{ subnet: "172.18.0.0/16" }]), 0)).toEqual([]);
  });
});

describe("removeNetwork", () => {
  const created = { name: "kind", labels: { "kind-action.run": "run-1" } };

  it("removes an unused network that the action created", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind", created);
    await removeNetwork(daemon.engine, "kind", "run-1");
    expect(daemon.networks.size).toBe(0);
  });

  it("does not remove a network without the label of the action", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind", { name: "kind", labels: {} });
    await removeNetwork(daemon.engine, "kind", "run-1");
    expect(daemon.networks.size).toBe(1);
  });

  it("removes all networks of the name that the action created", async () => {
    const daemon = await dockerDaemon();
    for (const key of ["one", "two"]) daemon.networks.set(key, created);
    daemon.networks.set("theirs", { name: "kind" });
    await removeNetwork(daemon.engine, "kind", "run-1");
    expect([...daemon.networks.keys()]).toEqual(["theirs"]);
  });

  it("does not remove a network with a container", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind", { ...created, containers: { id: { name: "other-control-plane" } } });
    await removeNetwork(daemon.engine, "kind", "run-1");
    expect(daemon.networks.size).toBe(1);
  });

  it("ignores that a container has joined the network just before its removal", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind", created);
    daemon.refuse = (call) =>
      call.startsWith("DELETE") ? { status: 403, message: "has active endpoints" } : undefined;
    await removeNetwork(daemon.engine, "kind", "run-1");
    expect(daemon.networks.size).toBe(1);
  });

  it("ignores a network that does not exist", async () => {
    await removeNetwork((await dockerDaemon()).engine, "kind", "run-1");
  });
});
