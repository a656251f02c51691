import { describe, expect, it } from "vitest";
import { describeCluster } from "../../src/cluster/describe.ts";
import { dockerDaemon, type KeptContainer, nodeContainer } from "../fixtures/docker-daemon.ts";
import { FakeApi } from "../fixtures/kubernetes-api.ts";

const plan = { name: "shop", network: "kind" };
const version = { "/version": { major: "1", minor: "37", gitVersion: "v1.37.0" } };
const server = "https://127.0.0.1:40001";

/** A daemon with containers on the network `kind`, with the addresses from 172.18.0.2 on. */
async function daemonWith(...containers: readonly KeptContainer[]) {
  const daemon = await dockerDaemon();
  for (const container of containers) daemon.containers.set(container.id, container);
  daemon.networks.set("kind", {
    name: "kind",
    subnets: [{ subnet: "172.18.0.0/16", gateway: "172.18.0.1" }],
    containers: Object.fromEntries(
      containers.map(({ id, name }, index) => [id, { name, ipv4: `172.18.0.${index + 2}/16` }]),
    ),
  });
  return daemon;
}

describe("describeCluster", () => {
  it("returns the Kubernetes version, the nodes and the network", async () => {
    const { engine } = await daemonWith(
      nodeContainer("shop", "worker"),
      nodeContainer("other", "control-plane"),
      nodeContainer("shop", "control-plane"),
    );
    expect(await describeCluster(plan, engine, new FakeApi(version), server)).toEqual({
      apiServer: server,
      kubernetesVersion: "v1.37.0",
      nodes: [
        { name: "shop-control-plane", role: "control-plane", address: "172.18.0.4" },
        { name: "shop-worker", role: "worker", address: "172.18.0.2" },
      ],
      network: {
        name: "kind",
        subnet: "172.18.0.0/16",
        gateway: "172.18.0.1",
        load_balancer_range: "172.18.255.200-172.18.255.250",
        api_server: "https://172.18.0.4:6443",
      },
    });
  });

  it("returns the address of the load balancer of several control planes, and does not list it as a node", async () => {
    const { engine } = await daemonWith(
      nodeContainer("shop", "control-plane"),
      nodeContainer("shop", "control-plane", "shop-control-plane2"),
      nodeContainer("shop", "control-plane", "shop-control-plane3"),
      nodeContainer("shop", "external-load-balancer"),
    );
    const { nodes, network } = await describeCluster(plan, engine, new FakeApi(version), server);
    expect(nodes.map(({ name }) => name)).toEqual([
      "shop-control-plane",
      "shop-control-plane2",
      "shop-control-plane3",
    ]);
    expect(network.api_server).toBe("https://172.18.0.5:6443");
  });

  it("returns IPv6 addresses of nodes that have no IPv4 addresses", async () => {
    const daemon = await daemonWith(nodeContainer("shop", "control-plane"));
    daemon.networks.set("kind", {
      name: "kind",
      subnets: [{ subnet: "fc00::/64" }],
      containers: { "id-of-shop-control-plane": { name: "shop-control-plane", ipv6: "fc00::2/64" } },
    });
    const { nodes } = await describeCluster(plan, daemon.engine, new FakeApi(version), server);
    expect(nodes).toEqual([{ name: "shop-control-plane", role: "control-plane", address: "fc00::2" }]);
  });

  it("fails if the network does not exist", async () => {
    const { engine } = await dockerDaemon();
    await expect(describeCluster(plan, engine, new FakeApi(version), server)).rejects.toThrow(
      'The Docker network "kind" of cluster "shop" does not exist.',
    );
  });
});
