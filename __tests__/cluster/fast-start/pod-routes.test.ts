import { describe, expect, it, onTestFinished } from "vitest";
import { addPodRoutes, podRoutes } from "../../../src/cluster/fast-start/pod-routes.ts";
import { NodeSessions } from "../../../src/node/sessions.ts";
import { dockerDaemon, nodeContainer } from "../../fixtures/docker-daemon.ts";
import { FakeApi } from "../../fixtures/kubernetes-api.ts";

const node = (name: string, podCIDRs: readonly string[] | undefined, ...addresses: string[]) => ({
  metadata: { name },
  spec: { podCIDRs },
  status: {
    addresses: [
      { type: "Hostname", address: name },
      ...addresses.map((address) => ({ type: "InternalIP", address })),
    ],
  },
});

describe("podRoutes", () => {
  it("returns routes to the pods of all other nodes, through their addresses", () => {
    const items = [
      node("a", ["10.244.0.0/24"], "172.18.0.2"),
      node("b", ["10.244.1.0/24"], "172.18.0.3"),
      node("c", ["10.244.2.0/24"], "172.18.0.4"),
    ];
    expect(podRoutes({ items }, ["a", "b", "c"])).toEqual(
      new Map([
        [
          "b",
          [
            { pods: "10.244.0.0/24", via: "172.18.0.2" },
            { pods: "10.244.2.0/24", via: "172.18.0.4" },
          ],
        ],
        [
          "c",
          [
            { pods: "10.244.0.0/24", via: "172.18.0.2" },
            { pods: "10.244.1.0/24", via: "172.18.0.3" },
          ],
        ],
        [
          "a",
          [
            { pods: "10.244.1.0/24", via: "172.18.0.3" },
            { pods: "10.244.2.0/24", via: "172.18.0.4" },
          ],
        ],
      ]),
    );
  });

  it("returns one route for each IP family", () => {
    const items = [
      node("a", ["10.244.0.0/24", "fd00:10:244::/64"], "172.18.0.2", "fc00:f853::2"),
      node("b", ["10.244.1.0/24", "fd00:10:244:1::/64"], "172.18.0.3", "fc00:f853::3"),
    ];
    expect(podRoutes({ items }, ["a", "b"])?.get("a")).toEqual([
      { pods: "10.244.1.0/24", via: "172.18.0.3" },
      { pods: "fd00:10:244:1::/64", via: "fc00:f853::3" },
    ]);
  });

  it.each([
    { missing: "a node", second: [] },
    { missing: "the pod subnet of a node", second: [node("b", undefined, "172.18.0.3")] },
    { missing: "the address of a node", second: [node("b", ["10.244.1.0/24"])] },
    {
      missing: "the address of a node in the IP family of its pod subnet",
      second: [node("b", ["fd00::/64"], "172.18.0.3")],
    },
  ])("returns undefined without $missing", ({ second }) => {
    const items = [node("a", ["10.244.0.0/24"], "172.18.0.2"), ...second];
    expect(podRoutes({ items }, ["a", "b"])).toBeUndefined();
  });
});

describe("addPodRoutes", () => {
  const joined = [node("shop-control-plane", ["10.244.0.0/24"], "172.18.0.2")];
  const complete = [...joined, node("shop-worker", ["10.244.1.0/24"], "172.18.0.3")];

  /** Two nodes. @returns their sessions, and the commands that ran in each node */
  async function twoNodes(answer = "\u00040\n") {
    const daemon = await dockerDaemon();
    const containers = [nodeContainer("shop", "control-plane"), nodeContainer("shop", "worker")];
    for (const container of containers) daemon.containers.set(container.id, container);
    const commands: string[] = [];
    daemon.program = async ({ container, stdin, stdout }) => {
      for await (const command of stdin) {
        commands.push(`${container}: ${String(command).trim()}`);
        stdout.write(answer);
      }
    };
    const sessions = new NodeSessions(daemon.engine, "shop");
    onTestFinished(() => sessions.close());
    const connected = await sessions.waitFor(
      containers.map(({ name }) => name),
      5_000,
    );
    return { commands, nodes: connected.map(({ session }) => session) };
  }

  it("adds the routes in each node, when all nodes have a pod subnet", async () => {
    const { commands, nodes } = await twoNodes();
    const api = new FakeApi({ "/api/v1/nodes": { items: joined } }, { "/api/v1/nodes": { items: complete } });
    const added = addPodRoutes(api, nodes, 5_000);
    await expect.poll(() => api.reads.length).toBeGreaterThan(0);
    expect(commands).toEqual([]);
    api.advance();
    await added;
    expect(commands.toSorted()).toEqual([
      "id-of-shop-control-plane: route 10.244.1.0/24 172.18.0.3",
      "id-of-shop-worker: route 10.244.0.0/24 172.18.0.2",
    ]);
  });

  it("fails if a node gets no pod subnet in time", async () => {
    const { nodes } = await twoNodes();
    await expect(
      addPodRoutes(new FakeApi({ "/api/v1/nodes": { items: joined } }), nodes, 50),
    ).rejects.toThrow("Not all nodes got a pod subnet within 0.1 s.");
  });

  it("fails if a node cannot add a route", async () => {
    const { nodes } = await twoNodes("\u00042\n");
    await expect(
      addPodRoutes(new FakeApi({ "/api/v1/nodes": { items: complete } }), nodes, 5_000),
    ).rejects.toThrow("route failed: exit status 2");
  });
});
