import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { ArchiveFile } from "../../src/archive/find-archives.ts";
import type { Daemon } from "../../src/docker/daemon.ts";
import { InvalidInputsError } from "../../src/lib/errors.ts";
import type { Job, PlanContext } from "../../src/plan/context.ts";
import { createPlan } from "../../src/plan/plan.ts";
import { readInputs } from "../../src/runner/inputs/create.ts";
import { readJob } from "../../src/runner/job.ts";
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
  freeBytes: 20e9,
};

/** Plans for the inputs of a workflow, by default on a runner with a local Docker daemon and enough disk space. */
async function planFor(
  given: Readonly<Record<string, string>> = {},
  context: Partial<Omit<PlanContext, "job" | "inputs">> & {
    job?: Partial<Job>;
    archives?: readonly ArchiveFile[];
  } = {},
) {
  const read = await readInputs((name) => given[name] ?? "", "/workspace");
  const inputs =
    context.archives === undefined ? read : { ...read, load: { ...read.load, archives: context.archives } };
  const { plan, problems } = createPlan({
    inputs,
    daemon,
    takenNames: [],
    latest: undefined,
    runId: "12-1-abc",
    event: { name: "push", ref: "refs/heads/main", defaultBranch: "main" },
    ...context,
    job: { ...job, ...context.job },
  });
  return {
    plan,
    problems: problems.map(({ input, reason }) => `${input}: ${reason}`),
    /** The error message that the user reads. */
    message: new InvalidInputsError(problems).message,
    cluster: plan.cluster,
  };
}

const imageOf = (kubernetes: string, kind = "v0.33.0") => nodeImageFor(kind, kubernetes)?.image ?? "none";

const configWith = (...lines: string[]) => kindHead + lines.join("\n");

describe("a plan without inputs", () => {
  it("creates the cluster `kind` with the default image of kind, and the kubectl of its version", async () => {
    const { plan, problems } = await planFor();
    expect(problems).toEqual([]);
    expect(plan.warnings).toEqual([]);
    expect(plan).toMatchObject({
      runId: "12-1-abc",
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

  it("is the same each time", async () => {
    expect(await planFor()).toEqual(await planFor());
  });
});

describe("the cluster name", () => {
  const config = configWith("name: from-config");
  const env = { clusterName: "from-env" };

  it("is that of the input, else of the configuration, else of KIND_CLUSTER_NAME, else `kind`", async () => {
    const nameOf = async (given: Record<string, string>, variables: Partial<Job>) =>
      (await planFor(given, { job: variables })).cluster?.name;
    expect(await nameOf({ cluster_name: "from-input", config }, env)).toBe("from-input");
    expect(await nameOf({ config }, env)).toBe("from-config");
    expect(await nameOf({}, env)).toBe("from-env");
    expect(await nameOf({}, {})).toBe("kind");
  });

  it("is part of the configuration, of the folder of the logs and of the artifact", async () => {
    const { cluster } = await planFor({ cluster_name: "shop", config });
    expect(parse(cluster?.config ?? "")).toMatchObject({ name: "shop" });
    expect(cluster?.logs).toMatchObject({
      folder: "/tmp/kind-logs-shop-12-1-abc",
      artifact: "kind-logs-e2e-shop",
    });
  });

  it("must not be that of an existing cluster; the problem says how to delete that", async () => {
    const { message } = await planFor({ cluster_name: "shop" }, { takenNames: ["shop"] });
    expect(message).toBe(
      'cluster_name "shop": a cluster of this name already exists. Choose another name, or delete the existing cluster: `kind delete cluster --name shop; docker ps --all --quiet --filter label=kind-action.cluster=shop | xargs --no-run-if-empty docker rm --force --volumes; docker volume rm --force kind-action.shop`',
    );
    expect((await planFor({}, { takenNames: ["kind-2"] })).problems).toEqual([]);
  });

  it("must be short enough for the host names of nodes", async () => {
    expect((await planFor({ cluster_name: "x".repeat(49) })).problems).toEqual([]);
    const { problems } = await planFor({ cluster_name: "x".repeat(50) });
    expect(problems).toEqual([
      `cluster_name: is too long: the host name of the container ${"x".repeat(50)}-control-plane would have more than 63 characters; use at most 49 characters`,
    ]);
  });

  it.each(["kind", "a", "1st", "shop-e2e.2"])("can be %s", async (name) => {
    const { cluster, problems } = await planFor({ cluster_name: name });
    expect(problems).toEqual([]);
    expect(cluster?.name).toBe(name);
  });

  it.each([
    "Kind",
    "my cluster",
    "my_cluster",
    "-kind",
    ".kind",
    "--name",
    "$(id)",
    "`id`",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: what a shell would replace
    "${HOME}",
    "a;b",
    "a/b",
    "../a",
    "../../etc",
    "A",
    "--config",
    "a\n",
    "a\nb",
    "größe",
    "日本",
    "a\u200bb",
  ])("must be valid in each source: %j", async (name) => {
    const rule =
      "is not a valid cluster name: use lower-case letters, digits, dots and hyphens, and begin with a letter or digit";
    expect((await planFor({ config: configWith(`name: ${JSON.stringify(name)}`) })).problems).toEqual([
      `config: ${rule}`,
    ]);
    expect((await planFor({ cluster_name: name })).problems).toEqual([`cluster_name: ${rule}`]);
    expect((await planFor({}, { job: { clusterName: name } })).problems).toEqual([`cluster_name: ${rule}`]);
  });
});

describe("the cluster name with several control planes", () => {
  it("must be short enough for the host name of the load balancer", async () => {
    const config = configWith("nodes:", "- role: control-plane", "- role: control-plane");
    expect((await planFor({ config, cluster_name: "x".repeat(40) })).problems).toEqual([]);
    expect((await planFor({ config, cluster_name: "x".repeat(41) })).problems).toHaveLength(1);
  });
});

describe("the node images", () => {
  const mine = `registry.example/node:v1.34.11@sha256:${"c".repeat(64)}`;
  const config = configWith("nodes:", "- role: control-plane", `  image: ${mine}`, "- role: worker");

  it("are that of the input, else of the configuration, else the default of kind", async () => {
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

  it("are those of the kind release", async () => {
    const { plan, problems } = await planFor({ version: "v0.30.0" });
    expect(problems).toEqual([]);
    expect(plan.cluster?.images).toEqual([imageOf("stable", "v0.30.0")]);
    expect((await planFor({ version: "v0.30.0", kubernetes_version: "1.34" })).cluster?.images).toEqual([
      imageOf("1.34", "v0.30.0"),
    ]);
  });

  it("are listed once for several nodes", async () => {
    const three = configWith("nodes:", "- role: control-plane", "- role: worker", "- role: worker");
    expect((await planFor({ config: three })).cluster).toMatchObject({
      nodes: ["kind-control-plane", "kind-worker", "kind-worker2"],
      images: [imageOf("1.37")],
    });
  });

  it("must exist for the Kubernetes version; the problem lists the available versions", async () => {
    const { problems } = await planFor({ kubernetes_version: "1.21" });
    expect(problems).toEqual([
      "kubernetes_version: kind v0.33.0 has no node image for this version: it has images for 1.37.0, 1.36.4, 1.35.8, 1.34.11",
    ]);
  });

  it("must be set for an unknown kind release", async () => {
    expect((await planFor({ version: "v0.99.0" })).problems).toEqual([
      "version: is a kind release whose node images this version of the action does not know: set one with `node_image`",
    ]);
    expect((await planFor({ version: "v0.99.0", kubernetes_version: "1.34" })).problems).toEqual([
      "kubernetes_version: kind v0.99.0 has no node image for this version: this version of the action knows none of its node images. Set one with `node_image`",
    ]);
    expect((await planFor({ version: "v0.99.0", node_image: mine })).problems).toEqual([]);
  });

  it("cause a warning if they have no digest", async () => {
    const { plan } = await planFor({ node_image: "kindest/node:v1.34.11" });
    expect(plan.warnings).toEqual([
      "The node image kindest/node:v1.34.11 has no digest, so it may change between runs and is not cached. Add its digest: NAME:TAG@sha256:…",
    ]);
  });

  it("cause one warning if their digest is unknown", async () => {
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
      `The node image ${mine} is not in a kind release that this version of the action knows, so it may not work with kind v0.33.0.`,
    ]);
  });
});

describe("an incompatible combination", () => {
  it("is a problem, with a combination that works", async () => {
    const old = { ...daemon, info: { ...daemon.info, cgroupVersion: 1 as const } };
    const { message } = await planFor({ kubernetes_version: "1.35" }, { daemon: old });
    expect(message).toBe(
      'kubernetes_version "1.35": Kubernetes v1.35.8 does not run on cgroup v1, which the Docker daemon has: use `kubernetes_version: 1.34`, or a runner with cgroup v2 (Ubuntu 22.04 or later)',
    );
    expect((await planFor({ kubernetes_version: "1.34" }, { daemon: old })).problems).toEqual([]);
  });

  it("is a problem of the input that sets the image", async () => {
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
  ])("is not reported for the default of an invalid input: %o", async (given) => {
    const old = { ...daemon, info: { ...daemon.info, cgroupVersion: 1 as const } };
    const { problems } = await planFor(given, { daemon: old });
    expect(problems).toEqual([expect.stringMatching(`^${Object.keys(given)[0]}: `)]);
  });
});

describe("the problems of a plan", () => {
  it("include those of inputs, of their combination, and of the machine", async () => {
    const { message } = await planFor(
      { wait: "soon", kubernetes_version: "1.21", cluster_name: "shop" },
      { takenNames: ["shop"], daemon: { ...daemon, freeBytes: 1e9 } },
    );
    expect(message.split("\n").map((line) => line.split(":")[0])).toEqual([
      "4 problems; nothing was created",
      '- wait "soon"',
      '- kubernetes_version "1.21"',
      '- cluster_name "shop"',
      "- runner",
    ]);
  });
});

describe("the Docker daemon", () => {
  it("must have disk space for the nodes and the images to load", async () => {
    const archives = [{ path: "/workspace/images.tar", bytes: 1e9 }];
    const config = configWith("nodes:", "- role: control-plane", "- role: worker", "- role: worker");
    const { message } = await planFor({ config }, { archives, daemon: { ...daemon, freeBytes: 5e9 } });
    expect(message).toBe(
      "runner: the disk of /var/lib/docker has 5.0 GB free, and 3 nodes with the images to load need about 6.0 GB: free some space, or use fewer nodes",
    );
    const enough = { ...daemon, freeBytes: 7e9 };
    expect((await planFor({ config }, { archives, daemon: enough })).problems).toEqual([]);
  });

  it("may have an unknown disk space", async () => {
    expect((await planFor({}, { daemon: { ...daemon, freeBytes: undefined } })).problems).toEqual([]);
  });

  it("must be available; the problem says what to do", async () => {
    const problem = "There is no `docker` on PATH.";
    expect((await planFor({}, { daemon: { problem } })).message).toBe(`runner: ${problem}`);
  });
});

describe("install_only", () => {
  it("plans no cluster, and does not need Docker", async () => {
    const { plan, problems } = await planFor({ install_only: "true" }, { daemon: { problem: "no Docker" } });
    expect(problems).toEqual([]);
    expect(plan).toMatchObject({
      cluster: undefined,
      kind: { version: "v0.33.0" },
      kubectl: { version: "v1.37.0" },
    });
  });

  it("plans the kubectl of the given Kubernetes version", async () => {
    const { plan } = await planFor({ install_only: "true", kubernetes_version: "1.34" });
    expect(plan.kubectl.version).toBe("v1.34.11");
  });

  it("accepts a `cluster_name` of any length, because the maximum depends on the cluster", async () => {
    const { problems } = await planFor({ install_only: "true", cluster_name: "x".repeat(60) });
    expect(problems).toEqual([]);
  });

  it("reports invalid inputs", async () => {
    const { problems } = await planFor({ install_only: "true", wait: "soon", cluster_name: "My cluster" });
    expect(problems).toEqual([
      expect.stringContaining("wait: must be a duration"),
      expect.stringContaining("cluster_name: is not a valid cluster name"),
    ]);
  });
});

describe("the kubeconfig", () => {
  const kubeconfigOf = async (given: Record<string, string>, variables: Partial<Job>) =>
    (await planFor(given, { job: variables })).cluster?.kubeconfig;

  it("is that of the input, before all others", async () => {
    const all = { selfHosted: true, kubeconfig: "/home/me/from-env" };
    expect(await kubeconfigOf({ kubeconfig: "out/config" }, all)).toBe("/workspace/out/config");
  });

  it("is a file of the run on a self-hosted runner", async () => {
    const all = { selfHosted: true, kubeconfig: "/home/me/from-env" };
    expect(await kubeconfigOf({}, all)).toBe("/runner/_temp/kind-action-12-1-abc/kubeconfig");
  });

  it("is that of kind on other runners", async () => {
    expect(await kubeconfigOf({}, { kubeconfig: "/home/me/from-env" })).toBe("/home/me/from-env");
    expect(await kubeconfigOf({}, {})).toBe("/home/me/.kube/config");
  });
});

describe("the version of kind", () => {
  it("is the latest release for `latest`", async () => {
    const { plan } = await planFor({ version: "latest" }, { latest: "v0.32.0" });
    expect(plan.kind.version).toBe("v0.32.0");
    expect(plan.warnings).toEqual([]);
  });

  it("is the newest known release, with a warning, if the latest is unknown", async () => {
    const { plan } = await planFor({ version: "latest" }, { latest: { problem: "ECONNREFUSED" } });
    expect(plan.kind.version).toBe("v0.33.0");
    expect(plan.warnings).toEqual([
      "Could not find the latest version of kind: ECONNREFUSED. The action uses kind v0.33.0, the newest release that this version of the action knows.",
    ]);
  });
});

describe("the version of kubectl", () => {
  const versionFor = async (given: Record<string, string>) => (await planFor(given)).plan.kubectl.version;

  it("is that of the input", async () => {
    expect(await versionFor({ kubectl_version: "1.36.3", kubernetes_version: "1.34" })).toBe("v1.36.3");
  });

  it("is that of the cluster", async () => {
    expect(await versionFor({ kubernetes_version: "1.35" })).toBe("v1.35.8");
    expect(await versionFor({ node_image: "kindest/node:v1.35.4" })).toBe("v1.35.4");
  });

  it("is the newest known one of the minor version if the checksum is unknown", async () => {
    expect(await versionFor({ node_image: "kindest/node:v1.34.99" })).toBe("v1.34.11");
  });

  it("is that of the default image of kind if the version of the cluster is unknown", async () => {
    expect(await versionFor({ node_image: "registry.example/node:latest" })).toBe("v1.37.0");
    expect(await versionFor({ node_image: "registry.example/node:latest", version: "v0.30.0" })).toMatch(
      /^v1\.34\./,
    );
    // For an unknown kind release: the newest known version.
    expect(await versionFor({ node_image: "registry.example/node:latest", version: "v0.99.0" })).toBe(
      "v1.37.0",
    );
  });

  it("is that of the cluster if no checksum of its minor version is known", async () => {
    expect(await versionFor({ node_image: "kindest/node:v1.99.0" })).toBe("v1.99.0");
  });
});

describe("the downloads of tools", () => {
  it("are those of upstream for the architecture of the runner, with their checksums", async () => {
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

  it("have another base URL if one is set", async () => {
    const { plan } = await planFor({
      download_base_url: "kind=https://mirror.example/kind/\nkubectl=https://mirror.example/k8s",
      kubectl_version: "v1.36.3",
    });
    expect(plan.kind.url).toBe("https://mirror.example/kind/v0.33.0/kind-linux-amd64");
    expect(plan.kubectl.url).toBe("https://mirror.example/k8s/v1.36.3/bin/linux/amd64/kubectl");
  });

  it("have the checksums of the input instead of the known ones", async () => {
    const sum = "d".repeat(64);
    const { plan } = await planFor({ checksums: `kind=${sum}` });
    expect(plan.kind.checksum).toBe(sum);
    expect(plan.kubectl.checksum).toMatch(/^[0-9a-f]{64}$/);
    expect(plan.kubectl.checksum).not.toBe(sum);
  });

  it("cause a warning if they can be verified with the published checksum only", async () => {
    const { plan } = await planFor({ kubectl_version: "v1.99.0" });
    expect(plan.kubectl.checksum).toBeUndefined();
    expect(plan.warnings).toEqual([
      "kubectl v1.99.0 is not in this action's table of checksums, so its download is verified with https://dl.k8s.io/release/v1.99.0/bin/linux/amd64/kubectl.sha256 only. Pin its checksum with `checksums`.",
    ]);
    const pinned = await planFor({ kubectl_version: "v1.99.0", checksums: `kubectl=${"d".repeat(64)}` });
    expect(pinned.plan.warnings).toEqual([]);
  });
});

describe("the readiness that a run waits for", () => {
  it("is that of the API if the user installs the CNI", async () => {
    const config = configWith("networking: {disableDefaultCNI: true}");
    expect((await planFor({ config })).cluster?.readiness).toBe("api");
    expect((await planFor()).cluster?.readiness).toBe("everything");
  });
});

describe("the images to load", () => {
  const archives = [{ path: "/workspace/images.tar", bytes: 1e6 }];
  const threeNodes = configWith(
    "name: shop",
    "nodes:",
    "- role: control-plane",
    "- role: worker",
    "- role: worker",
  );
  const loadInto = async (given: Record<string, string>) => {
    const { cluster, problems } = await planFor(given);
    return problems.length > 0 ? problems : cluster?.loadInto;
  };

  it("are those of the inputs, with a temporary folder of the run", async () => {
    const { plan, cluster } = await planFor({ load_images: "web:1\nghcr.io/shop/api:2" }, { archives });
    expect(cluster?.load).toEqual({
      archives,
      images: ["web:1", "ghcr.io/shop/api:2"],
      folder: "/runner/_temp/kind-action-12-1-abc/images",
    });
    expect(cluster?.load.folder.startsWith(`${plan.folder}/`)).toBe(true);
  });

  it("are loaded into all nodes, with the names that kind gives them", async () => {
    expect(await loadInto({})).toEqual(["kind-control-plane"]);
    expect(await loadInto({ config: threeNodes })).toEqual([
      "shop-control-plane",
      "shop-worker",
      "shop-worker2",
    ]);
    // The name of the input overrides that of the configuration.
    expect(await loadInto({ config: threeNodes, cluster_name: "mine", load_nodes: "mine-worker2" })).toEqual([
      "mine-worker2",
    ]);
  });

  it("are loaded into the workers only with `workers`", async () => {
    expect(await loadInto({ config: threeNodes, load_nodes: "workers" })).toEqual([
      "shop-worker",
      "shop-worker2",
    ]);
  });

  it("cannot be loaded into the workers of a cluster without workers", async () => {
    expect(await loadInto({ load_nodes: "workers" })).toEqual([
      "load_nodes: the cluster has no workers, only control planes",
    ]);
  });

  it("cannot be loaded into other nodes; the problem lists the nodes", async () => {
    const { message } = await planFor({
      config: threeNodes,
      load_nodes: "shop-worker3, shop-worker, kind-worker",
    });
    expect(message).toBe(
      'load_nodes "shop-worker3, shop-worker, kind-worker": the cluster has no node shop-worker3, kind-worker. It has: shop-control-plane, shop-worker, shop-worker2',
    );
  });

  it("are pulled again if the configuration enables AlwaysPullImages", async () => {
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
  it("are not in the folder that the runner empties after the job", async () => {
    const { cluster } = await planFor();
    expect(cluster?.logs.folder.startsWith("/tmp/")).toBe(true);
    expect(cluster?.logs.folder.startsWith(job.temp)).toBe(false);
  });

  it("have a different artifact name for each job, matrix combination and attempt", async () => {
    const named = async (given: Record<string, string>, variables: Partial<Job> = {}) =>
      (await planFor(given, { job: variables })).cluster?.logs.artifact;
    const names = [
      await named({ matrix: '{"kubernetes":"1.34"}' }),
      await named({ matrix: '{"kubernetes":"1.33"}' }),
      await named({ matrix: '{"kubernetes":"1.33"}' }, { attempt: "2" }),
      await named({ matrix: '{"kubernetes":"1.33"}' }, { id: "other" }),
    ];
    expect(new Set(names).size).toBe(names.length);
  });
});

describe("the Docker network", () => {
  it("is that of kind, or of KIND_EXPERIMENTAL_DOCKER_NETWORK", async () => {
    expect((await planFor({}, { job: { network: "mine" } })).cluster?.network).toBe("mine");
  });
});

describe("fast start", () => {
  const folder = "/runner/_temp/kind-action-12-1-abc/kubeadm-patches";
  const listOf = (config: string) => parse(config).kubeadmConfigPatches ?? [];

  it("adds settings, a folder that is mounted into the control plane, and the CNI", async () => {
    const { cluster } = await planFor();
    expect(cluster?.fastStart).toMatchObject({
      folder,
      cni: {
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

  it("adds nothing with `false`: the configuration is that of the user, with name and images", async () => {
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

  it("mounts nothing if the daemon is on another machine", async () => {
    const remote = { ...daemon, info: { ...daemon.info, local: false } };
    const { cluster } = await planFor({}, { daemon: remote });
    expect(cluster?.fastStart?.files).toEqual({});
    expect(parse(cluster?.config ?? "").nodes[0].extraMounts).toBeUndefined();
  });

  it("plans no CNI if the user installs one", async () => {
    const config = configWith("networking: {disableDefaultCNI: true}");
    expect((await planFor({ config })).cluster?.fastStart?.cni).toBeUndefined();
  });

  it.each([
    { networking: "{ipFamily: ipv6}", subnet: "fd00:10:244::/56" },
    { networking: "{ipFamily: dual}", subnet: "10.244.0.0/16,fd00:10:244::/56" },
    { networking: "{podSubnet: 10.1.0.0/16}", subnet: "10.1.0.0/16" },
  ])("has the same pod subnet as kind: $networking", async ({ networking, subnet }) => {
    const { cluster } = await planFor({ config: configWith(`networking: ${networking}`) });
    expect(cluster?.fastStart?.cni?.podSubnet).toBe(subnet);
  });

  it("uses the load balancer of several control planes as the endpoint", async () => {
    const config = configWith("nodes: [{role: worker}, {role: control-plane}, {role: control-plane}]");
    const { cluster } = await planFor({ config });
    expect(cluster?.fastStart?.cni).toMatchObject({
      controlPlane: "kind-control-plane",
      endpoint: "kind-external-load-balancer:6443",
    });
  });

  it("must be true or false", async () => {
    expect((await planFor({ fast_start: "yes" })).problems).toContain("fast_start: must be true or false");
  });
});

describe("the registries", () => {
  const digest = `sha256:${"e".repeat(64)}`;

  it("are not planned without inputs", async () => {
    expect((await planFor()).cluster?.registries).toBeUndefined();
    expect((await planFor({ registry_name: "images" })).cluster?.registries).toBeUndefined();
  });

  it("are the local registry and a proxy for each upstream, with one image", async () => {
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
        // One folder is removed with the run, the other is shared by all clusters of the job.
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

  it("have no folders if the daemon is on another machine", async () => {
    const remote = { ...daemon, info: { ...daemon.info, local: false } };
    const { cluster } = await planFor({ registry_proxies: "ghcr.io" }, { daemon: remote });
    expect(cluster?.registries?.proxies).toMatchObject({ folders: undefined });
    expect(cluster?.config).not.toContain("/kind-action/proxies");
  });

  it("mount the folder for public images into the nodes, with and without fast start", async () => {
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

  it("are a problem together with registry settings in the configuration", async () => {
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

  it("add no containerd patch if config_path is the default of the image", async () => {
    const { cluster } = await planFor({ registry: "true" });
    for (const config of [
      cluster?.config,
      cluster?.fastStart?.configWithout,
      cluster?.fastStart?.cni?.config,
    ])
      expect(parse(config ?? "").containerdConfigPatches).toBeUndefined();
  });

  describe("add a containerd patch with config_path", () => {
    const patch =
      '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"\n';
    const old = { version: "v0.26.0", registry: "true" };
    const patchesOf = (config: string | undefined) => parse(config ?? "").containerdConfigPatches;

    it.each([
      { image: "an image before containerd 2", given: old },
      { image: "an unknown image", given: { registry: "true", node_image: `mine@${digest}` } },
    ])("for $image, in every configuration", async ({ given }) => {
      const { cluster } = await planFor(given);
      expect(patchesOf(cluster?.config)).toEqual([patch]);
      expect(patchesOf(cluster?.fastStart?.configWithout)).toEqual([patch]);
      expect(patchesOf(cluster?.fastStart?.cni?.config)).toEqual([patch]);
      expect(patchesOf((await planFor({ ...given, fast_start: "false" })).cluster?.config)).toEqual([patch]);
    });

    it("before the patches of the user, which override it", async () => {
      const config = configWith("containerdConfigPatches: [user-patch]");
      const { cluster } = await planFor({ ...old, config });
      for (const each of [cluster?.config, cluster?.fastStart?.configWithout])
        expect(patchesOf(each)).toEqual([patch, "user-patch"]);
    });

    it("only with registries", async () => {
      const { cluster } = await planFor({ version: "v0.26.0" });
      for (const each of [cluster?.config, cluster?.fastStart?.configWithout])
        expect(patchesOf(each)).toBeUndefined();
    });
  });
});

describe("the load balancer image", () => {
  const config = configWith("nodes: [{role: control-plane}, {role: control-plane}, {role: worker}]");

  it("is planned for several control planes, with its digest and the tag that kind uses", async () => {
    const { cluster } = await planFor({ config });
    expect(cluster?.loadBalancer).toEqual({
      tag: expect.stringMatching(/^docker\.io\/envoyproxy\/envoy:v[\d.]+$/),
      reference: expect.stringMatching(/^docker\.io\/envoyproxy\/envoy:v[\d.]+@sha256:[0-9a-f]{64}$/),
    });
  });

  it("is not planned for a single control plane", async () => {
    expect((await planFor()).cluster?.loadBalancer).toBeUndefined();
    const workers = configWith("nodes: [{role: control-plane}, {role: worker}, {role: worker}]");
    expect((await planFor({ config: workers })).cluster?.loadBalancer).toBeUndefined();
  });

  it("is not planned for a kind release whose load balancer is unknown", async () => {
    expect((await planFor({ config, version: "v0.30.0" })).cluster?.loadBalancer).toBeUndefined();
    const newer = { config, version: "v0.99.0", node_image: imageOf("1.37") };
    expect((await planFor(newer)).cluster?.loadBalancer).toBeUndefined();
  });
});

describe("the caches", () => {
  const cachesOf = async (given: Record<string, string> = {}, context: Parameters<typeof planFor>[1] = {}) =>
    (await planFor(given, context)).plan.caches;

  it("are those of node images and proxies, used only if that is faster", async () => {
    expect(await cachesOf({ registry_proxies: "ghcr.io" })).toEqual({
      entries: ["proxies", "node-image"],
      onlyIfFaster: true,
      saves: true,
      restoreTimeoutMs: 120_000,
      saveTimeoutMs: 300_000,
      maxBytes: 2e9,
    });
  });

  it("do not include proxies if there are none", async () => {
    expect((await cachesOf()).entries).toEqual(["node-image"]);
    expect((await cachesOf({ registry: "true" })).entries).toEqual(["node-image"]);
    expect((await cachesOf({ cache: "proxies" })).entries).toEqual([]);
  });

  it("include neither images nor proxies with install_only", async () => {
    const given = { install_only: "true", registry_proxies: "ghcr.io" };
    expect((await cachesOf(given)).entries).toEqual([]);
  });

  it("are those of the input, even if they are slower", async () => {
    const proxied = { registry_proxies: "ghcr.io" };
    expect(await cachesOf({ ...proxied, cache: "node-image" })).toMatchObject({
      entries: ["node-image"],
      onlyIfFaster: false,
    });
    expect(await cachesOf({ ...proxied, cache: "proxies" })).toMatchObject({
      entries: ["proxies"],
      onlyIfFaster: false,
    });
    expect(await cachesOf({ ...proxied, cache: "none" })).toMatchObject({ entries: [] });
  });

  it("are saved by jobs whose entries others can use, unless the input says otherwise", async () => {
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

  it("have the timeouts and the maximum size of the inputs", async () => {
    const given = { cache_restore_timeout: "30s", cache_save_timeout: "1m", cache_max_size: "500MB" };
    expect(await cachesOf(given)).toMatchObject({
      restoreTimeoutMs: 30_000,
      saveTimeoutMs: 60_000,
      maxBytes: 5e8,
    });
  });
});
