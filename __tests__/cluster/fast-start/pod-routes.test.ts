import { describe, expect, it } from "vitest";
import { podRoutes } from "../../../src/cluster/fast-start/pod-routes.ts";

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

describe("the routes of a node", () => {
  it("lead to the pods of every other node, by its address", () => {
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

  it("are one for each kind of address", () => {
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
    { lack: "a node that has not joined", second: [] },
    { lack: "a range of pods", second: [node("b", undefined, "172.18.0.3")] },
    { lack: "an address", second: [node("b", ["10.244.1.0/24"])] },
    { lack: "an address of the range's kind", second: [node("b", ["fd00::/64"], "172.18.0.3")] },
  ])("are not known while $lack is missing", ({ second }) => {
    const items = [node("a", ["10.244.0.0/24"], "172.18.0.2"), ...second];
    expect(podRoutes({ items }, ["a", "b"])).toBeUndefined();
  });
});
