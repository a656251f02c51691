import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { createLog } from "../../src/lib/log.ts";
import { createProgramRunner } from "../../src/lib/subprocess.ts";
import { readJob } from "../../src/runner/job.ts";
import type { ActionContext } from "../../src/runner/run-action.ts";
import { initialState, resolvePlan } from "../../src/workflows/resolve-plan.ts";
import { cacheProgramOf } from "../fixtures/cache-program.ts";
import { type DockerDaemon, dockerDaemon, nodeContainer } from "../fixtures/docker-daemon.ts";
import { memoryCache } from "../fixtures/memory-cache.ts";
import { recordingPrinter } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

let daemon: DockerDaemon;

/** A machine with the cluster `shop`, and with another run that has locked the name `locked`. */
beforeEach(async () => {
  daemon = await dockerDaemon();
  for (const container of [nodeContainer("shop", "control-plane"), nodeContainer("shop", "worker")])
    daemon.containers.set(container.id, container);
  daemon.volumes.set("kind-action.locked", { "kind-action.run": "13-1-def" });
  daemon.volumes.set("kind-action.shop", { "kind-action.run": "14-1-def" });
});

/** The context of main with inputs. */
function contextWith(inputs: Readonly<Record<string, string>>): ActionContext {
  for (const [name, value] of Object.entries(inputs)) vi.stubEnv(`INPUT_${name.toUpperCase()}`, value);
  onTestFinished(() => void vi.unstubAllEnvs());
  const printer = recordingPrinter();
  const folder = temporaryFolder();
  const env = { PATH: process.env.PATH ?? "", ...daemon.endpoint };
  return {
    env,
    job: readJob({ GITHUB_WORKSPACE: folder, RUNNER_TEMP: folder, HOME: folder }),
    runId: "12-1-abc",
    runProgram: createProgramRunner("12-1-abc", env),
    spawnWorker: cacheProgramOf(memoryCache()),
    printer,
    log: createLog(printer),
    startedMs: 1_795_266_247_000,
  };
}

const refuseVolumes = () => {
  daemon.refuse = (call) =>
    call.startsWith("GET /volumes") ? { status: 403, message: "forbidden by the socket proxy" } : undefined;
};

describe("resolvePlan", () => {
  it("plans a cluster with a free name, and changes nothing", async () => {
    const { plan } = await resolvePlan(contextWith({ cluster_name: "free" }));
    expect(plan.cluster?.name).toBe("free");
    expect(plan.kind.checksum).toMatch(/^[0-9a-f]{64}$/);
    expect(daemon.changes).toEqual([]);
  });

  it.each(["shop", "locked"])(
    "rejects the name %s of an existing cluster or of another run",
    async (name) => {
      await expect(resolvePlan(contextWith({ cluster_name: name }))).rejects.toThrow(
        `cluster_name "${name}": a cluster of this name already exists. `,
      );
    },
  );

  it("rejects with all problems of inputs and machine", async () => {
    const inputs = { cluster_name: "shop", wait: "soon", kubernetes_version: "1.21" };
    await expect(resolvePlan(contextWith(inputs))).rejects.toThrow(
      /wait .*kubernetes_version .*cluster_name /s,
    );
  });

  it("reports a daemon that does not list its clusters as a problem of the runner", async () => {
    refuseVolumes();
    await expect(resolvePlan(contextWith({}))).rejects.toThrow(
      /^runner: Could not list the clusters of the Docker daemon: .*forbidden by the socket proxy/,
    );
  });

  it("does not need that list with install_only", async () => {
    refuseVolumes();
    const { plan } = await resolvePlan(contextWith({ install_only: "true" }));
    expect(plan.cluster).toBeUndefined();
  });
});

describe("initialState", () => {
  it("contains all that post needs to delete the cluster, and nothing to save", async () => {
    const ctx = contextWith({ cluster_name: "free" });
    const resolved = await resolvePlan(ctx);
    expect(await initialState(resolved.plan, resolved.daemon, ctx)).toEqual({
      version: 1,
      runId: "12-1-abc",
      folder: resolved.plan.folder,
      startedMs: ctx.startedMs,
      endpoint: daemon.endpoint,
      cluster: {
        name: "free",
        network: "kind",
        kubeconfig: { path: resolved.plan.cluster?.kubeconfig, existed: false },
        logs: resolved.plan.cluster?.logs,
        ignoreFailedClean: false,
      },
      saves: [],
      saveTimeoutMs: 300_000,
      succeeded: false,
    });
  });
});
