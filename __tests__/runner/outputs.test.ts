import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { ClusterPlan } from "../../src/plan/cluster.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { readJob } from "../../src/runner/job.ts";
import {
  exportClusterVariables,
  exportRegistryAddress,
  setClusterOutputs,
  setImagesOutput,
  setRunOutputs,
} from "../../src/runner/outputs.ts";
import type { ItemReport, RunReport } from "../../src/runner/report.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const cluster: ClusterPlan = {
  name: "shop",
  config: "",
  fastStart: undefined,
  registries: undefined,
  loadBalancer: undefined,
  workspace: "/workspace",
  nodes: ["shop-control-plane"],
  images: ["kindest/node:v1.37.0@sha256:aa", "kindest/node:v1.36.0@sha256:bb"],
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
};

const server = "https://127.0.0.1:40001";

const tool = (name: "kind" | "kubectl", version: string) =>
  ({ name, version, architecture: "amd64", checksum: undefined, url: "", checksumUrl: "" }) as const;

const plan: Plan = {
  runId: "12-1-abc",
  folder: "/tmp/run",
  kind: tool("kind", "v0.33.0"),
  kubectl: tool("kubectl", "v1.37.0"),
  cluster,
  caches: {
    entries: ["node-image", "proxies"],
    onlyIfFaster: true,
    saves: true,
    restoreTimeoutMs: 120_000,
    saveTimeoutMs: 300_000,
    maxBytes: 2e9,
  },
  warnings: [],
};

const reportOf = (fields: Partial<RunReport>): RunReport => ({
  plan,
  succeeded: true,
  seconds: 20.25,
  timings: [],
  cluster: undefined,
  settings: [],
  images: [],
  caches: [],
  ...fields,
});

describe("the outputs of a step", () => {
  /** The files that the runner reads after the step. */
  function runner() {
    const folder = temporaryFolder();
    const values = (file: string) =>
      Object.fromEntries(
        [...readFileSync(file, "utf8").matchAll(/^(\w+)<<(\S+)\n([\s\S]*?)\n\2$/gm)].map(
          ([, name, , value]) => [name ?? "", value ?? ""],
        ),
      );
    const [output, env] = [join(folder, "output"), join(folder, "env")];
    for (const [name, file] of Object.entries({ GITHUB_OUTPUT: output, GITHUB_ENV: env })) {
      writeFileSync(file, "");
      vi.stubEnv(name, file);
    }
    // exportVariable() also sets these in this process; unstubAllEnvs restores them.
    vi.stubEnv("KUBECONFIG", undefined);
    vi.stubEnv("KIND_CLUSTER_NAME", undefined);
    vi.stubEnv("LOCAL_REGISTRY", undefined);
    onTestFinished(() => void vi.unstubAllEnvs());
    return { outputs: () => values(output), exported: () => values(env) };
  }

  it("describe the cluster, with lists as JSON", () => {
    const { outputs } = runner();
    const network = {
      name: "kind",
      subnet: "172.18.0.0/16",
      gateway: "172.18.0.1",
      load_balancer_range: "172.18.255.200-172.18.255.250",
      api_server: "https://172.18.0.2:6443",
    };
    const nodes = [{ name: "shop-control-plane", role: "control-plane", address: "172.18.0.2" }];
    setClusterOutputs(cluster, { apiServer: server, kubernetesVersion: "v1.37.0", nodes, network });
    expect(outputs()).toEqual({
      kubeconfig: "/home/me/.kube/config",
      context: "kind-shop",
      cluster_name: "shop",
      api_server: server,
      kubernetes_version: "v1.37.0",
      node_image: "kindest/node:v1.37.0@sha256:aa",
      nodes: JSON.stringify(nodes),
      network: JSON.stringify(network),
    });
  });

  it("list each loaded name, with image ID, nodes, bytes and seconds", () => {
    const { outputs } = runner();
    const nodes = ["shop-control-plane", "shop-worker"];
    setImagesOutput([
      { names: ["a:1", "a:2"], id: "sha256:aa", outcome: "loaded", nodes, bytes: 5_000_000, seconds: 1.25 },
      { names: ["b:1"], id: "sha256:bb", outcome: "already there", nodes, bytes: 0, seconds: 1.25 },
    ]);
    expect(JSON.parse(outputs().images ?? "")).toEqual([
      { name: "a:1", id: "sha256:aa", nodes, bytes: 5_000_000, seconds: 1.25 },
      // Only the first name has bytes, so that their sum is the number of transferred bytes.
      { name: "a:2", id: "sha256:aa", nodes, bytes: 0, seconds: 1.25 },
      { name: "b:1", id: "sha256:bb", nodes, bytes: 0, seconds: 1.25 },
    ]);
  });

  it("contain an empty list if no images were loaded", () => {
    const { outputs } = runner();
    setImagesOutput([]);
    expect(outputs()).toEqual({ images: "[]" });
  });

  it("include the variables with which kubectl and kind use the cluster", () => {
    const { exported } = runner();
    exportClusterVariables(cluster, readJob({}));
    expect(exported()).toEqual({ KUBECONFIG: "/home/me/.kube/config", KIND_CLUSTER_NAME: "shop" });
  });

  it("do not replace a KUBECONFIG that contains the kubeconfig of the cluster", () => {
    const { exported } = runner();
    exportClusterVariables(cluster, readJob({ KUBECONFIG: "/home/me/.kube/config:/home/me/work" }));
    expect(exported()).toEqual({ KIND_CLUSTER_NAME: "shop" });
  });

  it("include the address of the local registry, also as a variable", () => {
    const { outputs, exported } = runner();
    exportRegistryAddress("localhost:5001");
    expect(outputs()).toEqual({ LOCAL_REGISTRY: "localhost:5001" });
    expect(exported()).toEqual({ LOCAL_REGISTRY: "localhost:5001" });
    // Programs of this step have the variable, too.
    expect(process.env.LOCAL_REGISTRY).toBe("localhost:5001");
  });

  it("contain the versions of the tools, the timings, images and cache hits of a run", () => {
    const { outputs } = runner();
    setRunOutputs(
      reportOf({ timings: [{ name: "Create the cluster", start: 1, seconds: 2.5, outcome: "done" }] }),
    );
    expect(outputs()).toEqual({
      kind_version: "v0.33.0",
      kubectl_version: "v1.37.0",
      timings: '{"seconds":20.25,"tasks":[{"name":"Create the cluster","start":1,"seconds":2.5}]}',
      images: "[]",
      cache_hit: '{"node-image":false,"proxies":false}',
    });
  });

  describe("cache_hit", () => {
    const [first = "", second = ""] = cluster.images;
    const image = (item: string, outcome: ItemReport["outcome"], countsForCacheHit = true): ItemReport => ({
      entry: "node-image",
      item,
      countsForCacheHit,
      outcome,
      bytes: 0,
      seconds: 1,
    });
    const proxies = (outcome: ItemReport["outcome"]): ItemReport => ({
      ...image("proxies", outcome),
      entry: "proxies",
    });
    const hits = (caches: readonly ItemReport[], entries = ["node-image", "proxies"]): unknown => {
      const { outputs } = runner();
      setRunOutputs(reportOf({ caches, plan: { ...plan, caches: { ...plan.caches, entries } } }));
      return JSON.parse(outputs().cache_hit ?? "");
    };

    it("is true for each entry that was restored", () => {
      expect(hits([image(first, "hit"), image(second, "hit"), proxies("hit")])).toEqual({
        "node-image": true,
        proxies: true,
      });
      expect(hits([image(first, "miss"), proxies("miss")])).toEqual({ "node-image": false, proxies: false });
    });

    it.each(["present", "miss", "skipped", "failed"] as const)(
      "is false if one node image has the outcome %s",
      (outcome) => {
        expect(hits([image(first, "hit"), image(second, outcome)], ["node-image"])).toEqual({
          "node-image": false,
        });
      },
    );

    it("ignores images that are not node images", () => {
      const caches = [image(first, "hit"), image("registry:3", "miss", false)];
      expect(hits(caches, ["node-image"])).toEqual({ "node-image": true });
    });

    it("contains only enabled entries", () => {
      expect(hits([image(first, "hit")], [])).toEqual({});
      expect(hits([proxies("skipped")], ["proxies"])).toEqual({ proxies: false });
    });

    it("does not contain tools, which are always cached", () => {
      expect(hits([{ ...image("kind", "hit"), entry: "tool" }], ["node-image"])).toEqual({
        "node-image": false,
      });
    });

    it("is false for entries without a report", () => {
      expect(hits([])).toEqual({ "node-image": false, proxies: false });
    });
  });
});
