import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ActionRun, runAction } from "../harness/run-action.ts";
import { labInputs } from "../lab/inputs.ts";
import { buildArchive } from "./image-archive.ts";
import { leftSince, type Machine, machineNow, nothing, removeClusters } from "./machine.ts";

const cluster = "e2e-cluster";

/** What the steps after the action find out, each under a heading of its own. */
const questions = {
  context: "kubectl config current-context",
  nodes: "kubectl get nodes --no-headers --output custom-columns=:.metadata.name",
  tier: "kubectl get node e2e-cluster-worker --output jsonpath='{.metadata.labels.tier}'",
  mounted: "docker exec e2e-cluster-worker cat /mounted/file",
  clusters: "kind get clusters",
  images: "for node in $(kind get nodes); do docker exec $node crictl images; done",
  pods: [
    "for image in app other; do",
    "  kubectl run $image --image=e2e/$image:1 --image-pull-policy=Never >/dev/null",
    "done",
    "kubectl wait --for=condition=Ready pod/app pod/other --timeout=90s >/dev/null",
    "kubectl exec app -- wget -q -O - http://127.0.0.1:8080/",
  ].join("\n"),
  apiFromPod: [
    `address=$(docker inspect --format '{{.NetworkSettings.Networks.kind.IPAddress}}' ${cluster}-control-plane)`,
    "kubectl exec app -- nc -w 5 $address 6443 </dev/null && echo https://$address:6443",
  ].join("\n"),
  kubeconfigMode: "stat --format %a $KUBECONFIG",
};

describe("a cluster with the images of an earlier job", () => {
  let workspace: string;
  let before: Machine;
  let run: ActionRun;
  let answers: Record<string, string>;

  beforeAll(async () => {
    workspace = await mkdtemp(join(tmpdir(), "workspace-"));
    await mkdir(join(workspace, "images"));
    await mkdir(join(workspace, "mounted"));
    await writeFile(join(workspace, "mounted", "file"), "from the workspace");
    await buildArchive("e2e/app:1", join(workspace, "images", "app.tar"));
    await buildArchive("e2e/other:1", join(workspace, "images", "other.tar"));
    await writeFile(
      join(workspace, "kind.yaml"),
      `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
- role: worker
  labels:
    tier: 1.10
  extraMounts:
  - hostPath: mounted
    containerPath: /mounted
`,
    );
    before = await machineNow();
    const script = Object.entries(questions).map(
      ([name, question]) => `echo '=== ${name}'\n${question}\necho`,
    );
    run = await runAction({
      workspace,
      inputs: {
        ...labInputs(),
        cluster_name: cluster,
        config: "kind.yaml",
        load_archives: "images/*.tar",
      },
      command: ["bash", "-euc", script.join("\n")],
    });
    answers = parseAnswers(run.command?.log ?? "");
  });

  afterAll(async () => {
    await removeClusters(cluster);
    await rm(workspace, { recursive: true, force: true });
  });

  it("succeeds, and so does the next step", () => {
    expect(run.exitCode, run.main.log + run.command?.log + run.post?.log).toBe(0);
  });

  it("has every node of the configuration, with its labels as they were written", () => {
    expect(answers.nodes?.split("\n")).toEqual([`${cluster}-control-plane`, `${cluster}-worker`]);
    expect(answers.tier).toBe("1.10");
  });

  it("resolves relative paths of the configuration from the workspace", () => {
    expect(answers.mounted).toBe("from the workspace");
  });

  it("has every image of every archive in every node", () => {
    const lines = (answers.images ?? "").split("\n");
    for (const image of ["e2e/app", "e2e/other"]) {
      expect(lines.filter((line) => line.includes(image))).toHaveLength(2);
    }
  });

  it("runs a pod from such an image", () => {
    expect(answers.pods).toBe("e2e/app:1");
  });

  it("lets kubectl and kind work without arguments in the next steps", () => {
    expect(answers.context).toBe(`kind-${cluster}`);
    expect(answers.clusters?.split("\n")).toContain(cluster);
    expect(run.env).toMatchObject({ KIND_CLUSTER_NAME: cluster, KUBECONFIG: run.outputs.kubeconfig });
  });

  it("has a kubeconfig that other users cannot read", () => {
    expect(answers.kubeconfigMode).toBe("600");
  });

  it("is described by the outputs", () => {
    const { nodes, network, timings, ...plain } = run.outputs;
    expect(plain).toMatchObject({
      cluster_name: cluster,
      context: `kind-${cluster}`,
      kind_version: expect.stringMatching(/^v0\.\d+\.\d+$/),
      kubectl_version: expect.stringMatching(/^v1\.\d+\.\d+$/),
      kubernetes_version: expect.stringMatching(/^v1\.\d+\.\d+$/),
      node_image: expect.stringContaining("kindest/node"),
      api_server: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/),
    });
    expect(JSON.parse(nodes ?? "")).toEqual([
      {
        name: `${cluster}-control-plane`,
        role: "control-plane",
        address: expect.stringMatching(/^\d+(\.\d+){3}$/),
      },
      { name: `${cluster}-worker`, role: "worker", address: expect.stringMatching(/^\d+(\.\d+){3}$/) },
    ]);
    expect(JSON.parse(network ?? "")).toMatchObject({
      name: "kind",
      subnet: expect.stringMatching(/\/\d+$/),
      load_balancer_range: expect.stringMatching(/^[\d.]+-[\d.]+$/),
    });
    const tasks: { name: string }[] = JSON.parse(timings ?? "").tasks;
    expect(tasks.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        "Install kind and kubectl",
        "Get node images",
        "Create the cluster",
        "Load images",
        "Wait until ready",
      ]),
    );
  });

  it("has an API address that pods reach", () => {
    expect(answers.apiFromPod).toBe(JSON.parse(run.outputs.network ?? "").api_server);
  });

  it("has a log group and a bar in the summary for each task", () => {
    expect(run.main.log).toContain("✓ Create the cluster");
    expect(run.summary).toContain(`Cluster \`${cluster}\`: ready after`);
    expect(run.summary).toMatch(/\| Load images \| \d+\.\d s \|/);
  });

  it("leaves nothing behind, not even its context", async () => {
    expect(await leftSince(before)).toEqual(nothing);
    await expect(readFile(run.outputs.kubeconfig ?? "")).rejects.toThrow("ENOENT");
  });

  it("collects no logs if the job succeeded", () => {
    expect(run.post?.log).not.toContain("Collect logs");
  });
});

function parseAnswers(log: string): Record<string, string> {
  const [, ...parts] = log.split(/^=== (\w+)\n/m);
  const answers: Record<string, string> = {};
  for (let at = 0; at < parts.length; at += 2) answers[parts[at] ?? ""] = (parts[at + 1] ?? "").trim();
  return answers;
}
