import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { labInputs } from "../lab/inputs.ts";
import { readLab } from "../lab/lab.ts";
import { ClusterJob } from "./cluster-job.ts";
import { docker, removeClusters } from "./machine.ts";

const run = promisify(execFile);

const config = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking:
  podSubnet: 10.11.0.0/16 # not kind's own
nodes:
- role: control-plane
  labels: {tier: 1.10}
  kubeadmConfigPatches:
  - |
    kind: KubeletConfiguration
    maxPods: 0x40
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  apiServer:
    extraArgs:
      v: "1"
`;

const kubectl = "kubectl --kubeconfig /etc/kubernetes/admin.conf --namespace kube-system get";

async function networkIsThere(): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt++) {
    if ((await docker("network", "ls", "--quiet", "--filter", "name=^kind$")).length > 0) return;
    await sleep(100);
  }
}

/** What makes a cluster what it is, each with what shows it in a node. */
const questions = {
  "the static pods": "cd /etc/kubernetes/manifests && head --lines=-0 --verbose *",
  "kubeadm's configuration": "cat /kind/kubeadm.conf",
  "the kubelet's configuration": "cat /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env",
  "containerd's configuration": "cat /etc/containerd/config.toml",
  "kube-proxy's configuration": `${kubectl} configmap kube-proxy --output jsonpath={.data}`,
  CoreDNS: `${kubectl} deployment coredns --output jsonpath={.metadata.labels}{.spec}`,
  "CoreDNS's configuration": `${kubectl} configmap coredns --output jsonpath={.data}`,
  "what runs on every node": `${kubectl} daemonsets --output jsonpath='{range .items[*]}{.metadata.name}{.spec}{end}'`,
  "storage classes": `${kubectl} storageclasses --output name`,
};

/** Answers about a cluster of one node, in which its name and address are words that fit any. */
async function answersOf(cluster: string): Promise<Record<string, string>> {
  const node = `${cluster}-control-plane`;
  const inspect = (format: string) => docker("inspect", "--format", format, node);
  const [address = ""] = await inspect("{{.NetworkSettings.Networks.kind.IPAddress}}");
  const mounts = await inspect("{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}}\n{{end}}");
  const answers = Object.entries(questions).map(async ([name, question]) => {
    const { stdout } = await run("docker", ["exec", node, "bash", "-euc", question]);
    return [name, stdout.replaceAll(cluster, "CLUSTER").replaceAll(address, "ADDRESS")] as const;
  });
  return { ...Object.fromEntries(await Promise.all(answers)), mounts: mounts.toSorted().join("\n") };
}

describe("a cluster with `fast_start: false`", () => {
  const ours = "e2e-ours";
  const theirs = "e2e-theirs";
  let folder: string;
  let job: ClusterJob;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "plain-"));
    const file = join(folder, "kind.yaml");
    await writeFile(file, config);
    const { image } = readLab().nodeImages.current;
    const kubeconfig = join(folder, "config");
    const starting = ClusterJob.start(ours, { inputs: { ...labInputs(), config, fast_start: "false" } });
    const create = ["create", "cluster", "--name", theirs, "--config", file];
    // The network is the action's to make, and to remove.
    const started = Promise.race([networkIsThere(), starting]).then(() =>
      run("kind", [...create, "--image", image, "--kubeconfig", kubeconfig]),
    );
    job = await starting.finally(() => started);
    await started;
  });

  afterAll(async () => {
    // kind's first: the network that they share goes with the last of the action's.
    await removeClusters(theirs);
    await job?.end();
    await removeClusters(ours);
    await rm(folder, { recursive: true, force: true });
  });

  it("is byte for byte the cluster that kind creates from the same configuration", async () => {
    const [our, their] = await Promise.all([answersOf(ours), answersOf(theirs)]);
    // What is the same because it is empty shows nothing.
    for (const [name, answer] of Object.entries(their)) expect(answer, name).not.toBe("");
    expect(their["the kubelet's configuration"]).toContain("maxPods: 64");
    expect(our).toEqual(their);
  });
});
