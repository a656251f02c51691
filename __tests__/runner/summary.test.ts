import { describe, expect, it } from "vitest";
import type { LoadedImage } from "../../src/images/load/load-images.ts";
import type { TaskTiming } from "../../src/lib/task-graph.ts";
import type { Plan } from "../../src/plan/plan.ts";
import type { ItemReport, RunReport } from "../../src/runner/report.ts";
import { renderCaches, renderFindings, renderImages, renderSummary } from "../../src/runner/summary.ts";

const tool = (name: "kind" | "kubectl", version: string) =>
  ({ name, version, architecture: "amd64", checksum: undefined, url: "", checksumUrl: "" }) as const;

const plan: Plan = {
  runId: "1-1-abc",
  folder: "/tmp/run",
  kind: tool("kind", "v0.33.0"),
  kubectl: tool("kubectl", "v1.37.0"),
  cluster: {
    name: "shop",
    config: "",
    fastStart: undefined,
    registries: undefined,
    loadBalancer: undefined,
    workspace: "/work",
    nodes: ["shop-control-plane"],
    images: [],
    network: "kind",
    kubeconfig: "/home/me/.kube/config",
    verbosity: 0,
    wait: 300_000,
    readiness: "everything",
    load: { archives: [], images: [], folder: "/tmp/run/images" },
    loadInto: ["shop-control-plane"],
    alwaysPullsImages: false,
    logs: { when: "on-failure", folder: "/tmp/logs", artifact: "kind-logs" },
    ignoreFailedClean: false,
  },
  caches: {
    entries: ["node-image"],
    onlyIfFaster: true,
    saves: false,
    restoreTimeoutMs: 120_000,
    saveTimeoutMs: 300_000,
    maxBytes: 2e9,
  },
  warnings: [],
};

const timing = (name: string, start: number, seconds: number, outcome: TaskTiming["outcome"] = "done") => ({
  name,
  start,
  seconds,
  outcome,
});

const cluster = {
  apiServer: "https://127.0.0.1:40001",
  kubernetesVersion: "v1.37.0",
  nodes: [
    { name: "shop-control-plane", role: "control-plane", address: "172.18.0.2" },
    { name: "shop-worker", role: "worker", address: "172.18.0.3" },
  ],
  network: { name: "kind", subnet: "", gateway: "", load_balancer_range: "", api_server: "" },
};

/** Returns a report of a run that succeeded with a cluster, with some fields replaced. */
const reportOf = (fields: Partial<RunReport>): RunReport => ({
  plan,
  succeeded: true,
  seconds: 20,
  timings: [],
  cluster,
  settings: [],
  images: [],
  caches: [],
  ...fields,
});

/** A run that failed before its cluster was ready. */
const failed = { succeeded: false, cluster: undefined } as const;

/** Returns the bars of a summary, by task. */
const barsOf = (summary: string) =>
  Object.fromEntries(
    [...summary.matchAll(/^\| (.*?) \| .*? \| `(.*?)` \|$/gm)].map(([, task, bar]) => [
      task ?? "",
      bar ?? "",
    ]),
  );

describe("renderSummary", () => {
  it("shows the cluster, and the time of each task", () => {
    const timings = [timing("Install kind and kubectl", 0, 2), timing("Create the cluster", 2, 18)];
    const summary = renderSummary(reportOf({ timings }));
    expect(summary.split("\n")).toEqual([
      "### Cluster `shop`: ready after 20.0 s",
      "",
      "Kubernetes v1.37.0, 2 nodes, kind v0.33.0",
      "",
      "| task | time | |",
      "|---|--:|:--|",
      expect.stringMatching(/^\| Install kind and kubectl \| 2\.0 s \| `.*` \|$/),
      expect.stringMatching(/^\| Create the cluster \| 18\.0 s \| `.*` \|$/),
      "",
    ]);
  });

  it("marks failed tasks, and does not describe a cluster that is not ready", () => {
    const timings = [
      timing("Install kind and kubectl", 0, 2),
      timing("Create the cluster", 2, 3.26, "failed"),
    ];
    const summary = renderSummary(reportOf({ ...failed, timings }));
    expect(summary).toContain("### Cluster `shop`: failed after 5.3 s\n");
    expect(summary).toContain("| Create the cluster ✗ | 3.3 s |");
    expect(summary).not.toContain("Kubernetes v");
  });

  it("shows only the tools with `install_only`", () => {
    const summary = renderSummary(
      reportOf({
        plan: { ...plan, cluster: undefined },
        timings: [timing("Install kind and kubectl", 0, 2)],
        cluster: undefined,
      }),
    );
    expect(summary).toContain("### kind and kubectl: ready after 2.0 s\n");
  });

  it("lists the settings of fast start that the cluster has", () => {
    const settings = ["etcd: `unsafe-no-fsync=true`", "CoreDNS: asked each second whether it is ready"];
    const summary = renderSummary(reportOf({ settings }));
    expect(summary).toContain(
      "\nFast start: etcd: `unsafe-no-fsync=true`; CoreDNS: asked each second whether it is ready.\n",
    );
  });

  it("does not list planned settings that the cluster does not have", () => {
    const settings = ["etcd: `unsafe-no-fsync=true`"];
    const fastStart = { settings, folder: "", files: {}, configWithout: "", cni: undefined };
    const planned = { ...plan, cluster: plan.cluster && { ...plan.cluster, fastStart } };
    expect(renderSummary(reportOf({ plan: planned }))).not.toMatch(/fast start|fsync/i);
  });

  it("has no table if no task has run", () => {
    const summary = renderSummary(reportOf(failed));
    expect(summary).toBe("### Cluster `shop`: failed after 0.0 s\n\n");
  });

  it("draws a bar for the time of each task, on one scale", () => {
    const timings = [
      timing("whole", 0, 20),
      timing("first half", 0, 10),
      timing("second half", 10, 10),
      timing("blink", 5, 0),
      timing("last blink", 20, 0),
    ];
    const bars = barsOf(renderSummary(reportOf({ timings })));
    expect(bars.whole).toMatch(/^█+$/);
    const width = bars.whole?.length ?? 0;
    expect(bars["first half"]).toBe("█".repeat(width / 2) + "·".repeat(width / 2));
    expect(bars["second half"]).toBe("·".repeat(width / 2) + "█".repeat(width / 2));
    // Short tasks are visible, and all bars have the same width.
    expect(bars.blink).toMatch(/^·+█·+$/);
    expect(bars["last blink"]).toMatch(/^·+█$/);
    for (const bar of Object.values(bars)) expect(bar).toHaveLength(width);
  });
});

describe("renderImages", () => {
  const loaded: LoadedImage = {
    names: ["docker.io/library/web:1", "docker.io/library/web:latest"],
    id: "sha256:aa",
    outcome: "loaded",
    nodes: ["shop-control-plane", "shop-worker"],
    bytes: 12_345_678,
    seconds: 1.5,
  };

  it("shows names, result, transferred bytes and number of nodes of each image", () => {
    expect(renderImages([loaded])).toEqual([
      "| image | result | transferred | nodes |",
      "|---|---|--:|--:|",
      "| `docker.io/library/web:1`<br>`docker.io/library/web:latest` | loaded | 12.3 MB | 2 |",
      "",
    ]);
  });

  it("shows no bytes for images that were not transferred", () => {
    const unchanged = { ...loaded, names: ["docker.io/library/db:1"], bytes: 0 };
    expect(
      renderImages([
        { ...unchanged, outcome: "re-tagged" },
        { ...unchanged, outcome: "already there" },
      ]),
    ).toEqual(
      expect.arrayContaining([
        "| `docker.io/library/db:1` | re-tagged |  | 2 |",
        "| `docker.io/library/db:1` | already there |  | 2 |",
      ]),
    );
  });

  it("is empty if no images were loaded", () => {
    expect(renderImages([])).toEqual([]);
  });

  it("follows the timings in the summary", () => {
    const timings = [timing("Load images", 0, 2)];
    const lines = renderSummary(reportOf({ timings, images: [loaded] })).split("\n");
    const at = (text: string) => lines.findIndex((line) => line.includes(text));
    expect(at("docker.io/library/web:1")).toBeGreaterThan(at("Load images"));
    // Markdown needs an empty line between tables.
    expect(lines[at("| image |") - 1]).toBe("");
  });
});

describe("renderCaches", () => {
  const restored: ItemReport = {
    entry: "node-image",
    item: "kindest/node:v1.37.0@sha256:aa",
    countsForCacheHit: true,
    outcome: "hit",
    seconds: 7.25,
    bytes: 523_456_789,
    downloadSeconds: 20.05,
  };
  const proxies: ItemReport = {
    entry: "proxies",
    item: "proxies",
    countsForCacheHit: true,
    outcome: "hit",
    seconds: 1.5,
    bytes: 12_345_678,
  };

  it("lists each restored image with its time, its size, and the time saved", () => {
    expect(renderCaches([restored])).toEqual([
      "Restored from cache:",
      "",
      "- `kindest/node:v1.37.0@sha256:aa`: 7.3 s, 523.5 MB, 12.8 s faster than downloading",
      "",
    ]);
  });

  it("says if restoring was slower than downloading", () => {
    const [, , line] = renderCaches([{ ...restored, seconds: 30.05 }]);
    expect(line).toMatch(/: 30\.1 s, 523\.5 MB, 10\.0 s slower than downloading$/);
  });

  it("shows no size if nothing was transferred", () => {
    const [, , line] = renderCaches([{ ...restored, seconds: 0.05, bytes: 0 }]);
    expect(line).toMatch(/^- `kindest\/node:v1\.37\.0@sha256:aa`: 0\.1 s, 20\.0 s faster /);
  });

  it("lists the blobs of proxies, without a comparison", () => {
    expect(renderCaches([proxies])).toEqual(["Restored from cache:", "", "- `proxies`: 1.5 s, 12.3 MB", ""]);
  });

  it("lists no items that were not restored, and no tools", () => {
    const tools: ItemReport = { ...proxies, entry: "tool", item: "kind" };
    for (const outcome of ["miss", "skipped", "failed", "present"] as const)
      expect(renderCaches([{ ...restored, outcome }, { ...proxies, outcome }, tools])).toEqual([]);
    expect(renderCaches([])).toEqual([]);
  });

  it("is a separate list between the timings and the loaded images", () => {
    const timings = [timing("Get node images", 0, 2)];
    const settings = ["etcd: `unsafe-no-fsync=true`"];
    const loaded: LoadedImage = {
      names: ["web:1"],
      id: "sha256:bb",
      outcome: "loaded",
      nodes: ["shop-control-plane"],
      bytes: 1,
      seconds: 1,
    };
    const report = reportOf({ timings, settings, images: [loaded], caches: [restored] });
    const lines = renderSummary(report).split("\n");
    const at = (text: string) => lines.findIndex((line) => line.includes(text));
    const order = ["Get node images", "Fast start:", "Restored from cache:", "web:1"].map(at);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(order).not.toContain(-1);
    // Markdown needs an empty line before and after a list.
    expect(lines[at("- `kindest/node") - 1]).toBe("");
    expect(lines[at("| image |") - 1]).toBe("");
  });

  it("is part of the summary of a run that failed later", () => {
    expect(renderSummary(reportOf({ ...failed, caches: [restored] }))).toContain("Restored from cache:");
  });
});

describe("renderFindings", () => {
  it("shows the findings and the place of the logs", () => {
    expect(renderFindings("shop", "artifact kind-logs-test-shop", ["pod shop/web is Pending"])).toBe(
      "### Logs of cluster `shop`: artifact kind-logs-test-shop\n\n```text\npod shop/web is Pending\n```\n",
    );
  });

  it("shows only the place of the logs without findings", () => {
    expect(renderFindings("shop", "in /tmp/logs on the runner", [])).toBe(
      "### Logs of cluster `shop`: in /tmp/logs on the runner\n",
    );
  });

  it.each(["```", "````", "text ```` text", "a\n```\n<script>", "~~~", "``````"])(
    "keeps log lines inside the code block: %j",
    (line) => {
      const lines = renderFindings("shop", "somewhere", [line, "after"]).split("\n");
      const fences = lines.flatMap((each, index) => (each.includes("```") ? [index] : []));
      // The opening fence, and the one after the last finding.
      expect(fences).toEqual([2, lines.indexOf("after") + 1]);
    },
  );
});
