import { describe, expect, it } from "vitest";
import { ApiError } from "../../src/kubernetes/client.ts";
import {
  missingDaemonPods,
  missingNodes,
  missingReplicas,
  missingServiceAccount,
  NotReadyError,
  type Readiness,
  waitUntilReady,
} from "../../src/kubernetes/readiness.ts";
import { Clock } from "../fixtures/clock.ts";
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

describe("missingNodes", () => {
  it("returns nothing if all nodes are Ready", () => {
    expect(missingNodes({ items: [node("a", "True"), node("b", "True")] }, 2)).toEqual([]);
  });

  it("returns the nodes that are not Ready, with the reason of the kubelet", () => {
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

  it("returns the number of nodes that have not joined", () => {
    expect(missingNodes({ items: [] }, 3)).toEqual(["3 of 3 nodes have not joined"]);
    expect(missingNodes({ items: [node("a", "False", "starting"), node("b", "True")] }, 3)).toEqual([
      "node a is not Ready: starting",
      "1 of 3 nodes have not joined",
    ]);
  });

  it("accepts more nodes than expected", () => {
    expect(missingNodes({ items: [node("a", "True"), node("b", "True")] }, 1)).toEqual([]);
  });
});

describe("missingReplicas", () => {
  it("returns nothing if all replicas are available", () => {
    const items = [
      workload("coredns", { replicas: 2 }, { observedGeneration: 1, availableReplicas: 2 }),
      workload("none-wanted", { replicas: 0 }, { observedGeneration: 1 }),
    ];
    expect(missingReplicas("deployment", { items })).toEqual([]);
  });

  it("returns the number of available replicas, also if it is 0", () => {
    const items = [
      workload("coredns", { replicas: 2 }, { observedGeneration: 1, availableReplicas: 1 }),
      workload("metrics", {}, { observedGeneration: 1 }),
    ];
    expect(missingReplicas("deployment", { items })).toEqual([
      "deployment kube-system/coredns: 1 of 2 available",
      "deployment kube-system/metrics: 0 of 1 available",
    ]);
  });

  it("ignores a status of an older generation", () => {
    const items = [workload("etcd", { replicas: 1 }, { observedGeneration: 1, availableReplicas: 1 }, 2)];
    expect(missingReplicas("statefulset", { items })).toEqual([
      expect.stringContaining("statefulset kube-system/etcd: "),
    ]);
  });
});

describe("missingDaemonPods", () => {
  it("returns nothing if the pods on all nodes are available", () => {
    const items = [
      workload("kindnet", {}, { observedGeneration: 1, desiredNumberScheduled: 3, numberAvailable: 3 }),
    ];
    expect(missingDaemonPods({ items })).toEqual([]);
  });

  it("returns the number of available pods, and ignores a status of an older generation", () => {
    const items = [
      workload("kindnet", {}, { observedGeneration: 1, desiredNumberScheduled: 3, numberAvailable: 1 }),
      workload("kube-proxy", {}, {}),
    ];
    expect(missingDaemonPods({ items })).toEqual([
      "daemonset kube-system/kindnet: 1 of 3 available",
      expect.stringContaining("daemonset kube-system/kube-proxy: "),
    ]);
  });
});

describe("missingServiceAccount", () => {
  it("returns nothing if the ServiceAccount is in the list", () => {
    expect(missingServiceAccount({ items: [{ metadata: { name: "default" } }] })).toEqual([]);
  });

  it("returns the ServiceAccount if the list is empty", () => {
    expect(missingServiceAccount({ items: [] })).toEqual(["serviceaccount default/default does not exist"]);
  });
});

const workloads = "/apis/apps/v1/namespaces/kube-system";
const account = "/api/v1/namespaces/default/serviceaccounts?fieldSelector=metadata.name%3Ddefault";
const ready: Answers = {
  "/api/v1/nodes": { items: [node("kind-control-plane", "True")] },
  [`${workloads}/deployments`]: {
    items: [workload("coredns", { replicas: 2 }, { observedGeneration: 1, availableReplicas: 2 })],
  },
  [`${workloads}/daemonsets`]: { items: [] },
  [`${workloads}/statefulsets`]: { items: [] },
  "/api/v1/namespaces/default": {},
  [account]: { items: [{ metadata: { name: "default" } }] },
};
const lists = Object.keys(ready).filter((path) => path !== "/api/v1/namespaces/default");
const unready: Answers = {
  ...ready,
  "/api/v1/nodes": { items: [node("kind-control-plane", "False", "cni plugin not initialized")] },
};

/** Waits for a fake cluster, which changes each second, on a fake clock. @returns the milliseconds that it took */
async function waitFor(
  api: FakeApi,
  options: { wait: number; readiness?: Readiness; nodes?: number; changes?: readonly (() => void)[] },
): Promise<number> {
  const clock = new Clock();
  const changes = options.changes ?? Array.from({ length: 10 }, () => () => api.advance());
  changes.forEach((change, index) => {
    clock.at((index + 1) * 1_000, change);
  });
  await clock.pass(
    waitUntilReady(api, { name: "shop", readiness: "everything", nodes: 1, ...options }, clock.sleep),
  );
  return clock.now;
}

describe("waitUntilReady", () => {
  it("returns without a wait if everything is ready", async () => {
    expect(await waitFor(new FakeApi(ready), { wait: 300_000 })).toBe(0);
  });

  it("returns as soon as everything is ready", async () => {
    const api = new FakeApi(
      { ...ready, "/api/v1/nodes": new Error("connect ECONNREFUSED 127.0.0.1:6443") },
      { ...ready, "/api/v1/nodes": { items: [] } },
      unready,
      ready,
    );
    expect(await waitFor(api, { wait: 300_000 })).toBe(3_000);
  });

  it("reads each list once, and then watches it", async () => {
    const noAccount = { ...unready, [account]: { items: [] } };
    const api = new FakeApi(noAccount, unready, noAccount, unready, ready);
    expect(await waitFor(api, { wait: 300_000 })).toBe(4_000);
    expect(api.reads.toSorted()).toEqual(lists.toSorted());
  });

  it("does not wait for a workload that was deleted", async () => {
    const late = workload("late", { replicas: 1 }, { observedGeneration: 1 });
    const api = new FakeApi({ ...ready, [`${workloads}/deployments`]: { items: [late] } }, ready);
    expect(await waitFor(api, { wait: 300_000 })).toBe(1_000);
  });

  it("continues when the API ends a watch", async () => {
    const api = new FakeApi(unready, ready);
    const changes = [() => api.endWatches(), () => api.endWatches(), () => api.advance()];
    expect(await waitFor(api, { wait: 300_000, changes })).toBe(3_000);
  });

  it("ignores what it read before the connection was lost", async () => {
    const lost = new Error("socket hang up");
    const late = { items: [workload("late", { replicas: 1 }, { observedGeneration: 1 })] };
    const api = new FakeApi(
      { ...ready, [`${workloads}/deployments`]: late },
      { ...ready, "/api/v1/nodes": lost },
      unready,
      ready,
    );
    expect(await waitFor(api, { wait: 300_000 })).toBe(3_000);
  });

  it("does not wait with `wait: 0s`, not even for the API", async () => {
    expect(await waitFor(new FakeApi({}), { wait: 0 })).toBe(0);
  });

  it("fails at the timeout with everything that is not ready, and a remedy", async () => {
    const api = new FakeApi({
      ...unready,
      [`${workloads}/deployments`]: {
        items: [workload("coredns", { replicas: 2 }, { observedGeneration: 1 })],
      },
      [account]: { items: [] },
    });
    const waited = waitFor(api, { wait: 90_000, nodes: 2 });
    await expect(waited).rejects.toBeInstanceOf(NotReadyError);
    await expect(waited).rejects.toThrow(
      `Cluster "shop" was not ready within 90 s:
- node kind-control-plane is not Ready: cni plugin not initialized
- 1 of 2 nodes have not joined
- deployment kube-system/coredns: 0 of 2 available
- serviceaccount default/default does not exist
If the cluster needs more time, increase \`wait\`. The post step prints the important lines of the logs.`,
    );
  });

  it("reads the lists again at a timeout that no watch could meet", async () => {
    const api = new FakeApi({}, ready);
    expect(await waitFor(api, { wait: 1_000 })).toBe(1_000);
  });

  it("reads the lists again at the timeout if the watches have stopped without an error", async () => {
    const api = new FakeApi(unready, ready);
    api.watch = async function* (_path, _version, signal) {
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    };
    expect(await waitFor(api, { wait: 5_000 })).toBe(5_000);
  });

  it("fails with the error of the connection if the API never answers", async () => {
    const api = new FakeApi({ ...ready, "/api/v1/nodes": new Error("connect ECONNREFUSED 127.0.0.1:6443") });
    await expect(waitFor(api, { wait: 1_000 })).rejects.toThrow(
      "- the API server does not answer: connect ECONNREFUSED 127.0.0.1:6443",
    );
  });

  it("fails with the error of the API if the ServiceAccount cannot be read", async () => {
    const api = new FakeApi({ ...ready, [account]: new ApiError(`GET ${account}`, 403, "forbidden") });
    await expect(waitFor(api, { wait: 1_000 })).rejects.toThrow(
      `the API server does not answer: GET ${account}: 403`,
    );
  });

  it("waits for Deployments, StatefulSets and DaemonSets", async () => {
    const late = workload("late", { replicas: 1 }, { observedGeneration: 1, desiredNumberScheduled: 1 });
    for (const kind of ["deployment", "statefulset", "daemonset"]) {
      const api = new FakeApi({ ...ready, [`${workloads}/${kind}s`]: { items: [late] } });
      await expect(waitFor(api, { wait: 1_000 })).rejects.toThrow(
        `- ${kind} kube-system/late: 0 of 1 available`,
      );
    }
  });

  it("waits only for the API if that is what has to be ready", async () => {
    expect(await waitFor(new FakeApi(unready), { wait: 1_000, readiness: "api" })).toBe(0);
    await expect(waitFor(new FakeApi(unready), { wait: 1_000 })).rejects.toThrow("cni plugin");
    const silent = { "/api/v1/namespaces/default": new Error("socket hang up") };
    expect(await waitFor(new FakeApi(silent, unready), { wait: 60_000, readiness: "api" })).toBe(1_000);
    await expect(waitFor(new FakeApi(silent), { wait: 1_000, readiness: "api" })).rejects.toThrow(
      "the API server does not answer: socket hang up",
    );
  });
});
