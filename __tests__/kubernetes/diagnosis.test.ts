import { describe, expect, it } from "vitest";
import { diagnose, readyPods, unreadyPods, warningEvents } from "../../src/kubernetes/diagnosis.ts";
import { FakeApi } from "../fixtures/kubernetes-api.ts";

const pod = (name: string, status: object) => ({ metadata: { name, namespace: "shop" }, status });
const condition = (type: string, status: string, message?: string) => ({ type, status, message });

const readyPod = pod("web", { phase: "Running", conditions: [condition("Ready", "True")] });
const donePod = pod("migrate", { phase: "Succeeded", conditions: [condition("Ready", "False")] });

describe("unreadyPods", () => {
  const describePod = (status: object) => unreadyPods({ items: [pod("web", status)] });

  it("returns the reason why an image cannot be pulled", () => {
    expect(
      describePod({
        phase: "Pending",
        conditions: [condition("Ready", "False")],
        containerStatuses: [
          {
            name: "app",
            ready: false,
            restartCount: 0,
            state: { waiting: { reason: "ImagePullBackOff", message: 'Back-off pulling image "web:dev"' } },
          },
        ],
      }),
    ).toEqual(['pod shop/web is Pending: app: ImagePullBackOff Back-off pulling image "web:dev"']);
  });

  it("returns the last exit code and the number of restarts of a container", () => {
    expect(
      describePod({
        phase: "Running",
        containerStatuses: [
          {
            name: "app",
            ready: false,
            restartCount: 4,
            state: { waiting: { reason: "CrashLoopBackOff" } },
            lastState: { terminated: { reason: "OOMKilled", exitCode: 137 } },
          },
          { name: "sidecar", ready: true, restartCount: 0, state: {} },
          { name: "proxy", ready: false, restartCount: 0, state: { running: {} } },
        ],
      }),
    ).toEqual([
      "pod shop/web is Running: app: CrashLoopBackOff, last terminated with exit code 137 (OOMKilled), restarted 4 times; proxy: not ready",
    ]);
  });

  it("returns the reason why a pod is not scheduled", () => {
    expect(
      describePod({
        phase: "Pending",
        conditions: [condition("PodScheduled", "False", "0/1 nodes are available: 1 Insufficient memory.")],
      }),
    ).toEqual(["pod shop/web is Pending: 0/1 nodes are available: 1 Insufficient memory."]);
  });

  it("returns a pod without a reason in its status", () => {
    expect(describePod({})).toEqual(["pod shop/web is Unknown"]);
  });

  it("ignores pods that are ready or have succeeded, which readyPods returns", () => {
    const list = { items: [readyPod, donePod, pod("broken", { phase: "Failed" })] };
    expect(unreadyPods(list)).toEqual(["pod shop/broken is Failed"]);
    expect(readyPods(list)).toEqual(new Set(["shop/web", "shop/migrate"]));
  });
});

describe("warningEvents", () => {
  const event = (more: object) => ({
    type: "Warning",
    reason: "Failed",
    message: "it failed",
    involvedObject: { kind: "Pod", namespace: "shop", name: "web" },
    ...more,
  });
  const none = new Set<string>();

  it("returns the object, the reason, the message and the count of an event", () => {
    const items = [
      event({ reason: "BackOff", message: "Back-off restarting failed container", count: 2 }),
      event({
        involvedObject: { kind: "Node", name: "kind-worker" },
        reason: "Rebooted",
        message: "rebooted",
      }),
    ];
    expect(warningEvents({ items }, none)).toEqual([
      "pod shop/web: BackOff: Back-off restarting failed container (2 times)",
      "node kind-worker: Rebooted: rebooted",
    ]);
  });

  it("ignores normal events, failed scheduling and cgroup v1", () => {
    const items = [
      event({ type: "Normal", reason: "Scheduled" }),
      // The condition of the pod has the same message.
      event({ reason: "FailedScheduling" }),
      event({ reason: "CgroupV1", involvedObject: { kind: "Node", name: "kind-worker" } }),
    ];
    expect(warningEvents({ items }, none)).toEqual([]);
  });

  it("ignores events of a pod that is ready", () => {
    const items = [event({}), event({ involvedObject: { kind: "Pod", namespace: "other", name: "web" } })];
    expect(warningEvents({ items }, new Set(["shop/web"]))).toEqual(["pod other/web: Failed: it failed"]);
  });

  it("sorts events by either of their times, oldest first, and returns the last ones", () => {
    const at = (second: number) => `2026-11-21T12:00:${String(second).padStart(2, "0")}Z`;
    const items = [
      event({ message: "third", lastTimestamp: at(30) }),
      event({ message: "second", eventTime: at(20), lastTimestamp: null }),
      event({ message: "first", lastTimestamp: at(10) }),
    ];
    expect(warningEvents({ items }, none)).toEqual([
      "pod shop/web: Failed: first",
      "pod shop/web: Failed: second",
      "pod shop/web: Failed: third",
    ]);
    expect(warningEvents({ items }, none, 1)).toEqual(["pod shop/web: Failed: third"]);
  });
});

describe("diagnose", () => {
  it("returns the pods that are not ready, and their warning events", async () => {
    const event = (name: string) => ({
      type: "Warning",
      reason: "Unhealthy",
      message: "probe failed",
      involvedObject: { kind: "Pod", namespace: "shop", name },
    });
    const api = new FakeApi({
      "/api/v1/pods": { items: [readyPod, pod("slow", { phase: "Running" })] },
      "/api/v1/events?limit=500": { items: [event("web"), event("slow")] },
    });
    expect(await diagnose(api)).toEqual([
      "pod shop/slow is Running",
      "pod shop/slow: Unhealthy: probe failed",
    ]);
  });

  it("fails with the error of the API", async () => {
    await expect(diagnose(new FakeApi({ "/api/v1/pods": new Error("socket hang up") }))).rejects.toThrow(
      "socket hang up",
    );
  });
});
