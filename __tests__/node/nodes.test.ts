import { describe, expect, it } from "vitest";
import {
  listNodes,
  nodeNames,
  selectNodes,
  soleSchedulableNode,
  waitForNodeContainers,
} from "../../src/node/nodes.ts";
import { dockerDaemon, nodeContainer } from "../fixtures/docker-daemon.ts";

async function daemonWith(...containers: ReturnType<typeof nodeContainer>[]) {
  const daemon = await dockerDaemon();
  for (const container of containers) daemon.containers.set(container.id, container);
  return daemon;
}

describe("listNodes", () => {
  it("returns the nodes of a cluster in the order of their names, with their containers", async () => {
    const { engine } = await daemonWith(
      nodeContainer("shop", "worker", "shop-worker2"),
      nodeContainer("shop", "worker", "shop-worker"),
      { ...nodeContainer("shop", "control-plane"), image: "sha256:node" },
      nodeContainer("other", "control-plane"),
    );
    const nodes = await listNodes(engine, "shop");
    expect(nodes.map(({ name, role }) => [name, role])).toEqual([
      ["shop-control-plane", "control-plane"],
      ["shop-worker", "worker"],
      ["shop-worker2", "worker"],
    ]);
    expect(nodes[0]?.container).toMatchObject({
      id: "id-of-shop-control-plane",
      image: "sha256:node",
      running: true,
    });
  });

  it("returns stopped nodes, too, and not the load balancer", async () => {
    const { engine } = await daemonWith(
      nodeContainer("shop", "external-load-balancer"),
      nodeContainer("shop", "control-plane"),
      { ...nodeContainer("shop", "worker"), stopped: true },
    );
    const nodes = await listNodes(engine, "shop");
    expect(nodes.map(({ name, container }) => [name, container.running])).toEqual([
      ["shop-control-plane", true],
      ["shop-worker", false],
    ]);
  });

  it("omits a node that is removed while the nodes are listed", async () => {
    const daemon = await daemonWith(nodeContainer("shop", "control-plane"), nodeContainer("shop", "worker"));
    daemon.refuse = (call) =>
      call === "GET /containers/id-of-shop-worker/json"
        ? { status: 404, message: "No such container: id-of-shop-worker" }
        : undefined;
    expect((await listNodes(daemon.engine, "shop")).map(({ name }) => name)).toEqual(["shop-control-plane"]);
  });

  it("returns nothing for a missing cluster", async () => {
    expect(await listNodes((await dockerDaemon()).engine, "shop")).toEqual([]);
  });
});

describe("waitForNodeContainers", () => {
  it("waits until all named nodes run", async () => {
    const daemon = await daemonWith(nodeContainer("shop", "control-plane"));
    const worker = nodeContainer("shop", "worker");
    daemon.containers.set(worker.id, { ...worker, stopped: true });
    setTimeout(() => daemon.containers.set(worker.id, worker), 100);
    const nodes = await waitForNodeContainers(
      daemon.engine,
      "shop",
      ["shop-control-plane", "shop-worker"],
      5_000,
    );
    expect(nodes.map(({ name }) => name)).toEqual(["shop-control-plane", "shop-worker"]);
  });

  it("rejects with the missing nodes when the timeout has passed", async () => {
    const { engine } = await daemonWith(nodeContainer("shop", "control-plane"));
    const names = ["shop-control-plane", "shop-worker", "shop-worker2"];
    await expect(waitForNodeContainers(engine, "shop", names, 100)).rejects.toThrow(
      "Node containers did not start within 0.1 s: shop-worker, shop-worker2.",
    );
  });

  it("rejects when the daemon fails", async () => {
    const daemon = await dockerDaemon();
    daemon.refuse = () => ({ status: 500, message: "the daemon is shutting down" });
    await expect(waitForNodeContainers(daemon.engine, "shop", ["shop-worker"], 5_000)).rejects.toThrow(
      "shutting down",
    );
  });
});

describe("nodeNames", () => {
  it("returns the names that kind gives: the first node of a role has no number", () => {
    const [plane, worker] = [{ role: "control-plane" }, { role: "worker" }] as const;
    expect(nodeNames("shop", [worker, plane, worker, plane, plane, worker])).toEqual([
      "shop-worker",
      "shop-control-plane",
      "shop-worker2",
      "shop-control-plane2",
      "shop-control-plane3",
      "shop-worker3",
    ]);
    expect(nodeNames("kind", [])).toEqual([]);
  });
});

describe("selectNodes", () => {
  const [plane, worker, worker2] = [
    { name: "shop-control-plane", role: "control-plane" },
    { name: "shop-worker", role: "worker" },
    { name: "shop-worker2", role: "worker" },
  ];
  const nodes = [plane, worker, worker2].flatMap((node) => node ?? []);

  it("selects all nodes, the workers, or nodes by name", () => {
    expect(selectNodes(nodes, "all")).toEqual(nodes);
    expect(selectNodes(nodes, "workers")).toEqual([worker, worker2]);
    expect(selectNodes(nodes, ["shop-worker2", "shop-control-plane"])).toEqual([plane, worker2]);
    expect(selectNodes(nodes, ["shop-worker", "shop-worker"])).toEqual([worker]);
  });

  it("returns a problem for missing nodes, with the names of the others", () => {
    expect(selectNodes(nodes, ["shop-worker", "worker", "kind-worker"])).toEqual({
      problem:
        "the cluster has no node worker, kind-worker. It has: shop-control-plane, shop-worker, shop-worker2",
    });
    expect(selectNodes(nodes.slice(0, 1), "workers")).toEqual({
      problem: "the cluster has no workers, only control planes",
    });
  });
});

describe("soleSchedulableNode", () => {
  const nodes = (...roles: ("control-plane" | "worker")[]) =>
    roles.map((role, index) => ({ role, name: `${index}` }));

  it.each([
    { cluster: "a single node", given: nodes("control-plane"), node: "0" },
    { cluster: "the only worker", given: nodes("control-plane", "control-plane", "worker"), node: "2" },
    { cluster: "none, with two workers", given: nodes("control-plane", "worker", "worker"), node: undefined },
    {
      cluster: "none, with two control planes",
      given: nodes("control-plane", "control-plane"),
      node: undefined,
    },
  ])("returns $cluster", ({ given, node }) => {
    expect(soleSchedulableNode(given)?.name).toBe(node);
  });
});
