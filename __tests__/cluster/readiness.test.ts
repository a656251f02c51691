import { describe, expect, it } from "vitest";
import { ApiError } from "../../src/cluster/api.ts";
import {
  missingDaemons,
  missingNodes,
  missingReplicas,
  NotReady,
  type Readiness,
  waitUntilReady,
} from "../../src/cluster/readiness.ts";
import { type Answers, FakeApi } from "../fixtures/kubernetes-api.ts";

const node = (name: string, status: "True" | "False" | "Unknown" | undefined, message?: string) => ({
  metadata: { name },
  status: {
    conditions: [
      { type: "MemoryPressure", status: "False" },
      ...(status === undefined ? [] : [{ type: "Ready", status, message }]),
    ],
  },
});

const workload = (name: string, spec: object, status: object, generation = 1) => ({
  metadata: { name, generation },
  spec,
  status,
});

describe("the nodes of a cluster", () => {
  it("are all there and Ready", () => {
    expect(missingNodes({ items: [node("a", "True"), node("b", "True")] }, 2)).toEqual([]);
  });

  it("are told with the kubelet's reason when they are not Ready", () => {
    const items = [
      node("a", "True"),
      node("b", "False", "container runtime network not ready: cni plugin not initialized"),
      node("c", "Unknown"),
      node("d", undefined),
    ];
    expect(missingNodes({ items }, 4)).toEqual([
      "node b is not Ready: container runtime network not ready: cni plugin not initialized",
      "node c is not Ready",
      "node d is not Ready",
    ]);
  });

  it("are counted when they have not joined", () => {
    expect(missingNodes({ items: [] }, 3)).toEqual(["3 of 3 nodes have not joined"]);
    expect(missingNodes({ items: [node("a", "False", "starting"), node("b", "True")] }, 3)).toEqual([
      "node a is not Ready: starting",
      "1 of 3 nodes have not joined",
    ]);
  });

  it("may be more than the cluster was made with", () => {
    expect(missingNodes({ items: [node("a", "True"), node("b", "True")] }, 1)).toEqual([]);
  });
});

describe("a Deployment or StatefulSet", () => {
  it("is there when as many pods as it wants are available", () => {
    const items = [
      workload("coredns", { replicas: 2 }, { observedGeneration: 1, availableReplicas: 2 }),
      workload("none-wanted", { replicas: 0 }, { observedGeneration: 1 }),
    ];
    expect(missingReplicas("deployment", { items })).toEqual([]);
  });

  it("is told with how many there are, none included", () => {
    const items = [
      workload("coredns", { replicas: 2 }, { observedGeneration: 1, availableReplicas: 1 }),
      workload("metrics", {}, { observedGeneration: 1 }),
    ];
    expect(missingReplicas("deployment", { items })).toEqual([
      "deployment kube-system/coredns: 1 of 2 available",
      "deployment kube-system/metrics: 0 of 1 available",
    ]);
  });

  it("is not believed before its controller has seen its last change", () => {
    const items = [workload("etcd", { replicas: 1 }, { observedGeneration: 1, availableReplicas: 1 }, 2)];
    expect(missingReplicas("statefulset", { items })).toEqual([
      expect.stringContaining("statefulset kube-system/etcd: "),
    ]);
  });
});

describe("a DaemonSet", () => {
  it("is there when it runs on every node it should", () => {
    const items = [
      workload("kindnet", {}, { observedGeneration: 1, desiredNumberScheduled: 3, numberAvailable: 3 }),
    ];
    expect(missingDaemons({ items })).toEqual([]);
  });

  it("is told with how many there are, and not believed before its controller has seen it", () => {
    const items = [
      workload("kindnet", {}, { observedGeneration: 1, desiredNumberScheduled: 3, numberAvailable: 1 }),
      workload("kube-proxy", {}, {}),
    ];
    expect(missingDaemons({ items })).toEqual([
      "daemonset kube-system/kindnet: 1 of 3 available",
      expect.stringContaining("daemonset kube-system/kube-proxy: "),
    ]);
  });
});

const workloads = "/apis/apps/v1/namespaces/kube-system";
const ready: Answers = {
  "/api/v1/nodes": { items: [node("kind-control-plane", "True")] },
  [`${workloads}/deployments`]: {
    items: [workload("coredns", { replicas: 2 }, { observedGeneration: 1, availableReplicas: 2 })],
  },
  [`${workloads}/daemonsets`]: { items: [] },
  [`${workloads}/statefulsets`]: { items: [] },
  "/api/v1/namespaces/default": {},
  "/api/v1/namespaces/default/serviceaccounts/default": {},
};

/** Waits for a fake cluster on a fake clock. @returns how many milliseconds it took */
async function waitFor(
  api: FakeApi,
  on: { wait: number; readiness?: Readiness; nodes?: number },
): Promise<number> {
  let now = 0;
  const clock = {
    now: () => now,
    sleep: async (milliseconds: number) => {
      now += milliseconds;
      api.advance();
    },
  };
  await waitUntilReady(api, { name: "shop", readiness: "everything", nodes: 1, ...on }, clock);
  return now;
}

describe("waiting for a cluster", () => {
  it("ends at once when everything is there", async () => {
    expect(await waitFor(new FakeApi(ready), { wait: 300_000 })).toBe(0);
  });

  it("ends as soon as everything is there, long before the time is up", async () => {
    const api = new FakeApi(
      { ...ready, "/api/v1/nodes": new Error("connect ECONNREFUSED 127.0.0.1:6443") },
      { ...ready, "/api/v1/nodes": { items: [] } },
      { ...ready, "/api/v1/nodes": { items: [node("kind-control-plane", "False")] } },
      ready,
    );
    expect(await waitFor(api, { wait: 300_000 })).toBeLessThan(2_000);
  });

  it("waits for nothing with `wait: 0s`, not even for the API", async () => {
    expect(await waitFor(new FakeApi({}), { wait: 0 })).toBe(0);
  });

  it("fails when the time is up, with everything that is missing and what to do", async () => {
    const api = new FakeApi({
      ...ready,
      "/api/v1/nodes": { items: [node("kind-control-plane", "False", "cni plugin not initialized")] },
      [`${workloads}/deployments`]: {
        items: [workload("coredns", { replicas: 2 }, { observedGeneration: 1 })],
      },
      "/api/v1/namespaces/default/serviceaccounts/default": undefined,
    });
    const waited = waitFor(api, { wait: 90_000, nodes: 2 });
    await expect(waited).rejects.toBeInstanceOf(NotReady);
    await expect(waited).rejects.toThrow(
      `The cluster "shop" was not ready after 90 s:
- node kind-control-plane is not Ready: cni plugin not initialized
- 1 of 2 nodes have not joined
- deployment kube-system/coredns: 0 of 2 available
- the ServiceAccount default in the namespace default is not there yet
If it only needs longer, raise \`wait\`; the post step shows the logs that matter.`,
    );
  });

  it("looks once more when the time is up, however short it was", async () => {
    expect(await waitFor(new FakeApi({}, ready), { wait: 1 })).toBeGreaterThan(0);
  });

  it("fails with the API's own words when that never answers", async () => {
    const api = new FakeApi({ ...ready, "/api/v1/nodes": new Error("connect ECONNREFUSED 127.0.0.1:6443") });
    await expect(waitFor(api, { wait: 1_000 })).rejects.toThrow(
      "- the API does not answer: connect ECONNREFUSED 127.0.0.1:6443",
    );
  });

  it("does not take a ServiceAccount that may not be read for one that is not there yet", async () => {
    const path = "/api/v1/namespaces/default/serviceaccounts/default";
    const api = new FakeApi({ ...ready, [path]: new ApiError(`GET ${path}`, 403, "forbidden") });
    await expect(waitFor(api, { wait: 1_000 })).rejects.toThrow(`the API does not answer: GET ${path}: 403`);
  });

  it("waits for every kind of workload", async () => {
    const late = workload("late", { replicas: 1 }, { observedGeneration: 1, desiredNumberScheduled: 1 });
    for (const kind of ["deployment", "statefulset", "daemonset"]) {
      const api = new FakeApi({ ...ready, [`${workloads}/${kind}s`]: { items: [late] } });
      await expect(waitFor(api, { wait: 1_000 })).rejects.toThrow(
        `- ${kind} kube-system/late: 0 of 1 available`,
      );
    }
  });

  it("goes no further than the API where the network is yet to be installed", async () => {
    const withoutNetwork = {
      ...ready,
      "/api/v1/nodes": { items: [node("kind-control-plane", "False", "cni plugin not initialized")] },
    };
    expect(await waitFor(new FakeApi(withoutNetwork), { wait: 1_000, readiness: "api" })).toBe(0);
    await expect(waitFor(new FakeApi(withoutNetwork), { wait: 1_000 })).rejects.toThrow("cni plugin");
    const silent = { "/api/v1/namespaces/default": new Error("socket hang up") };
    await expect(waitFor(new FakeApi(silent), { wait: 1_000, readiness: "api" })).rejects.toThrow(
      "the API does not answer: socket hang up",
    );
  });
});
