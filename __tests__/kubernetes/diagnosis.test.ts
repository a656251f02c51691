import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  diagnose,
  highlightLogs,
  readyPods,
  unreadyPods,
  warningEvents,
} from "../../src/kubernetes/diagnosis.ts";
import { FakeApi } from "../fixtures/kubernetes-api.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const pod = (name: string, status: object) => ({ metadata: { name, namespace: "shop" }, status });
const condition = (type: string, status: string, message?: string) => ({ type, status, message });

const readyPod = pod("web", { phase: "Running", conditions: [condition("Ready", "True")] });
const donePod = pod("migrate", { phase: "Succeeded", conditions: [condition("Ready", "False")] });

describe("a pod that is not ready", () => {
  const why = (status: object) => unreadyPods({ items: [pod("web", status)] });

  it("tells why its image cannot be pulled", () => {
    expect(
      why({
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

  it("tells how its container ended, and how often", () => {
    expect(
      why({
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
      "pod shop/web is Running: app: CrashLoopBackOff, ended before with exit code 137 (OOMKilled), restarted 4 times; proxy: not ready",
    ]);
  });

  it("tells why no node takes it", () => {
    expect(
      why({
        phase: "Pending",
        conditions: [condition("PodScheduled", "False", "0/1 nodes are available: 1 Insufficient memory.")],
      }),
    ).toEqual(["pod shop/web is Pending: 0/1 nodes are available: 1 Insufficient memory."]);
  });

  it("is told of even where Kubernetes knows no reason", () => {
    expect(why({})).toEqual(["pod shop/web is Unknown"]);
  });

  it("is none that is ready, or that has done what it was for", () => {
    const list = { items: [readyPod, donePod, pod("broken", { phase: "Failed" })] };
    expect(unreadyPods(list)).toEqual(["pod shop/broken is Failed"]);
    expect(readyPods(list)).toEqual(new Set(["shop/web", "shop/migrate"]));
  });
});

describe("the events of a cluster", () => {
  const event = (more: object) => ({
    type: "Warning",
    reason: "Failed",
    message: "it failed",
    involvedObject: { kind: "Pod", namespace: "shop", name: "web" },
    ...more,
  });
  const none = new Set<string>();

  it("are told with what they are about, and how often they came", () => {
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

  it("matter when they warn, and not of what every old runner has", () => {
    const items = [
      event({ type: "Normal", reason: "Scheduled" }),
      // A pod's own condition says so already.
      event({ reason: "FailedScheduling" }),
      event({ reason: "CgroupV1", involvedObject: { kind: "Node", name: "kind-worker" } }),
    ];
    expect(warningEvents({ items }, none)).toEqual([]);
  });

  it("are over for a pod that has become ready since", () => {
    const items = [event({}), event({ involvedObject: { kind: "Pod", namespace: "other", name: "web" } })];
    expect(warningEvents({ items }, new Set(["shop/web"]))).toEqual(["pod other/web: Failed: it failed"]);
  });

  it("come oldest first, whichever of its times an event has, and only the last of many", () => {
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

describe("asking a cluster", () => {
  it("tells of its pods, and of the events that are not over", async () => {
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

  it("is an error when it does not answer", async () => {
    await expect(diagnose(new FakeApi({ "/api/v1/pods": new Error("socket hang up") }))).rejects.toThrow(
      "socket hang up",
    );
  });
});

describe("the logs of nodes", () => {
  async function exported(
    nodes: Readonly<Record<string, Readonly<Record<string, string>>>>,
  ): Promise<string> {
    const folder = temporaryFolder();
    for (const [node, files] of Object.entries(nodes)) {
      await mkdir(join(folder, node));
      for (const [file, lines] of Object.entries(files)) await writeFile(join(folder, node, file), lines);
    }
    return folder;
  }

  it("give the lines that are nearly always the reason, with their node", async () => {
    const folder = await exported({
      "kind-control-plane": {
        "kubelet.log":
          "started\nE1121 12:47:46.322172     1 run.go:72] failed to run Kubelet: no swap\nend\n",
      },
      "kind-worker2": { "containerd.log": "failed to pull: certificate has expired\n" },
      "kind-worker3": { "serial.log": "write: no space left on device\n" },
      "kind-worker": { "journal.log": "kernel: Out of memory: Killed process 1234 (java)\n" },
    });
    expect((await highlightLogs(folder)).toSorted()).toEqual([
      "kind-control-plane: E1121 12:47:46.322172     1 run.go:72] failed to run Kubelet: no swap",
      "kind-worker2: failed to pull: certificate has expired",
      "kind-worker3: write: no space left on device",
      "kind-worker: kernel: Out of memory: Killed process 1234 (java)",
    ]);
  });

  it("give each message once, as it came last", async () => {
    const folder = await exported({
      node: {
        "kubelet.log":
          'Nov 21 12:00:01 E1121 12:00:01.100000 1 pod_workers.go:1] "ErrImagePull" pod="web"\n' +
          'Nov 21 12:00:09 E1121 12:00:09.700000 1 pod_workers.go:1] "ErrImagePull" pod="web"\n',
      },
    });
    expect(await highlightLogs(folder)).toEqual([
      'node: Nov 21 12:00:09 E1121 12:00:09.700000 1 pod_workers.go:1] "ErrImagePull" pod="web"',
    ]);
  });

  it("do not give what is only information", async () => {
    const folder = await exported({
      node: {
        "kubelet.log": 'Nov 21 12:00:01 I1121 12:00:01.100000 1 x.go:1] "DiskPressure" status=False\n',
      },
    });
    expect(await highlightLogs(folder)).toEqual([]);
  });

  it("give the last few lines of a node, and no line without end", async () => {
    const letters = "abcdefghij".split("");
    const folder = await exported({
      node: {
        "containerd.log": letters
          .map((letter) => `no space left on device ${letter.repeat(9_000)}`)
          .join("\n"),
      },
    });
    const lines = await highlightLogs(folder, 3);
    expect(lines.map((line) => line.slice(0, 35))).toEqual([
      "node: no space left on device hhhhh",
      "node: no space left on device iiiii",
      "node: no space left on device jjjjj",
    ]);
    for (const line of lines) expect(line.length).toBeLessThan(500);
  });

  it("may be missing", async () => {
    const folder = await exported({ node: {} });
    await writeFile(join(folder, "kind-version.txt"), "CrashLoopBackOff");
    expect(await highlightLogs(folder)).toEqual([]);
  });
});
