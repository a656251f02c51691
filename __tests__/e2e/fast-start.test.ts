import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { labInputs } from "../lab/inputs.ts";
import { readLab } from "../lab/lab.ts";
import { ClusterJob } from "./cluster-job.ts";
import { buildImage } from "./derived-image.ts";
import { docker, removeClusters } from "./machine.ts";

const head = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

const argumentsIn = async (node: string, component: string) =>
  (await docker("exec", node, "cat", `/etc/kubernetes/manifests/${component}.yaml`))
    .map((line) => /^ +- (--\S+)$/.exec(line)?.[1])
    .filter((argument) => argument !== undefined);

describe("a cluster with fast start", () => {
  const cluster = "e2e-fast";
  const node = `${cluster}-control-plane`;
  let job: ClusterJob;

  beforeAll(async () => {
    // One field each by a patch of the cluster, by one of a node, and by JSON 6902.
    const config = `${head}
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  scheduler:
    extraArgs:
      leader-elect: "true"
  controllerManager:
    extraArgs:
      leader-elect: "true"
kubeadmConfigPatchesJSON6902:
- group: kubeadm.k8s.io
  version: v1beta3
  kind: ClusterConfiguration
  patch: |
    - op: add
      path: /controllerManager/extraArgs/kube-api-burst
      value: "77"
nodes:
- role: control-plane
  kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    etcd: {local: {extraArgs: {unsafe-no-fsync: "false"}}}
- role: worker
- role: worker
`;
    job = await ClusterJob.start(cluster, { inputs: { ...labInputs(), config } });
  });

  afterAll(async () => {
    await job?.end();
    await removeClusters(cluster);
  });

  it("has the values of the user's patches, and those of fast start in other fields", async () => {
    const manager = await argumentsIn(node, "kube-controller-manager");
    expect(manager).toEqual(
      expect.arrayContaining(["--leader-elect=true", "--kube-api-burst=77", "--kube-api-qps=300"]),
    );
    expect(manager).not.toContain("--leader-elect=false");
    expect(await argumentsIn(node, "kube-scheduler")).toContain("--leader-elect=true");
    expect(await argumentsIn(node, "etcd")).toContain("--unsafe-no-fsync=false");
    for (const component of ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]) {
      const manifest = (
        await docker("exec", node, "cat", `/etc/kubernetes/manifests/${component}.yaml`)
      ).join("\n");
      expect(manifest).toMatch(/startupProbe:\n {6}failureThreshold: 240\n/);
    }
  });

  it("has kubelets that pull several images at once", async () => {
    for (const each of [node, `${cluster}-worker`, `${cluster}-worker2`]) {
      const kubelet = await docker("exec", each, "cat", "/var/lib/kubelet/config.yaml");
      expect(kubelet, each).toEqual(
        expect.arrayContaining(["serializeImagePulls: false", "maxParallelImagePulls: 5"]),
      );
    }
  });

  it("has kind's CNI, once", async () => {
    const get = async (...what: string[]) =>
      (await job.kubectl("get", ...what, "--output", "name")).split("\n");
    expect(await get("daemonsets", "--namespace", "kube-system")).toEqual([
      "daemonset.apps/kindnet",
      "daemonset.apps/kube-proxy",
      "",
    ]);
    const env = await job.kubectl(
      ...["get", "daemonset", "kindnet", "--namespace", "kube-system", "--output"],
      "jsonpath={.spec.template.spec.containers[0].env}",
    );
    expect(env).toContain('"value":"10.244.0.0/16"');
    expect(env).toContain(`"value":"${node}:6443"`);
  });

  it("rolls out a Deployment, and moves its pods when a node is drained", async () => {
    const helper = await helperImage(node);
    await job.kubectl(
      "create",
      "deployment",
      "web",
      "--image",
      helper,
      "--replicas",
      "2",
      "--",
      "sh",
      "-c",
      "trap exit TERM; sleep 3600 & wait",
    );
    await job.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
    await job.kubectl("set", "env", "deployment/web", "VERSION=2");
    await job.kubectl("rollout", "status", "deployment/web", "--timeout=90s");
    const worker = `${cluster}-worker`;
    await job.kubectl(
      "drain",
      worker,
      "--ignore-daemonsets",
      "--delete-emptydir-data",
      "--force",
      "--grace-period=1",
      "--timeout=60s",
    );
    await job.kubectl("rollout", "status", "deployment/web", "--timeout=60s");
    const nodes = await job.kubectl("get", "pods", "--output", "jsonpath={.items[*].spec.nodeName}");
    expect(nodes.split(" ")).not.toContain(worker);
  });

  it("restarts a killed component of the control plane, and reports when it is ready", async () => {
    const named = `labels."io.kubernetes.container.name"==kube-scheduler`;
    const ctr = (...args: string[]) => docker("exec", node, "ctr", "--namespace", "k8s.io", ...args);
    const [scheduler = ""] = await ctr("containers", "ls", "--quiet", named);
    await ctr("tasks", "kill", "--signal", "SIGKILL", scheduler);
    const pod = ["--namespace=kube-system", "--timeout=60s", `pod/kube-scheduler-${node}`];
    await job.kubectl("wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", ...pod);
    await job.kubectl("wait", "--for=condition=Ready", ...pod);
  });
});

/** An image of the node image's own, with a shell. */
async function helperImage(node: string): Promise<string> {
  const images = await docker("exec", node, "ctr", "-n", "k8s.io", "images", "ls", "-q");
  return images.find((name) => name.includes("local-path-helper")) ?? "";
}

describe("etcd without fsync", () => {
  const cluster = "e2e-fast-crash";
  const node = `${cluster}-control-plane`;
  let job: ClusterJob;

  beforeAll(async () => {
    job = await ClusterJob.start(cluster, { inputs: labInputs() });
  });

  afterAll(async () => {
    await job?.end();
    await removeClusters(cluster);
  });

  it("keeps every acknowledged write when its node is killed and started again", async () => {
    expect(await argumentsIn(node, "etcd")).toContain("--unsafe-no-fsync=true");
    const written: string[] = [];
    const writing = (async () => {
      for (let number = 0; number < 200; number++) {
        await job.kubectl("create", "configmap", `written-${number}`, "--from-literal=a=b");
        written.push(`configmap/written-${number}`);
      }
    })().catch(() => {});
    await expect.poll(() => written.length, { timeout: 30_000 }).toBeGreaterThan(15);
    await docker("kill", node);
    await writing;
    await docker("start", node);
    const list = () => job.kubectl("get", "configmaps", "--output", "name").catch(() => "");
    await expect.poll(list, { timeout: 90_000, interval: 1_000 }).toContain("written-0");
    expect((await list()).split("\n")).toEqual(expect.arrayContaining(written));
  });
});

describe("a Kubernetes version whose kubeadm takes extraArgs as a list", () => {
  const cluster = "e2e-fast-lists";
  const image = "kind-action-e2e/node:lists";

  beforeAll(async () => {
    // kind looks here for the version, and writes v1beta4 from 1.36 on; this kubeadm reads both.
    const { image: current } = readLab().nodeImages.current;
    await buildImage(image, `FROM ${current}\nRUN echo v1.36.0 >/kind/version\n`);
  });

  afterAll(async () => {
    await removeClusters(cluster);
    await docker("rmi", "--force", image);
  });

  it("gets the arguments of fast start as a list, in addition to those of kind", async () => {
    const { kubernetes } = readLab().nodeImages.current;
    const config = `${head}
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  kubernetesVersion: ${kubernetes}
`;
    const job = await ClusterJob.start(cluster, { inputs: { ...labInputs(), node_image: image, config } });
    const node = `${cluster}-control-plane`;
    try {
      expect(await docker("exec", node, "cat", "/kind/kubeadm.conf")).toContain(
        "apiVersion: kubeadm.k8s.io/v1beta4",
      );
      expect(await argumentsIn(node, "kube-controller-manager")).toEqual(
        expect.arrayContaining([
          "--enable-hostpath-provisioner=true",
          "--leader-elect=false",
          "--kube-api-qps=300",
          "--kube-api-burst=400",
        ]),
      );
      expect(await argumentsIn(node, "kube-scheduler")).toContain("--leader-elect=false");
      expect(await argumentsIn(node, "etcd")).toContain("--unsafe-no-fsync=true");
    } finally {
      await job.end();
    }
  });
});
