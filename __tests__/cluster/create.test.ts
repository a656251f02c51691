import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createKindCluster } from "../../src/cluster/create.ts";
import type { FastStartPlan } from "../../src/cluster/fast-start/plan.ts";
import type { KindCli } from "../../src/cluster/kind-cli.ts";
import { ProgramError } from "../../src/lib/subprocess.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const kindFailed = (stderr: string) =>
  new ProgramError("kind", ["create", "cluster"], { exitCode: 1, stdout: "", stderr }, "failed");

const rejection = `ERROR: failed to create cluster: failed to init node with kubeadm: command "docker exec" failed
Command Output: I1121 19:34:19.337439 initconfiguration.go:261] loading configuration from "/kind/kubeadm.conf"
error: error unmarshaling configuration: strict decoding error: unknown field "etcd.local.fast"`;

/** Creates a cluster with a fake kind, whose calls fail with the given errors in turn; undefined is a success. */
async function create({ fast = true, errors = [] as (Error | undefined)[] } = {}) {
  const folder = temporaryFolder();
  const calls: string[] = [];
  const kind: KindCli = {
    create: async ({ config }) => {
      calls.push(`create ${config}`);
      const error = errors.shift();
      if (error !== undefined) throw error;
    },
    delete: async (cluster) => void calls.push(`delete ${cluster}`),
    exportLogs: () => Promise.reject(new Error("createKindCluster does not export logs")),
  };
  const fastStart: FastStartPlan = {
    settings: ["etcd: `unsafe-no-fsync=true`"],
    folder: join(folder, "patches"),
    files: { "etcd+strategic.yaml": "kind: Pod\n" },
    configWithout: "plain",
    cni: undefined,
  };
  const log = recordingLog();
  const cluster = {
    name: "shop",
    config: "fast",
    workspace: folder,
    kubeconfig: join(folder, "config"),
    verbosity: 0,
    fastStart: fast ? fastStart : undefined,
  };
  const outcome = createKindCluster(kind, cluster, folder, log);
  outcome.catch(() => {});
  return { outcome, calls, log, patches: fastStart.folder };
}

describe("createKindCluster", () => {
  it("creates the cluster with fast start, lists the settings in the log, and writes the folder of patches", async () => {
    const { outcome, calls, log, patches } = await create();
    expect(await outcome).toEqual({ recreated: false, settings: ["etcd: `unsafe-no-fsync=true`"] });
    expect(calls).toEqual(["create fast"]);
    expect(log.lines).toEqual(["Fast start: etcd: `unsafe-no-fsync=true`"]);
    expect(await readFile(join(patches, "etcd+strategic.yaml"), "utf8")).toBe("kind: Pod\n");
  });

  it("creates the cluster without fast start if that is disabled, and does not mention it in the log", async () => {
    const { outcome, log } = await create({ fast: false });
    expect(await outcome).toEqual({ recreated: false, settings: [] });
    expect(log.lines).toEqual([]);
  });

  it("creates the cluster again without fast start if kubeadm rejects it, with one warning that has the reason", async () => {
    const { outcome, calls, log } = await create({ errors: [kindFailed(rejection)] });
    expect(await outcome).toEqual({ recreated: true, settings: [] });
    expect(calls).toEqual(["create fast", "delete shop", "create plain"]);
    expect(log.warnings).toEqual([
      'The cluster was created without fast start, because kubeadm rejected its configuration: error: error unmarshaling configuration: strict decoding error: unknown field "etcd.local.fast". Set `fast_start: false` to skip the first attempt.',
    ]);
    expect(log.lines).toEqual([
      "kubeadm rejected its configuration. Creating the cluster again without fast start:",
    ]);
  });

  it("creates the cluster again without fast start for any rejection of kubeadm, also one without a reason", async () => {
    const kubeadmFailed = (output: string) =>
      kindFailed(`ERROR: failed to init node with kubeadm: failed\n\nCommand Output: ${output}`);
    const short = await create({ errors: [kubeadmFailed("error: no such field: fast")] });
    expect(await short.outcome).toMatchObject({ recreated: true });
    expect(short.log.warnings).toEqual([
      expect.stringContaining("rejected its configuration: error: no such field: fast."),
    ]);
    const silent = await create({ errors: [kubeadmFailed("")] });
    expect(await silent.outcome).toMatchObject({ recreated: true });
    expect(silent.log.warnings).toEqual([
      expect.stringContaining("rejected its configuration: it gave no reason."),
    ]);
  });

  it("fails with the second error if kubeadm rejects the configuration without fast start, too", async () => {
    const second = kindFailed(rejection.replace("etcd.local.fast", "apiServer.mine"));
    const { outcome, log } = await create({ errors: [kindFailed(rejection), second] });
    await expect(outcome).rejects.toBe(second);
    expect(log.warnings).toEqual([]);
    expect(log.lines).not.toContainEqual(expect.stringContaining("Fast start"));
  });

  it.each([
    {
      why: "kubeadm has started the initialization",
      stderr: `failed to init node with kubeadm\n[init] Using Kubernetes version: v1.34.4`,
    },
    { why: "kubeadm was not run", stderr: "ERROR: failed to create cluster: port is already allocated" },
  ])("fails with the first error of kind if $why", async ({ stderr }) => {
    const error = kindFailed(stderr);
    const { outcome, calls } = await create({ errors: [error] });
    await expect(outcome).rejects.toBe(error);
    expect(calls).toEqual(["create fast"]);
  });

  it("fails with the first error if that is not an error of kind", async () => {
    const error = new Error("no space left on device");
    const { outcome, calls } = await create({ errors: [error] });
    await expect(outcome).rejects.toBe(error);
    expect(calls).toEqual(["create fast"]);
  });
});
