import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createKindCluster } from "../../src/cluster/create.ts";
import type { KindCli } from "../../src/cluster/kind-cli.ts";
import { ProgramError } from "../../src/lib/subprocess.ts";
import type { FastStartPlan } from "../../src/plan/plan.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const kindFailed = (stderr: string) =>
  new ProgramError("kind", ["create", "cluster"], { exitCode: 1, stdout: "", stderr }, "failed");

const refusal = `ERROR: failed to create cluster: failed to init node with kubeadm: command "docker exec" failed
Command Output: I1121 19:34:19.337439 initconfiguration.go:261] loading configuration from "/kind/kubeadm.conf"
error: error unmarshaling configuration: strict decoding error: unknown field "etcd.local.fast"`;

/** A cluster that is made by a kind which answers each call with the next of these, and takes what there is no answer for. */
async function create({ fast = true, answers = [] as (Error | undefined)[] } = {}) {
  const folder = temporaryFolder();
  const made: string[] = [];
  const kind: KindCli = {
    create: async ({ config }) => {
      made.push(`create ${config}`);
      const answer = answers.shift();
      if (answer !== undefined) throw answer;
    },
    delete: async (cluster) => void made.push(`delete ${cluster}`),
    exportLogs: () => Promise.reject(new Error("not asked for")),
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
  return { outcome, made, log, patches: fastStart.folder };
}

describe("a cluster", () => {
  it("is made with fast start's settings, which are listed then, and its folder of patches", async () => {
    const { outcome, made, log, patches } = await create();
    expect(await outcome).toEqual({ anew: false, settings: ["etcd: `unsafe-no-fsync=true`"] });
    expect(made).toEqual(["create fast"]);
    expect(log.lines).toEqual(["Fast start: etcd: `unsafe-no-fsync=true`"]);
    expect(await readFile(join(patches, "etcd+strategic.yaml"), "utf8")).toBe("kind: Pod\n");
  });

  it("is made without them where they are not wanted, and nothing is said of it", async () => {
    const { outcome, log } = await create({ fast: false });
    expect(await outcome).toEqual({ anew: false, settings: [] });
    expect(log.lines).toEqual([]);
  });

  it("is made without them where kubeadm refuses them, with one warning that says why, and none is listed", async () => {
    const { outcome, made, log } = await create({ answers: [kindFailed(refusal)] });
    expect(await outcome).toEqual({ anew: true, settings: [] });
    expect(made).toEqual(["create fast", "delete shop", "create plain"]);
    expect(log.warnings).toEqual([
      'The cluster was made without fast start, because kubeadm refuses it (error: error unmarshaling configuration: strict decoding error: unknown field "etcd.local.fast"). Set `fast_start: false` to keep it from trying.',
    ]);
    expect(log.lines).toEqual(["kubeadm refuses its configuration. Once more, without fast start:"]);
  });

  it("is made without them whatever it is that kubeadm says", async () => {
    const kubeadmSays = (output: string) =>
      kindFailed(`ERROR: failed to init node with kubeadm: failed\n\nCommand Output: ${output}`);
    const short = await create({ answers: [kubeadmSays("error: no such field: fast")] });
    expect(await short.outcome).toMatchObject({ anew: true });
    expect(short.log.warnings).toEqual([expect.stringContaining("refuses it (error: no such field: fast).")]);
    const silent = await create({ answers: [kubeadmSays("")] });
    expect(await silent.outcome).toMatchObject({ anew: true });
    expect(silent.log.warnings).toEqual([expect.stringContaining("refuses it (it does not say why).")]);
  });

  it("fails with the user's own error where kubeadm refuses that, too", async () => {
    const own = kindFailed(refusal.replace("etcd.local.fast", "apiServer.mine"));
    const { outcome, log } = await create({ answers: [kindFailed(refusal), own] });
    await expect(outcome).rejects.toBe(own);
    expect(log.warnings).toEqual([]);
    expect(log.lines).not.toContainEqual(expect.stringContaining("Fast start"));
  });

  it.each([
    {
      why: "kubeadm has begun",
      stderr: `failed to init node with kubeadm\n[init] Using Kubernetes version: v1.34.4`,
    },
    { why: "kubeadm was not asked", stderr: "ERROR: failed to create cluster: port is already allocated" },
  ])("fails at once with kind's error where fast start is not to blame: $why", async ({ stderr }) => {
    const error = kindFailed(stderr);
    const { outcome, made } = await create({ answers: [error] });
    await expect(outcome).rejects.toBe(error);
    expect(made).toEqual(["create fast"]);
  });

  it("fails at once with what is no error of kind's", async () => {
    const error = new Error("no space left on device");
    const { outcome, made } = await create({ answers: [error] });
    await expect(outcome).rejects.toBe(error);
    expect(made).toEqual(["create fast"]);
  });
});
