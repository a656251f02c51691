import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { artifacts } from "../harness/results-service/artifact-service.ts";
import { type ResultsService, startResultsService } from "../harness/results-service/server.ts";
import { runAction } from "../harness/run-action.ts";
import { labInputs } from "../lab/inputs.ts";
import { leftSince, type Machine, machineNow, nothing, removeClusters } from "./machine.ts";

/** CoreDNS cannot be pulled from a host that does not exist: nodes become Ready, the cluster never does. */
const neverReady = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  dns:
    imageRepository: registry.invalid
    imageTag: v0
`;

const twoNodes = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
- role: worker
`;

/** Its nodes become Ready when somebody has installed a CNI; until then its API is all there is to wait for. */
const withoutNetwork = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking:
  disableDefaultCNI: true
`;

describe("the logs of a cluster whose job failed", () => {
  let folder: string;
  let service: ResultsService;
  let before: Machine;

  beforeAll(async () => {
    before = await machineNow();
    folder = await mkdtemp(join(tmpdir(), "results-"));
    service = await startResultsService({ dir: folder });
  });
  afterAll(async () => {
    await removeClusters("e2e-logs", "e2e-never-ready");
    await service[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  it.concurrent("are an artifact for each job of a matrix, with everything that explains a failure", async () => {
    const kept = { a: { config: twoNodes }, b: { config: withoutNetwork } };
    for (const shard of ["a", "b"] as const) {
      const run = await runAction({
        inputs: { ...labInputs(), cluster_name: "e2e-logs", ...kept[shard] },
        // The ids of one workflow run: artifacts of different runs never meet.
        env: { GITHUB_RUN_ID: "4711", GITHUB_JOB: "test" },
        matrix: { shard },
        resultsService: service,
        command: ["false"],
      });
      expect(run.main.exitCode, run.main.log).toBe(0);
      expect(run.exitCode).toBe(1);
      expect(run.post?.log).toContain(`artifact kind-logs-test-e2e-logs-${shard}`);
      expect(run.summary).toContain(`artifact kind-logs-test-e2e-logs-${shard}`);
    }
    const files = await unpacked("kind-logs-test-e2e-logs-a");
    const node = "e2e-logs-control-plane";
    expect(files).toEqual(
      expect.arrayContaining([
        "e2e-logs-worker/journal.log",
        "e2e-logs-worker/kubelet.log",
        `${node}/journal.log`,
        `${node}/kubelet.log`,
        `${node}/containerd.log`,
        "events.txt",
        "pods.txt",
        "nodes.txt",
      ]),
    );
    expect(files.filter((file) => file.startsWith(`${node}/pods/kube-system_coredns`))).not.toEqual([]);
    expect(await unpacked("kind-logs-test-e2e-logs-b")).toContain(`${node}/journal.log`);
  });

  it.concurrent("contain the reason when the cluster does not become ready", async () => {
    const run = await runAction({
      inputs: { ...labInputs(), cluster_name: "e2e-never-ready", config: neverReady, wait: "20s" },
      env: { GITHUB_RUN_ID: "4711", GITHUB_JOB: "never-ready" },
      resultsService: service,
      command: ["true"],
    });
    expect(run.main.exitCode).toBe(1);
    expect(run.command, "a step after a failed one does not run").toBeUndefined();
    const error = run.annotations.find(({ level }) => level === "error")?.message;
    expect(error).toContain('Cluster "e2e-never-ready" was not ready within 20 s');
    expect(error).toContain("deployment kube-system/coredns: 0 of 2 available");
    expect(run.post?.log).toMatch(
      /pod kube-system\/coredns-\S+ is Pending: coredns: (ErrImagePull|ImagePullBackOff)/,
    );
    expect(await unpacked("kind-logs-never-ready-e2e-never-ready")).toContain("events.txt");
  });

  it("are collected before the cluster is deleted", async () => {
    expect(await leftSince(before)).toEqual(nothing);
  });

  /** The files of an artifact. */
  async function unpacked(name: string): Promise<string[]> {
    const artifact = (await artifacts(folder)).find((candidate) => candidate.name === name);
    expect(artifact, `an artifact ${name}`).toBeDefined();
    const to = join(folder, "unpacked", name);
    await promisify(execFile)("python3", ["-m", "zipfile", "--extract", artifact?.zipPath ?? "", to]);
    const entries = await readdir(to, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    for (const file of files) expect(await readFile(file, "latin1")).not.toContain("PRIVATE KEY-----");
    return files.map((file) => file.slice(to.length + 1));
  }
});
