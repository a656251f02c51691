import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runAction } from "../harness/run-action.ts";
import { labInputs } from "../lab/inputs.ts";
import { readLab } from "../lab/lab.ts";
import { docker, leftSince, machineNow, nothing, removeClusters } from "./machine.ts";

describe("a run that cannot create a cluster", () => {
  let workspace: string;

  beforeAll(async () => {
    workspace = await mkdtemp(join(tmpdir(), "workspace-"));
    await writeFile(
      join(workspace, "kind.yaml"),
      "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- rolle: worker\n",
    );
  });
  afterAll(async () => {
    await removeClusters("e2e-twins");
    await rm(workspace, { recursive: true, force: true });
  });

  it("reports all invalid inputs at once, and creates nothing", async () => {
    const before = await machineNow();
    const run = await runAction({
      workspace,
      inputs: {
        version: "v1.34.0",
        config: "kind.yaml",
        load_archives: "missing.tar\nimages/*.tar",
        wait: "5",
        cloud_provider: "true",
      },
    });
    expect(run.exitCode).toBe(1);
    const error = run.annotations.find(({ level }) => level === "error")?.message ?? "";
    for (const part of [
      'version "v1.34.0": is a Kubernetes version',
      "line 4, column 3: unknown field `nodes.0.rolle`",
      'load_archives "missing.tar": does not exist',
      'load_archives "images/*.tar": does not match any file',
      'wait "5": must be a duration',
      'cloud_provider "true": is not supported',
    ]) {
      expect(error).toContain(part);
    }
    expect(run.post?.log).toContain("There is nothing to delete");
    expect(await leftSince(before)).toEqual(nothing);
  });

  it("does not touch an existing cluster of the same name", async () => {
    const { testImage } = readLab();
    const label = "io.x-k8s.kind.cluster=e2e-taken";
    await docker(
      "run",
      "--detach",
      "--name",
      "e2e-taken-control-plane",
      "--label",
      label,
      testImage,
      "sleep",
      "300",
    );
    try {
      const run = await runAction({ inputs: { ...labInputs(), cluster_name: "e2e-taken" } });
      expect(run.exitCode).toBe(1);
      expect(run.main.log).toContain('cluster_name "e2e-taken": a cluster of this name already exists');
      expect(await docker("ps", "--quiet", "--filter", `label=${label}`)).toHaveLength(1);
    } finally {
      await docker("rm", "--force", "e2e-taken-control-plane");
    }
  });

  it("fails if a concurrent run got the name, and does not touch its cluster", async () => {
    const before = await machineNow();
    const runs = await Promise.all(
      [1, 2].map(() =>
        runAction({
          inputs: { ...labInputs(), cluster_name: "e2e-twins", logs: "never" },
          command: ["kubectl", "wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s"],
        }),
      ),
    );
    const [winner, loser] = runs.toSorted((a, b) => a.exitCode - b.exitCode);
    expect(winner?.exitCode, winner?.main.log).toBe(0);
    expect(loser?.exitCode).toBe(1);
    expect(loser?.main.log).toMatch(/e2e-twins".* (is locked by another run|already exists)/);
    expect(await leftSince(before)).toEqual(nothing);
  });

  it("says what to do when no Docker daemon answers", async () => {
    const run = await runAction({
      inputs: labInputs(),
      env: { DOCKER_HOST: "unix:///nowhere/docker.sock" },
    });
    expect(run.exitCode).toBe(1);
    expect(run.main.log).toContain("Could not reach the Docker daemon at unix:///nowhere/docker.sock");
    expect(run.post?.exitCode).toBe(0);
  });
});
