import { describe, expect, it } from "vitest";
import type { EnsuredImage } from "../../src/images/ensure.ts";
import type { LoadedImage } from "../../src/images/load/load-images.ts";
import type { TaskTiming } from "../../src/lib/task-graph.ts";
import type { Plan } from "../../src/plan/plan.ts";
import {
  type CachedThings,
  renderCaches,
  renderFindings,
  renderImages,
  renderSummary,
} from "../../src/runner/summary.ts";

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
    nodeImage: true,
    onlyIfFaster: true,
    proxies: undefined,
    saves: false,
    restoreDeadline: 120_000,
    saveDeadline: 300_000,
    maxSize: 2e9,
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

/** The bars of a summary, by task. */
const barsOf = (summary: string) =>
  Object.fromEntries(
    [...summary.matchAll(/^\| (.*?) \| .*? \| `(.*?)` \|$/gm)].map(([, task, bar]) => [
      task ?? "",
      bar ?? "",
    ]),
  );

describe("the summary of a run", () => {
  it("tells what was made, and how long each part took", () => {
    const timings = [timing("Install kind and kubectl", 0, 2), timing("Create the cluster", 2, 18)];
    const summary = renderSummary({ plan, timings, cluster, settings: [], images: [], succeeded: true });
    expect(summary.split("\n")).toEqual([
      "### Cluster `shop`: ready after 20.0 s",
      "",
      "Kubernetes v1.37.0, 2 node(s), kind v0.33.0",
      "",
      "| | took | |",
      "|---|--:|:--|",
      expect.stringMatching(/^\| Install kind and kubectl \| 2\.0 s \| `.*` \|$/),
      expect.stringMatching(/^\| Create the cluster \| 18\.0 s \| `.*` \|$/),
      "",
    ]);
  });

  it("marks what failed, and says nothing of a cluster that never came up", () => {
    const timings = [
      timing("Install kind and kubectl", 0, 2),
      timing("Create the cluster", 2, 3.26, "failed"),
    ];
    const summary = renderSummary({
      plan,
      timings,
      cluster: undefined,
      settings: [],
      images: [],
      succeeded: false,
    });
    expect(summary).toContain("### Cluster `shop`: failed after 5.3 s\n");
    expect(summary).toContain("| Create the cluster ✗ | 3.3 s |");
    expect(summary).not.toContain("Kubernetes v");
  });

  it("is of the tools alone with `install_only`", () => {
    const summary = renderSummary({
      plan: { ...plan, cluster: undefined },
      timings: [timing("Install kind and kubectl", 0, 2)],
      cluster: undefined,
      settings: [],
      images: [],
      succeeded: true,
    });
    expect(summary).toContain("### kind and kubectl: ready after 2.0 s\n");
  });

  it("lists the settings of fast start that the cluster has", () => {
    const settings = ["etcd: `unsafe-no-fsync=true`", "CoreDNS: asked each second whether it is ready"];
    const summary = renderSummary({ plan, timings: [], cluster, settings, images: [], succeeded: true });
    expect(summary).toContain(
      "\nFast start: etcd: `unsafe-no-fsync=true`; CoreDNS: asked each second whether it is ready.\n",
    );
  });

  it("lists none that the cluster does not have, though they were planned", () => {
    const settings = ["etcd: `unsafe-no-fsync=true`"];
    const fastStart = { settings, folder: "", files: {}, configWithout: "", cni: undefined };
    const planned = { ...plan, cluster: plan.cluster && { ...plan.cluster, fastStart } };
    const story = { plan: planned, timings: [], cluster, images: [], succeeded: true };
    expect(renderSummary({ ...story, settings: [] })).not.toMatch(/fast start|fsync/i);
  });

  it("has no table where nothing had begun", () => {
    const summary = renderSummary({
      plan,
      timings: [],
      cluster: undefined,
      settings: [],
      images: [],
      succeeded: false,
    });
    expect(summary).toBe("### Cluster `shop`: failed after 0.0 s\n\n");
  });

  it("draws a bar for each task from when to when it ran, all on one scale", () => {
    const timings = [
      timing("whole", 0, 20),
      timing("first half", 0, 10),
      timing("second half", 10, 10),
      timing("blink", 5, 0),
      timing("last blink", 20, 0),
    ];
    const bars = barsOf(renderSummary({ plan, timings, cluster, settings: [], images: [], succeeded: true }));
    expect(bars.whole).toMatch(/^█+$/);
    const width = bars.whole?.length ?? 0;
    expect(bars["first half"]).toBe("█".repeat(width / 2) + "·".repeat(width / 2));
    expect(bars["second half"]).toBe("·".repeat(width / 2) + "█".repeat(width / 2));
    // However short, it can be seen, and no bar is longer than the others.
    expect(bars.blink).toMatch(/^·+█·+$/);
    expect(bars["last blink"]).toMatch(/^·+█$/);
    for (const bar of Object.values(bars)) expect(bar).toHaveLength(width);
  });
});

describe("the summary of what was loaded", () => {
  const loaded: LoadedImage = {
    names: ["docker.io/library/web:1", "docker.io/library/web:latest"],
    id: "sha256:aa",
    outcome: "loaded",
    nodes: ["shop-control-plane", "shop-worker"],
    bytes: 12_345_678,
    seconds: 1.5,
  };

  it("tells of each image its names, what was brought for it, and how many nodes have it", () => {
    expect(renderImages([loaded])).toEqual([
      "| image | | brought | nodes |",
      "|---|---|--:|--:|",
      "| `docker.io/library/web:1`<br>`docker.io/library/web:latest` | loaded | 12.3 MB | 2 |",
      "",
    ]);
  });

  it("says where nothing had to be brought", () => {
    const there = { ...loaded, names: ["docker.io/library/db:1"], bytes: 0 };
    expect(
      renderImages([
        { ...there, outcome: "re-tagged" },
        { ...there, outcome: "already there" },
      ]),
    ).toEqual(
      expect.arrayContaining([
        "| `docker.io/library/db:1` | re-tagged |  | 2 |",
        "| `docker.io/library/db:1` | already there |  | 2 |",
      ]),
    );
  });

  it("is empty where nothing was loaded", () => {
    expect(renderImages([])).toEqual([]);
  });

  it("is below the times of the run", () => {
    const timings = [timing("Load images", 0, 2)];
    const lines = renderSummary({
      plan,
      timings,
      cluster,
      settings: [],
      images: [loaded],
      succeeded: true,
    }).split("\n");
    const at = (text: string) => lines.findIndex((line) => line.includes(text));
    expect(at("docker.io/library/web:1")).toBeGreaterThan(at("Load images"));
    // Two tables of Markdown's, with an empty line between them.
    expect(lines[at("| image |") - 1]).toBe("");
  });
});

describe("the summary of what came out of the cache", () => {
  const restored: EnsuredImage = {
    reference: "kindest/node:v1.37.0@sha256:aa",
    name: "kind-action/restored:aa",
    from: "cache",
    seconds: 7.25,
    restored: { outcome: "hit", bytes: 523_456_789, pulled: 20.05 },
  };
  const from = (images: readonly EnsuredImage[], proxies?: CachedThings["proxies"]) =>
    renderCaches({ images, nodeImages: [], proxies });

  it("tells of each image how long it took, and how long it once took to pull it", () => {
    expect(from([restored])).toEqual([
      "Out of the cache came:",
      "",
      "- `kindest/node:v1.37.0@sha256:aa` in 7.3 s, 523.5 MB: 12.8 s less than it once took to pull it",
      "",
    ]);
  });

  it("says so where it took longer", () => {
    const [, , line] = from([{ ...restored, seconds: 30.05 }]);
    expect(line).toMatch(/ in 30\.1 s, 523\.5 MB: 10\.0 s more than it once took to pull it$/);
  });

  it("says nothing of bytes where the daemon had the image already", () => {
    const [, , line] = from([
      { ...restored, seconds: 0.05, restored: { outcome: "hit", bytes: 0, pulled: 20.05 } },
    ]);
    expect(line).toMatch(/^- `kindest\/node:v1\.37\.0@sha256:aa` in 0\.1 s: 20\.0 s less /);
  });

  it("tells what the proxies got back", () => {
    expect(from([], { outcome: "hit", bytes: 12_345_678 })).toEqual([
      "Out of the cache came:",
      "",
      "- what the proxies had, 12.3 MB",
      "",
    ]);
  });

  it("says nothing of what was pulled, or was there, or was asked for in vain", () => {
    const pulled: EnsuredImage = { ...restored, from: "registry", restored: { outcome: "miss", bytes: 0 } };
    const there: EnsuredImage = { ...restored, from: "daemon", restored: undefined };
    for (const outcome of ["miss", "skipped", "failed"] as const)
      expect(from([pulled, there], { outcome, bytes: 0 })).toEqual([]);
    expect(renderCaches(undefined)).toEqual([]);
  });

  it("is between the times of the run and what was loaded, a list of its own", () => {
    const timings = [timing("Get the node image", 0, 2)];
    const caches = { images: [restored], nodeImages: [], proxies: undefined };
    const settings = ["etcd: `unsafe-no-fsync=true`"];
    const loaded: LoadedImage = {
      names: ["web:1"],
      id: "sha256:bb",
      outcome: "loaded",
      nodes: ["shop-control-plane"],
      bytes: 1,
      seconds: 1,
    };
    const story = { plan, timings, cluster, settings, images: [loaded], caches, succeeded: true };
    const lines = renderSummary(story).split("\n");
    const at = (text: string) => lines.findIndex((line) => line.includes(text));
    const order = ["Get the node image", "Fast start:", "Out of the cache came:", "web:1"].map(at);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(order).not.toContain(-1);
    // Markdown wants an empty line before a list, and behind it.
    expect(lines[at("- `kindest/node") - 1]).toBe("");
    expect(lines[at("| image |") - 1]).toBe("");
  });

  it("is there of a run that failed afterwards, too", () => {
    const caches = { images: [restored], nodeImages: [], proxies: undefined };
    const story = {
      plan,
      timings: [],
      cluster: undefined,
      settings: [],
      images: [],
      caches,
      succeeded: false,
    };
    expect(renderSummary(story)).toContain("Out of the cache came:");
  });
});

describe("the findings after a failure", () => {
  it("are told with where the logs are", () => {
    expect(renderFindings("shop", "the artifact kind-logs-test-shop", ["pod shop/web is Pending"])).toBe(
      "### Logs of cluster `shop`: the artifact kind-logs-test-shop\n\n```text\npod shop/web is Pending\n```\n",
    );
  });

  it("may be none", () => {
    expect(renderFindings("shop", "in /tmp/logs on the runner", [])).toBe(
      "### Logs of cluster `shop`: in /tmp/logs on the runner\n",
    );
  });

  it.each(["```", "````", "text ```` text", "a\n```\n<script>", "~~~", "``````"])(
    "stay text, whatever pods say: %j",
    (said) => {
      const lines = renderFindings("shop", "somewhere", [said, "after"]).split("\n");
      const fences = lines.flatMap((line, index) => (line.includes("```") ? [index] : []));
      // The fence that opens, and the one behind the last finding.
      expect(fences).toEqual([2, lines.indexOf("after") + 1]);
    },
  );
});
