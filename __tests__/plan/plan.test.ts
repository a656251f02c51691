import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { ArchiveFile } from "../../src/archive/find-archives.ts";
import { InvalidInputsError } from "../../src/lib/errors.ts";
import { createPlan, type PlanContext } from "../../src/plan/plan.ts";
import { readInputs } from "../../src/runner/inputs.ts";
import { type Daemon, type Job, readJob } from "../../src/runner/job.ts";
import { nodeImageFor } from "../../src/versions/releases.ts";

const kindHead = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

const job: Job = {
  ...readJob({}),
  architecture: "amd64",
  workspace: "/workspace",
  temp: "/runner/_temp",
  systemTemp: "/tmp",
  home: "/home/me",
  id: "e2e",
};

const daemon: Daemon = {
  endpoint: { DOCKER_HOST: "unix:///var/run/docker.sock" },
  info: {
    version: "28.0.4",
    apiVersion: "1.48",
    cgroupVersion: 2,
    rootDirectory: "/var/lib/docker",
    local: true,
  },
  takenNames: [],
  freeBytes: 20e9,
};

/** What is planned for inputs as a workflow gives them, on a runner that has all it takes unless said otherwise. */
async function planFor(
  given: Readonly<Record<string, string>> = {},
  on: Partial<Omit<PlanContext, "job" | "inputs">> & {
    job?: Partial<Job>;
    archives?: readonly ArchiveFile[];
  } = {},
) {
  const read = await readInputs((name) => given[name] ?? "", "/workspace");
  const inputs =
    on.archives === undefined ? read : { ...read, load: { ...read.load, archives: on.archives } };
  const { plan, problems } = createPlan({
    inputs,
    daemon,
    latest: undefined,
    runId: "12-1-abc",
    event: { name: "push", ref: "refs/heads/main", defaultBranch: "main" },
    ...on,
    job: { ...job, ...on.job },
  });
  return {
    plan,
    problems: problems.map(({ input, reason }) => `${input}: ${reason}`),
    /** As the user reads it. */
    message: new InvalidInputsError(problems).message,
    cluster: plan.cluster,
  };
}

const imageOf = (kubernetes: string, kind = "v0.33.0") => nodeImageFor(kind, kubernetes)?.image ?? "none";

const configWith = (...lines: string[]) => kindHead + lines.join("\n");

describe("a run with nothing but defaults", () => {
  it("makes one cluster of kind's own name, with kind's own image, and the kubectl that belongs to it", async () => {
    const { plan, problems } = await planFor();
    expect(problems).toEqual([]);
    expect(plan.warnings).toEqual([]);
    expect(plan).toMatchObject({
      run: "12-1-abc",
      folder: "/runner/_temp/kind-action-12-1-abc",
      kind: { name: "kind", version: "v0.33.0" },
      kubectl: { name: "kubectl", version: "v1.37.0" },
      cluster: {
        name: "kind",
        nodes: ["kind-control-plane"],
        images: [imageOf("1.37")],
        network: "kind",
        kubeconfig: "/home/me/.kube/config",
        wait: 300_000,
        readiness: "everything",
        load: { archives: [], images: [] },
        loadInto: ["kind-control-plane"],
        alwaysPullsImages: false,
        logs: { when: "on-failure", artifact: "kind-logs-e2e-kind" },
        ignoreFailedClean: false,
      },
    });
    expect(parse(plan.cluster?.config ?? "")).toMatchObject({
      name: "kind",
      nodes: [{ role: "control-plane", image: imageOf("1.37") }],
    });
  });

  it("is the same plan each time", async () => {
    expect(await planFor()).toEqual(await planFor());
  });
});

describe("the cluster's name", () => {
  const config = configWith("name: from-config");
  const env = { clusterName: "from-env" };

  it("is that of the input, before the configuration's, before $KIND_CLUSTER_NAME, before kind's own", async () => {
    const nameOf = async (given: Record<string, string>, of: Partial<Job>) =>
      (await planFor(given, { job: of })).cluster?.name;
    expect(await nameOf({ cluster_name: "from-input", config }, env)).toBe("from-input");
    expect(await nameOf({ config }, env)).toBe("from-config");
    expect(await nameOf({}, env)).toBe("from-env");
    expect(await nameOf({}, {})).toBe("kind");
  });

  it("goes into the configuration, the logs' folder and their artifact", async () => {
    const { cluster } = await planFor({ cluster_name: "shop", config });
    expect(parse(cluster?.config ?? "")).toMatchObject({ name: "shop" });
    expect(cluster?.logs).toMatchObject({
      folder: "/tmp/kind-logs-shop-12-1-abc",
      artifact: "kind-logs-e2e-shop",
    });
  });

  it("must not be taken: the one that is there is left alone, and how to be rid of it is said", async () => {
    const { message } = await planFor(
      { cluster_name: "shop" },
      { daemon: { ...daemon, takenNames: ["shop"] } },
    );
    expect(message).toBe(
      'cluster_name "shop": a cluster of that name is there already, and is left alone. Give this one another name, or remove that one: `kind delete cluster --name shop; docker ps --all --quiet --filter label=kind-action.cluster=shop | xargs --no-run-if-empty docker rm --force --volumes; docker volume rm --force kind-action.shop`',
    );
    expect((await planFor({}, { daemon: { ...daemon, takenNames: ["kind-2"] } })).problems).toEqual([]);
  });

  it("must leave room for a node's name in a host name", async () => {
    expect((await planFor({ cluster_name: "x".repeat(49) })).problems).toEqual([]);
    const { problems } = await planFor({ cluster_name: "x".repeat(50) });
    expect(problems).toEqual([
      "cluster_name: is too long: a host name has at most 63 letters, and xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-control-plane is one; 49 are left for the cluster's",
    ]);
  });

  it.each(["../../etc", "A", "my cluster", "--config", "$(id)"])(
    "is checked wherever it comes from: %s",
    async (name) => {
      const rule =
        "as the name of a cluster, wants lower-case letters, digits, dots and hyphens, with a letter or digit first";
      expect((await planFor({ config: configWith(`name: ${JSON.stringify(name)}`) })).problems).toEqual([
        `config: ${rule}`,
      ]);
      expect((await planFor({}, { job: { clusterName: name } })).problems).toEqual([`cluster_name: ${rule}`]);
    },
  );
});

describe("the name of a cluster with several control planes", () => {
  it("must leave room for the load balancer's", async () => {
    const config = configWith("nodes:", "- role: control-plane", "- role: control-plane");
    expect((await planFor({ config, cluster_name: "x".repeat(40) })).problems).toEqual([]);
    expect((await planFor({ config, cluster_name: "x".repeat(41) })).problems).toHaveLength(1);
  });
});

describe("the nodes' images", () => {
  const mine = `registry.example/node:v1.34.11@sha256:${"c".repeat(64)}`;
  const config = configWith("nodes:", "- role: control-plane", `  image: ${mine}`, "- role: worker");

  it("are that of the input, before the configuration's, before kind's own", async () => {
    const imagesOf = async (given: Record<string, string>) =>
      parse((await planFor(given)).cluster?.config ?? "").nodes.map(({ image }: { image: string }) => image);
    expect(await imagesOf({ node_image: imageOf("1.35"), config })).toEqual([
      imageOf("1.35"),
      imageOf("1.35"),
    ]);
    expect(await imagesOf({ kubernetes_version: "1.35", config })).toEqual([
      imageOf("1.35"),
      imageOf("1.35"),
    ]);
    expect(await imagesOf({ config })).toEqual([mine, imageOf("1.37")]);
  });

  it("are those of the kind release that is used", async () => {
    const { plan, problems } = await planFor({ version: "v0.30.0" });
    expect(problems).toEqual([]);
    expect(plan.cluster?.images).toEqual([imageOf("stable", "v0.30.0")]);
    expect((await planFor({ version: "v0.30.0", kubernetes_version: "1.34" })).cluster?.images).toEqual([
      imageOf("1.34", "v0.30.0"),
    ]);
  });

  it("are fetched once each, and counted for each node", async () => {
    const three = configWith("nodes:", "- role: control-plane", "- role: worker", "- role: worker");
    expect((await planFor({ config: three })).cluster).toMatchObject({
      nodes: ["kind-control-plane", "kind-worker", "kind-worker2"],
      images: [imageOf("1.37")],
    });
  });

  it("do not exist for a Kubernetes that the kind release has none for, and those that it has are told", async () => {
    const { problems } = await planFor({ kubernetes_version: "1.21" });
    expect(problems).toEqual([
      "kubernetes_version: kind v0.33.0 has no node image for it. It has: 1.37.0, 1.36.4, 1.35.8, 1.34.11",
    ]);
  });

  it("have to be named with a kind that nobody here knows", async () => {
    expect((await planFor({ version: "v0.99.0" })).problems).toEqual([
      "version: is a kind whose node images this version of the action does not know: name one with `node_image`",
    ]);
    expect((await planFor({ version: "v0.99.0", kubernetes_version: "1.34" })).problems).toEqual([
      "kubernetes_version: kind v0.99.0 has no node image for it. It has: none that this version of the action knows; name one with `node_image`",
    ]);
    expect((await planFor({ version: "v0.99.0", node_image: mine })).problems).toEqual([]);
  });

  it("are warned of when they are named without a digest", async () => {
    const { plan } = await planFor({ node_image: "kindest/node:v1.34.11" });
    expect(plan.warnings).toEqual([
      "The node image kindest/node:v1.34.11 is named without a digest: what it is may change between runs.",
    ]);
  });

  it("are warned of, once, when nobody here knows their digest", async () => {
    const { plan } = await planFor({
      config: configWith(
        "nodes:",
        "- role: control-plane",
        `  image: ${mine}`,
        "- role: worker",
        `  image: ${mine}`,
      ),
    });
    expect(plan.warnings).toEqual([
      `The node image ${mine} is not one that was released with a kind this action knows: whether it fits kind v0.33.0 shows when it starts.`,
    ]);
  });
});

describe("what does not go together", () => {
  it("is refused, with what does", async () => {
    const old = { ...daemon, info: { ...daemon.info, cgroupVersion: 1 as const } };
    const { message } = await planFor({ kubernetes_version: "1.35" }, { daemon: old });
    expect(message).toBe(
      'kubernetes_version "1.35": Kubernetes v1.35.8 does not run on cgroup v1, which the Docker daemon has: use `kubernetes_version: 1.34`, or a runner with cgroup v2 (every Ubuntu since 22.04)',
    );
    expect((await planFor({ kubernetes_version: "1.34" }, { daemon: old })).problems).toEqual([]);
  });

  it("is told of the input that names the image", async () => {
    const image = imageOf("1.37");
    const input = async (given: Record<string, string>) =>
      (await planFor({ version: "v0.31.0", ...given })).problems.map((problem) => problem.split(":")[0]);
    expect(await input({ node_image: image })).toEqual(["node_image"]);
    expect(
      await input({ config: configWith("nodes:", "- role: control-plane", `  image: ${image}`) }),
    ).toEqual(["config"]);
  });

  it.each([
    { version: "banana" },
    { version_file: "/nonexistent/version" },
    { config: "/nonexistent/cluster.yaml" },
    { kubernetes_version: "one thirty-four" },
  ])("is not judged by a default that stands in for what could not be read: %o", async (given) => {
    const old = { ...daemon, info: { ...daemon.info, cgroupVersion: 1 as const } };
    const { problems } = await planFor(given, { daemon: old });
    expect(problems).toEqual([expect.stringMatching(`^${Object.keys(given)[0]}: `)]);
  });
});

describe("everything that stands in the way", () => {
  it("is told at once: of the inputs, of how they go together, of the machine", async () => {
    const { message } = await planFor(
      { wait: "soon", kubernetes_version: "1.21", cluster_name: "shop" },
      { daemon: { ...daemon, takenNames: ["shop"], freeBytes: 1e9 } },
    );
    expect(message.split("\n").map((line) => line.split(":")[0])).toEqual([
      "4 problems, nothing was made",
      '- wait "soon"',
      '- kubernetes_version "1.21"',
      '- cluster_name "shop"',
      "- runner",
    ]);
  });
});

describe("the machine", () => {
  it("has to have room for the nodes and for what they load", async () => {
    const archives = [{ path: "/workspace/images.tar", bytes: 1e9 }];
    const config = configWith("nodes:", "- role: control-plane", "- role: worker", "- role: worker");
    const { message } = await planFor({ config }, { archives, daemon: { ...daemon, freeBytes: 5e9 } });
    expect(message).toBe(
      "runner: the disk under /var/lib/docker has 5.0 GB free, and 3 node(s) with what they load need about 6.0 GB",
    );
    const enough = { ...daemon, freeBytes: 7e9 };
    expect((await planFor({ config }, { archives, daemon: enough })).problems).toEqual([]);
  });

  it("may have a daemon elsewhere, with room that nobody knows", async () => {
    expect((await planFor({}, { daemon: { ...daemon, freeBytes: undefined } })).problems).toEqual([]);
  });

  it("has to have a daemon, and what to do without one is said", async () => {
    const problem = "There is no `docker` on PATH.";
    expect((await planFor({}, { daemon: { problem } })).message).toBe(`runner: ${problem}`);
  });
});

describe("install_only", () => {
  it("makes no cluster and needs no Docker", async () => {
    const { plan, problems } = await planFor({ install_only: "true" }, { daemon: { problem: "no Docker" } });
    expect(problems).toEqual([]);
    expect(plan).toMatchObject({
      cluster: undefined,
      kind: { version: "v0.33.0" },
      kubectl: { version: "v1.37.0" },
    });
  });

  it("has the kubectl of the Kubernetes that is asked for", async () => {
    const { plan } = await planFor({ install_only: "true", kubernetes_version: "1.34" });
    expect(plan.kubectl.version).toBe("v1.34.11");
  });

  it("is stopped by a bad input all the same", async () => {
    const { problems } = await planFor({ install_only: "true", wait: "soon" });
    expect(problems).toEqual([expect.stringContaining("wait: wants a duration")]);
  });
});

describe("the kubeconfig", () => {
  const kubeconfigOf = async (given: Record<string, string>, of: Partial<Job>) =>
    (await planFor(given, { job: of })).cluster?.kubeconfig;

  it("is the input's, before all others", async () => {
    const all = { selfHosted: true, kubeconfig: "/home/me/from-env" };
    expect(await kubeconfigOf({ kubeconfig: "out/config" }, all)).toBe("/workspace/out/config");
  });

  it("is the job's own on a self-hosted runner, where other jobs use the user's", async () => {
    const all = { selfHosted: true, kubeconfig: "/home/me/from-env" };
    expect(await kubeconfigOf({}, all)).toBe("/runner/_temp/kind-action-12-1-abc/kubeconfig");
  });

  it("is where kind would write it on a runner of the job's own", async () => {
    expect(await kubeconfigOf({}, { kubeconfig: "/home/me/from-env" })).toBe("/home/me/from-env");
    expect(await kubeconfigOf({}, {})).toBe("/home/me/.kube/config");
  });
});

describe("kind's version", () => {
  it("is what GitHub says is the latest", async () => {
    const { plan } = await planFor({ version: "latest" }, { latest: "v0.32.0" });
    expect(plan.kind.version).toBe("v0.32.0");
    expect(plan.warnings).toEqual([]);
  });

  it("is the newest that is known, with a warning, where GitHub does not say", async () => {
    const { plan } = await planFor({ version: "latest" }, { latest: { problem: "ECONNREFUSED" } });
    expect(plan.kind.version).toBe("v0.33.0");
    expect(plan.warnings).toEqual([
      "The latest version of kind cannot be found out (ECONNREFUSED): v0.33.0 is used, the newest that this version of the action knows.",
    ]);
  });
});

describe("kubectl's version", () => {
  const versionFor = async (given: Record<string, string>) => (await planFor(given)).plan.kubectl.version;

  it("is the input's", async () => {
    expect(await versionFor({ kubectl_version: "1.36.3", kubernetes_version: "1.34" })).toBe("v1.36.3");
  });

  it("is the cluster's own", async () => {
    expect(await versionFor({ kubernetes_version: "1.35" })).toBe("v1.35.8");
    expect(await versionFor({ node_image: "kindest/node:v1.35.4" })).toBe("v1.35.4");
  });

  it("is the newest of the cluster's minor release where its own is not known by hash", async () => {
    expect(await versionFor({ node_image: "kindest/node:v1.34.99" })).toBe("v1.34.11");
  });

  it("is that of kind's own image where nobody can tell the cluster's", async () => {
    expect(await versionFor({ node_image: "registry.example/node:latest" })).toBe("v1.37.0");
    expect(await versionFor({ node_image: "registry.example/node:latest", version: "v0.30.0" })).toMatch(
      /^v1\.34\./,
    );
    // Of a kind that nobody here knows: the newest that is known.
    expect(await versionFor({ node_image: "registry.example/node:latest", version: "v0.99.0" })).toBe(
      "v1.37.0",
    );
  });

  it("is the cluster's own, though unknown, where not even its minor release is known", async () => {
    expect(await versionFor({ node_image: "kindest/node:v1.99.0" })).toBe("v1.99.0");
  });
});

describe("where the tools come from", () => {
  it("is upstream, with upstream's sums, for the runner's architecture", async () => {
    const { plan } = await planFor({ kubectl_version: "v1.36.3" }, { job: { architecture: "arm64" } });
    expect(plan.kind).toMatchObject({
      architecture: "arm64",
      checksum: "20022bee6cfcd5086cb7234d218e3454e6090022f2a8f55d1fa7fcf42c3867a2",
      url: "https://github.com/kubernetes-sigs/kind/releases/download/v0.33.0/kind-linux-arm64",
      checksumUrl:
        "https://github.com/kubernetes-sigs/kind/releases/download/v0.33.0/kind-linux-arm64.sha256sum",
    });
    expect(plan.kubectl).toMatchObject({
      checksum: "3d86f24401c41ae5a46ac50eef8865fe891d3647d324a0836f6c63757a126e62",
      url: "https://dl.k8s.io/release/v1.36.3/bin/linux/arm64/kubectl",
      checksumUrl: "https://dl.k8s.io/release/v1.36.3/bin/linux/arm64/kubectl.sha256",
    });
  });

  it("may be a mirror, which lays things out as upstream does", async () => {
    const { plan } = await planFor({
      download_base_url: "kind=https://mirror.example/kind/\nkubectl=https://mirror.example/k8s",
      kubectl_version: "v1.36.3",
    });
    expect(plan.kind.url).toBe("https://mirror.example/kind/v0.33.0/kind-linux-amd64");
    expect(plan.kubectl.url).toBe("https://mirror.example/k8s/v1.36.3/bin/linux/amd64/kubectl");
  });

  it("has the sums that are given rather than the known ones", async () => {
    const sum = "d".repeat(64);
    const { plan } = await planFor({ checksums: `kind=${sum}` });
    expect(plan.kind.checksum).toBe(sum);
    expect(plan.kubectl.checksum).toMatch(/^[0-9a-f]{64}$/);
    expect(plan.kubectl.checksum).not.toBe(sum);
  });

  it("is warned of where only the published sum can be checked", async () => {
    const { plan } = await planFor({ kubectl_version: "v1.99.0" });
    expect(plan.kubectl.checksum).toBeUndefined();
    expect(plan.warnings).toEqual([
      "kubectl v1.99.0 is not among the versions this action knows by hash: its download is checked against https://dl.k8s.io/release/v1.99.0/bin/linux/amd64/kubectl.sha256 alone. `checksums` can pin it.",
    ]);
    const pinned = await planFor({ kubectl_version: "v1.99.0", checksums: `kubectl=${"d".repeat(64)}` });
    expect(pinned.plan.warnings).toEqual([]);
  });
});

describe("how far ready a cluster gets", () => {
  it("is no further than its API where its network is yet to be installed", async () => {
    const config = configWith("networking: {disableDefaultCNI: true}");
    expect((await planFor({ config })).cluster?.readiness).toBe("api");
    expect((await planFor()).cluster?.readiness).toBe("everything");
  });
});

describe("what is loaded", () => {
  const archives = [{ path: "/workspace/images.tar", bytes: 1e6 }];
  const threeNodes = configWith(
    "name: shop",
    "nodes:",
    "- role: control-plane",
    "- role: worker",
    "- role: worker",
  );
  const into = async (given: Record<string, string>) => {
    const { cluster, problems } = await planFor(given);
    return problems.length > 0 ? problems : cluster?.loadInto;
  };

  it("is what the inputs name, through a folder that is gone with the run", async () => {
    const { plan, cluster } = await planFor({ load_images: "web:1\nghcr.io/shop/api:2" }, { archives });
    expect(cluster?.load).toEqual({
      archives,
      images: ["web:1", "ghcr.io/shop/api:2"],
      folder: "/runner/_temp/kind-action-12-1-abc/images",
    });
    expect(cluster?.load.folder.startsWith(`${plan.folder}/`)).toBe(true);
  });

  it("gets into all nodes, under the names that kind will give them", async () => {
    expect(await into({})).toEqual(["kind-control-plane"]);
    expect(await into({ config: threeNodes })).toEqual(["shop-control-plane", "shop-worker", "shop-worker2"]);
    // The input's name wins over the configuration's.
    expect(await into({ config: threeNodes, cluster_name: "mine", load_nodes: "mine-worker2" })).toEqual([
      "mine-worker2",
    ]);
  });

  it("gets into the workers alone, where that is asked for", async () => {
    expect(await into({ config: threeNodes, load_nodes: "workers" })).toEqual([
      "shop-worker",
      "shop-worker2",
    ]);
  });

  it("gets into no workers where there are none, and that is told before anything is made", async () => {
    expect(await into({ load_nodes: "workers" })).toEqual([
      "load_nodes: the cluster has no workers, only control planes",
    ]);
  });

  it("gets into no node of another name, and those that there will be are told", async () => {
    const { message } = await planFor({
      config: threeNodes,
      load_nodes: "shop-worker3, shop-worker, kind-worker",
    });
    expect(message).toBe(
      'load_nodes "shop-worker3, shop-worker, kind-worker": the cluster has no node shop-worker3, kind-worker. It has: shop-control-plane, shop-worker, shop-worker2',
    );
  });

  it("is known to be pulled again where the configuration says so", async () => {
    const config = configWith(
      "kubeadmConfigPatches:",
      "- |",
      "  kind: ClusterConfiguration",
      "  apiServer:",
      "    extraArgs:",
      "      enable-admission-plugins: NodeRestriction,AlwaysPullImages",
    );
    expect((await planFor({ config })).cluster?.alwaysPullsImages).toBe(true);
  });
});

describe("the logs", () => {
  it("outlive the job where nobody takes them: not in the folder that the runner empties", async () => {
    const { cluster } = await planFor();
    expect(cluster?.logs.folder.startsWith("/tmp/")).toBe(true);
    expect(cluster?.logs.folder.startsWith(job.temp)).toBe(false);
  });

  it("have a name of their own in every job of a matrix, and every attempt", async () => {
    const named = async (given: Record<string, string>, of: Partial<Job> = {}) =>
      (await planFor(given, { job: of })).cluster?.logs.artifact;
    const names = [
      await named({ matrix: '{"kubernetes":"1.34"}' }),
      await named({ matrix: '{"kubernetes":"1.33"}' }),
      await named({ matrix: '{"kubernetes":"1.33"}' }, { attempt: "2" }),
      await named({ matrix: '{"kubernetes":"1.33"}' }, { id: "other" }),
    ];
    expect(new Set(names).size).toBe(names.length);
  });
});

describe("the network", () => {
  it("is kind's own, or the one that kind's variable names", async () => {
    expect((await planFor({}, { job: { network: "mine" } })).cluster?.network).toBe("mine");
  });
});

describe("fast start", () => {
  const folder = "/runner/_temp/kind-action-12-1-abc/kubeadm-patches";
  const listOf = (config: string) => parse(config).kubeadmConfigPatches ?? [];

  it("is what a cluster gets: settings, a folder that its control plane sees, its network early", async () => {
    const { cluster } = await planFor();
    expect(cluster?.fastStart).toMatchObject({
      folder,
      network: {
        controlPlane: "kind-control-plane",
        podSubnet: "10.244.0.0/16",
        endpoint: "kind-control-plane:6443",
      },
    });
    expect(cluster?.fastStart?.settings.length).toBeGreaterThan(0);
    expect(Object.keys(cluster?.fastStart?.files ?? {})).toContain("etcd+strategic.yaml");
    expect(listOf(cluster?.config ?? "").length).toBeGreaterThan(0);
    expect(parse(cluster?.config ?? "").nodes[0].extraMounts[0].hostPath).toBe(folder);
    expect(parse(cluster?.fastStart?.cni?.config ?? "").networking).toEqual({ disableDefaultCNI: true });
  });

  it("is nothing at all with `false`: the user's configuration, its name and its image", async () => {
    const { cluster } = await planFor({ fast_start: "false" });
    expect(cluster?.fastStart).toBeUndefined();
    expect(Object.keys(parse(cluster?.config ?? "")).toSorted()).toEqual([
      "apiVersion",
      "kind",
      "name",
      "nodes",
    ]);
    expect((await planFor()).cluster?.fastStart?.configWithout).toBe(cluster?.config);
  });

  it("mounts nothing where the daemon is on another machine", async () => {
    const elsewhere = { ...daemon, info: { ...daemon.info, local: false } };
    const { cluster } = await planFor({}, { daemon: elsewhere });
    expect(cluster?.fastStart?.files).toEqual({});
    expect(parse(cluster?.config ?? "").nodes[0].extraMounts).toBeUndefined();
  });

  it("makes no network where the user brings one", async () => {
    const config = configWith("networking: {disableDefaultCNI: true}");
    expect((await planFor({ config })).cluster?.fastStart?.cni).toBeUndefined();
  });

  it.each([
    { networking: "{ipFamily: ipv6}", subnet: "fd00:10:244::/56" },
    { networking: "{ipFamily: dual}", subnet: "10.244.0.0/16,fd00:10:244::/56" },
    { networking: "{podSubnet: 10.1.0.0/16}", subnet: "10.1.0.0/16" },
  ])("gives pods the addresses that kind would: $networking", async ({ networking, subnet }) => {
    const { cluster } = await planFor({ config: configWith(`networking: ${networking}`) });
    expect(cluster?.fastStart?.cni?.podSubnet).toBe(subnet);
  });

  it("lets nodes find several control planes behind their load balancer", async () => {
    const config = configWith("nodes: [{role: worker}, {role: control-plane}, {role: control-plane}]");
    const { cluster } = await planFor({ config });
    expect(cluster?.fastStart?.cni).toMatchObject({
      controlPlane: "kind-control-plane",
      endpoint: "kind-external-load-balancer:6443",
    });
  });

  it("is on or off", async () => {
    expect((await planFor({ fast_start: "yes" })).problems).toContain("fast_start: wants true or false");
  });
});

describe("registries", () => {
  const digest = `sha256:${"e".repeat(64)}`;

  it("are none unless they are asked for", async () => {
    expect((await planFor()).cluster?.registries).toBeUndefined();
    expect((await planFor({ registry_name: "images" })).cluster?.registries).toBeUndefined();
  });

  it("are the one for the job's own images, and a proxy for each upstream, all of one image", async () => {
    const { plan, cluster, problems } = await planFor({
      registry: "true",
      registry_port: "5001",
      registry_image: `mirror.example/registry@${digest}`,
      registry_proxies: "ghcr.io\ndocker.io=https://mirror.example",
    });
    expect(problems).toEqual([]);
    expect(cluster?.registries).toMatchObject({
      image: `mirror.example/registry@${digest}`,
      local: { name: "kind-registry", port: 5001, enableDelete: false },
      proxies: {
        // The run's own is gone with it; the job's clusters have one in common.
        folders: {
          own: expect.stringMatching(`^${plan.folder}/`),
          shared: expect.stringMatching(`^${job.temp}/`),
        },
        upstreams: [
          { name: "ghcr.io", url: "https://ghcr.io", mirror: undefined },
          { name: "docker.io", url: "https://registry-1.docker.io", mirror: "https://mirror.example" },
        ],
      },
    });
  });

  it("keep what they pull in no folder of this machine where the daemon is on another one", async () => {
    const elsewhere = { ...daemon, info: { ...daemon.info, local: false } };
    const { cluster } = await planFor({ registry_proxies: "ghcr.io" }, { daemon: elsewhere });
    expect(cluster?.registries?.proxies).toMatchObject({ folders: undefined });
    expect(cluster?.config).not.toContain("/kind-action/proxies");
  });

  it("give nodes the folder of what everybody may see, with and without the settings of fast_start", async () => {
    const mountsIn = (config = "") =>
      parse(config).nodes.map((node: { extraMounts?: unknown }) => node.extraMounts);
    const { cluster } = await planFor({ registry_proxies: "ghcr.io", fast_start: "false" });
    const { shared } = cluster?.registries?.proxies?.folders ?? {};
    const mount = { hostPath: shared, containerPath: "/kind-action/proxies", readOnly: true };
    expect(mountsIn(cluster?.config)).toEqual([[mount]]);
    const { cluster: fast } = await planFor({ registry_proxies: "ghcr.io" });
    for (const config of [fast?.config, fast?.fastStart?.cni?.config])
      expect(mountsIn(config)).toEqual([expect.arrayContaining([mount])]);
    expect(mountsIn(fast?.fastStart?.configWithout)).toEqual([[mount]]);
  });

  it("are refused beside mirrors of the user's own, before anything is made", async () => {
    const mounts = configWith(
      "nodes:",
      "- role: control-plane",
      "  extraMounts: [{hostPath: /mirrors, containerPath: /etc/containerd/certs.d}]",
    );
    const patches = configWith(
      "containerdConfigPatches:",
      "- |",
      '  [plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]',
      '    endpoint = ["https://mirror.example"]',
    );
    for (const config of [mounts, patches]) {
      expect((await planFor({ config })).problems).toEqual([]);
      const { problems } = await planFor({ config, registry_proxies: "ghcr.io" });
      expect(problems).toEqual([expect.stringMatching(/^registry_proxies: `config` /)]);
    }
  });

  it("cost no node a restart of its containerd where that looks for them by itself", async () => {
    const { cluster } = await planFor({ registry: "true" });
    for (const config of [
      cluster?.config,
      cluster?.fastStart?.configWithout,
      cluster?.fastStart?.cni?.config,
    ])
      expect(parse(config ?? "").containerdConfigPatches).toBeUndefined();
  });

  describe("are told to a containerd that has to be told where to look", () => {
    const patch =
      '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"\n';
    const old = { version: "v0.26.0", registry: "true" };
    const patchesOf = (config: string | undefined) => parse(config ?? "").containerdConfigPatches;

    it.each([
      { of: "a kind before containerd 2", given: old },
      { of: "an image that nobody here knows", given: { registry: "true", node_image: `mine@${digest}` } },
    ])("of $of, in every configuration that kind may be given", async ({ given }) => {
      const { cluster } = await planFor(given);
      expect(patchesOf(cluster?.config)).toEqual([patch]);
      expect(patchesOf(cluster?.fastStart?.configWithout)).toEqual([patch]);
      expect(patchesOf(cluster?.fastStart?.cni?.config)).toEqual([patch]);
      expect(patchesOf((await planFor({ ...given, fast_start: "false" })).cluster?.config)).toEqual([patch]);
    });

    it("before what the user has to tell it, which wins", async () => {
      const config = configWith("containerdConfigPatches: [theirs]");
      const { cluster } = await planFor({ ...old, config });
      for (const each of [cluster?.config, cluster?.fastStart?.configWithout])
        expect(patchesOf(each)).toEqual([patch, "theirs"]);
    });

    it("and not where there are no registries", async () => {
      const { cluster } = await planFor({ version: "v0.26.0" });
      for (const each of [cluster?.config, cluster?.fastStart?.configWithout])
        expect(patchesOf(each)).toBeUndefined();
    });
  });
});

describe("what kind puts before several control planes", () => {
  const config = configWith("nodes: [{role: control-plane}, {role: control-plane}, {role: worker}]");

  it("is had beforehand, by its digest, under the name that kind asks for", async () => {
    const { cluster } = await planFor({ config });
    expect(cluster?.loadBalancer).toEqual({
      tag: expect.stringMatching(/^docker\.io\/envoyproxy\/envoy:v[\d.]+$/),
      reference: expect.stringMatching(/^docker\.io\/envoyproxy\/envoy:v[\d.]+@sha256:[0-9a-f]{64}$/),
    });
  });

  it("is nothing before a single one", async () => {
    expect((await planFor()).cluster?.loadBalancer).toBeUndefined();
    const workers = configWith("nodes: [{role: control-plane}, {role: worker}, {role: worker}]");
    expect((await planFor({ config: workers })).cluster?.loadBalancer).toBeUndefined();
  });

  it("is left to a kind of which nobody here knows it", async () => {
    expect((await planFor({ config, version: "v0.30.0" })).cluster?.loadBalancer).toBeUndefined();
    const newer = { config, version: "v0.99.0", node_image: imageOf("1.37") };
    expect((await planFor(newer)).cluster?.loadBalancer).toBeUndefined();
  });
});

describe("caches", () => {
  const cachesOf = async (given: Record<string, string> = {}, on: Parameters<typeof planFor>[1] = {}) =>
    (await planFor(given, on)).plan.caches;

  it("are of node images, and of what proxies hold, each where it pays", async () => {
    expect(await cachesOf({ registry_proxies: "ghcr.io" })).toEqual({
      nodeImage: true,
      onlyIfFaster: true,
      proxies: expect.stringMatching(/^kind-action-proxies-v1-amd64-[0-9a-f]{16}-$/),
      saves: true,
      restoreDeadline: 120_000,
      saveDeadline: 300_000,
      maxSize: 2e9,
    });
  });

  it("are nothing of proxies where there are none", async () => {
    expect((await cachesOf()).proxies).toBeUndefined();
    expect((await cachesOf({ registry: "true" })).proxies).toBeUndefined();
    expect((await cachesOf({ cache: "proxies" })).proxies).toBeUndefined();
  });

  it("are what the user names, whatever it costs", async () => {
    const proxied = { registry_proxies: "ghcr.io" };
    expect(await cachesOf({ ...proxied, cache: "node-image" })).toMatchObject({
      nodeImage: true,
      onlyIfFaster: false,
      proxies: undefined,
    });
    expect(await cachesOf({ ...proxied, cache: "proxies" })).toMatchObject({
      nodeImage: false,
      proxies: expect.stringContaining("-proxies-"),
    });
    expect(await cachesOf({ ...proxied, cache: "none" })).toMatchObject({
      nodeImage: false,
      proxies: undefined,
    });
  });

  it("are a job's own, which are its matrix's in common", async () => {
    const prefixOf = async (of: Partial<Job>, matrix = "") =>
      (await cachesOf({ registry_proxies: "ghcr.io", matrix }, { job: of })).proxies;
    const own = await prefixOf({ workflow: "CI" });
    expect(await prefixOf({ workflow: "CI" }, '{"kubernetes":"1.34"}')).toBe(own);
    expect(await prefixOf({ workflow: "Nightly" })).not.toBe(own);
    expect(await prefixOf({ workflow: "CI", id: "lint" })).not.toBe(own);
    expect(await prefixOf({ workflow: "CI", architecture: "arm64" })).not.toBe(own);
  });

  it("are left by jobs whose caches others can use, unless the user decides", async () => {
    const saves = async (save: string, name: string) =>
      (
        await cachesOf(
          { cache_save: save },
          { event: { name, ref: "refs/heads/main", defaultBranch: "main" } },
        )
      ).saves;
    expect(await saves("", "push")).toBe(true);
    expect(await saves("auto", "pull_request_target")).toBe(false);
    expect(await saves("always", "pull_request")).toBe(true);
    expect(await saves("never", "push")).toBe(false);
  });

  it("take no longer, and keep no more, than the user allows", async () => {
    const given = { cache_restore_timeout: "30s", cache_save_timeout: "1m", cache_max_size: "500MB" };
    expect(await cachesOf(given)).toMatchObject({
      restoreDeadline: 30_000,
      saveDeadline: 60_000,
      maxSize: 5e8,
    });
  });
});
