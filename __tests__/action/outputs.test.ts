import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { EnsuredImage } from "../../src/images/ensure.ts";
import type { CachesPlan, ClusterPlan } from "../../src/plan/plan.ts";
import { readJob } from "../../src/runner/job.ts";
import {
  describeCluster,
  exportClusterVariables,
  exportRegistryAddress,
  setCacheOutput,
  setClusterOutputs,
  setImagesOutput,
  setRunOutputs,
} from "../../src/runner/outputs.ts";
import { dockerDaemon, type KeptContainer, nodeContainer } from "../fixtures/docker-daemon.ts";
import { FakeApi } from "../fixtures/kubernetes-api.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const plan: ClusterPlan = {
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

const version = { "/version": { major: "1", minor: "37", gitVersion: "v1.37.0" } };
const server = "https://127.0.0.1:40001";

/** A daemon with containers on the network `kind`, with the addresses 172.18.0.2 and on. */
async function daemonWith(...containers: readonly KeptContainer[]) {
  const daemon = await dockerDaemon();
  for (const container of containers) daemon.containers.set(container.id, container);
  daemon.networks.set("kind", {
    name: "kind",
    subnets: [{ subnet: "172.18.0.0/16", gateway: "172.18.0.1" }],
    containers: Object.fromEntries(
      containers.map(({ id, name }, index) => [id, { name, ipv4: `172.18.0.${index + 2}/16` }]),
    ),
  });
  return daemon;
}

describe("a cluster that was made", () => {
  it("is described with its version, its nodes and its network", async () => {
    const { engine } = await daemonWith(
      nodeContainer("shop", "worker"),
      nodeContainer("other", "control-plane"),
      nodeContainer("shop", "control-plane"),
    );
    expect(await describeCluster(plan, engine, new FakeApi(version), server)).toEqual({
      apiServer: server,
      kubernetesVersion: "v1.37.0",
      nodes: [
        { name: "shop-control-plane", role: "control-plane", address: "172.18.0.4" },
        { name: "shop-worker", role: "worker", address: "172.18.0.2" },
      ],
      network: {
        name: "kind",
        subnet: "172.18.0.0/16",
        gateway: "172.18.0.1",
        load_balancer_range: "172.18.255.200-172.18.255.250",
        api_server: "https://172.18.0.4:6443",
      },
    });
  });

  it("with several control planes is reached through its load balancer, which is no node", async () => {
    const { engine } = await daemonWith(
      nodeContainer("shop", "control-plane"),
      nodeContainer("shop", "control-plane", "shop-control-plane2"),
      nodeContainer("shop", "control-plane", "shop-control-plane3"),
      nodeContainer("shop", "external-load-balancer"),
    );
    const { nodes, network } = await describeCluster(plan, engine, new FakeApi(version), server);
    expect(nodes.map(({ name }) => name)).toEqual([
      "shop-control-plane",
      "shop-control-plane2",
      "shop-control-plane3",
    ]);
    expect(network.api_server).toBe("https://172.18.0.5:6443");
  });

  it("has its nodes' IPv6 addresses where they have no others", async () => {
    const daemon = await daemonWith(nodeContainer("shop", "control-plane"));
    daemon.networks.set("kind", {
      name: "kind",
      subnets: [{ subnet: "fc00::/64" }],
      containers: { "id-of-shop-control-plane": { name: "shop-control-plane", ipv6: "fc00::2/64" } },
    });
    const { nodes } = await describeCluster(plan, daemon.engine, new FakeApi(version), server);
    expect(nodes).toEqual([{ name: "shop-control-plane", role: "control-plane", address: "fc00::2" }]);
  });

  it("cannot be described without its network", async () => {
    const { engine } = await dockerDaemon();
    await expect(describeCluster(plan, engine, new FakeApi(version), server)).rejects.toThrow(
      'The Docker network "kind" of the cluster "shop" is gone.',
    );
  });
});

describe("what the job's next steps get", () => {
  /** The files that the runner reads after the step, as values by name. */
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
    // These are exported into the process itself as well; stubbed, they are put back.
    vi.stubEnv("KUBECONFIG", undefined);
    vi.stubEnv("KIND_CLUSTER_NAME", undefined);
    vi.stubEnv("LOCAL_REGISTRY", undefined);
    onTestFinished(() => void vi.unstubAllEnvs());
    return { outputs: () => values(output), exported: () => values(env) };
  }

  it("is the cluster as outputs, lists as JSON", () => {
    const { outputs } = runner();
    const network = {
      name: "kind",
      subnet: "172.18.0.0/16",
      gateway: "172.18.0.1",
      load_balancer_range: "172.18.255.200-172.18.255.250",
      api_server: "https://172.18.0.2:6443",
    };
    const nodes = [{ name: "shop-control-plane", role: "control-plane", address: "172.18.0.2" }];
    setClusterOutputs(plan, { apiServer: server, kubernetesVersion: "v1.37.0", nodes, network });
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

  it("is every name that was loaded, with its image's ID, its nodes, and what it took", () => {
    const { outputs } = runner();
    const nodes = ["shop-control-plane", "shop-worker"];
    setImagesOutput([
      { names: ["a:1", "a:2"], id: "sha256:aa", outcome: "loaded", nodes, bytes: 5_000_000, seconds: 1.25 },
      { names: ["b:1"], id: "sha256:bb", outcome: "already there", nodes, bytes: 0, seconds: 1.25 },
    ]);
    expect(JSON.parse(outputs().images ?? "")).toEqual([
      { name: "a:1", id: "sha256:aa", nodes, bytes: 5_000_000, seconds: 1.25 },
      // Another name costs nothing: the sum of all bytes is what was brought.
      { name: "a:2", id: "sha256:aa", nodes, bytes: 0, seconds: 1.25 },
      { name: "b:1", id: "sha256:bb", nodes, bytes: 0, seconds: 1.25 },
    ]);
  });

  it("is an empty list of images where none was loaded", () => {
    const { outputs } = runner();
    setImagesOutput([]);
    expect(outputs()).toEqual({ images: "[]" });
  });

  it("is the tools' versions and the times of every run", () => {
    const { outputs } = runner();
    setRunOutputs(
      { kind: "v0.33.0", kubectl: "v1.37.0" },
      [{ name: "Create the cluster", start: 1, seconds: 2.5, outcome: "done" }],
      20.25,
    );
    expect(outputs()).toEqual({
      kind_version: "v0.33.0",
      kubectl_version: "v1.37.0",
      timings: '{"seconds":20.25,"tasks":[{"name":"Create the cluster","start":1,"seconds":2.5}]}',
    });
  });

  it("is the cluster in the environment, so that kubectl and kind just work", () => {
    const { exported } = runner();
    exportClusterVariables(plan, readJob({}));
    expect(exported()).toEqual({ KUBECONFIG: "/home/me/.kube/config", KIND_CLUSTER_NAME: "shop" });
  });

  it("leaves a $KUBECONFIG alone that the cluster was written to: it may list more files", () => {
    const { exported } = runner();
    exportClusterVariables(plan, readJob({ KUBECONFIG: "/home/me/.kube/config:/home/me/work" }));
    expect(exported()).toEqual({ KIND_CLUSTER_NAME: "shop" });
  });

  it("is where images are pushed to, as an output and in the environment", () => {
    const { outputs, exported } = runner();
    exportRegistryAddress("localhost:5001");
    expect(outputs()).toEqual({ LOCAL_REGISTRY: "localhost:5001" });
    expect(exported()).toEqual({ LOCAL_REGISTRY: "localhost:5001" });
    // What this step starts has it, too.
    expect(process.env.LOCAL_REGISTRY).toBe("localhost:5001");
  });

  describe("is whether what is cached came out of the cache", () => {
    const caches: CachesPlan = {
      nodeImage: true,
      onlyIfFaster: true,
      proxies: "kind-action-proxies-",
      saves: true,
      restoreDeadline: 120_000,
      saveDeadline: 300_000,
      maxSize: 2e9,
    };
    const [first = "", second = ""] = plan.images;
    const image = (reference: string, from: EnsuredImage["from"]): EnsuredImage => ({
      reference,
      name: reference,
      from,
      seconds: 1,
      restored: undefined,
    });
    const hit = (on: Partial<CachesPlan>, came: Partial<Parameters<typeof setCacheOutput>[1]>): unknown => {
      const { outputs } = runner();
      setCacheOutput(
        { ...caches, ...on },
        { images: [], nodeImages: plan.images, proxies: undefined, ...came },
      );
      return JSON.parse(outputs().cache_hit ?? "");
    };

    it("for each kind of it", () => {
      const images = [image(first, "cache"), image(second, "cache")];
      expect(hit({}, { images, proxies: { outcome: "hit", bytes: 1_000 } })).toEqual({
        "node-image": true,
        proxies: true,
      });
      expect(hit({}, { proxies: { outcome: "miss", bytes: 0 } })).toEqual({
        "node-image": false,
        proxies: false,
      });
    });

    it.each(["daemon", "registry"] as const)(
      "which is not so where one of the nodes' images came from a %s",
      (from) => {
        expect(hit({ proxies: undefined }, { images: [image(first, "cache"), image(second, from)] })).toEqual(
          {
            "node-image": false,
          },
        );
      },
    );

    it("where the images of registries do not count", () => {
      const images = [image(first, "cache"), image("registry:3", "registry")];
      expect(hit({ proxies: undefined }, { images, nodeImages: [first] })).toEqual({ "node-image": true });
    });

    it("and says nothing of what is not cached", () => {
      expect(hit({ nodeImage: false, proxies: undefined }, { images: [image(first, "cache")] })).toEqual({});
      expect(hit({ nodeImage: false }, { proxies: { outcome: "skipped", bytes: 0 } })).toEqual({
        proxies: false,
      });
    });

    it("though the run came to an end before anybody asked", () => {
      expect(hit({}, {})).toEqual({ "node-image": false, proxies: false });
    });
  });
});
