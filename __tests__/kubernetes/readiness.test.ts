import { describe, expect, it } from "vitest";
import { ApiError } from "../../src/kubernetes/client.ts";
import {
  missingAccount,
  missingDaemons,
  missingNodes,
  missingReplicas,
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

describe("the default ServiceAccount", () => {
  it("is there when it is the one in the list", () => {
    expect(missingAccount({ items: [{ metadata: { name: "default" } }] })).toEqual([]);
  });

  it("is told when it is not", () => {
    expect(missingAccount({ items: [] })).toEqual([
      "the ServiceAccount default in the namespace default is not there yet",
    ]);
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

/** Waits for a fake cluster, which changes each second, on a fake clock. @returns how many milliseconds it took */
async function waitFor(
  api: FakeApi,
  on: { wait: number; readiness?: Readiness; nodes?: number; changes?: readonly (() => void)[] },
): Promise<number> {
  const clock = new Clock();
  const changes = on.changes ?? Array.from({ length: 10 }, () => () => api.advance());
  changes.forEach((change, index) => {
    clock.at((index + 1) * 1_000, change);
  });
  await clock.pass(
    waitUntilReady(api, { name: "shop", readiness: "everything", nodes: 1, ...on }, clock.sleep),
  );
  return clock.now;
}

describe("waiting for a cluster", () => {
  it("ends at once when everything is there", async () => {
    expect(await waitFor(new FakeApi(ready), { wait: 300_000 })).toBe(0);
  });

  it("ends the moment that everything is there", async () => {
    const api = new FakeApi(
      { ...ready, "/api/v1/nodes": new Error("connect ECONNREFUSED 127.0.0.1:6443") },
      { ...ready, "/api/v1/nodes": { items: [] } },
      unready,
      ready,
    );
    expect(await waitFor(api, { wait: 300_000 })).toBe(3_000);
  });

  it("reads each list once, and is told of what happens then", async () => {
    const noAccount = { ...unready, [account]: { items: [] } };
    const api = new FakeApi(noAccount, unready, noAccount, unready, ready);
    expect(await waitFor(api, { wait: 300_000 })).toBe(4_000);
    expect(api.reads.toSorted()).toEqual(lists.toSorted());
  });

  it("does not wait for what has been deleted", async () => {
    const late = workload("late", { replicas: 1 }, { observedGeneration: 1 });
    const api = new FakeApi({ ...ready, [`${workloads}/deployments`]: { items: [late] } }, ready);
    expect(await waitFor(api, { wait: 300_000 })).toBe(1_000);
  });

  it("goes on when the API ends what it tells", async () => {
    const api = new FakeApi(unready, ready);
    const changes = [() => api.hangUp(), () => api.hangUp(), () => api.advance()];
    expect(await waitFor(api, { wait: 300_000, changes })).toBe(3_000);
  });

  it("does not count on what it was told before the API was lost", async () => {
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

  it("waits for nothing with `wait: 0s`, not even for the API", async () => {
    expect(await waitFor(new FakeApi({}), { wait: 0 })).toBe(0);
  });

  it("fails when the time is up, with everything that is missing and what to do", async () => {
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
      `The cluster "shop" was not ready after 90 s:
- node kind-control-plane is not Ready: cni plugin not initialized
- 1 of 2 nodes have not joined
- deployment kube-system/coredns: 0 of 2 available
- the ServiceAccount default in the namespace default is not there yet
If it only needs longer, raise \`wait\`; the post step shows the logs that matter.`,
    );
  });

  it("looks once more when the time is up, however short it was", async () => {
    const api = new FakeApi({}, ready);
    expect(await waitFor(api, { wait: 1_000 })).toBe(1_000);
  });

  it("looks once more when the time is up, even if the API has fallen silent", async () => {
    const api = new FakeApi(unready, ready);
    api.watch = async function* (_path, _version, signal) {
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    };
    expect(await waitFor(api, { wait: 5_000 })).toBe(5_000);
  });

  it("fails with the API's own words when that never answers", async () => {
    const api = new FakeApi({ ...ready, "/api/v1/nodes": new Error("connect ECONNREFUSED 127.0.0.1:6443") });
    await expect(waitFor(api, { wait: 1_000 })).rejects.toThrow(
      "- the API does not answer: connect ECONNREFUSED 127.0.0.1:6443",
    );
  });

  it("does not take a ServiceAccount that may not be read for one that is not there yet", async () => {
    const api = new FakeApi({ ...ready, [account]: new ApiError(`GET ${account}`, 403, "forbidden") });
    await expect(waitFor(api, { wait: 1_000 })).rejects.toThrow(
      `the API does not answer: GET ${account}: 403`,
    );
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
    expect(await waitFor(new FakeApi(unready), { wait: 1_000, readiness: "api" })).toBe(0);
    await expect(waitFor(new FakeApi(unready), { wait: 1_000 })).rejects.toThrow("cni plugin");
    const silent = { "/api/v1/namespaces/default": new Error("socket hang up") };
    expect(await waitFor(new FakeApi(silent, unready), { wait: 60_000, readiness: "api" })).toBe(1_000);
    await expect(waitFor(new FakeApi(silent), { wait: 1_000, readiness: "api" })).rejects.toThrow(
      "the API does not answer: socket hang up",
    );
  });
});
