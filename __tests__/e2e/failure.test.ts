import { afterAll, describe, expect, it } from "vitest";
import { labInputs } from "../lab/inputs.ts";
import { runAction } from "../runner/run-action.ts";
import { leftSince, machineNow, nothing, removeClusters } from "./machine.ts";

describe("a cluster that cannot be made", () => {
  afterAll(() => removeClusters("e2e-failure"));

  it("fails the step with kind's reason, and leaves nothing after post", async () => {
    const before = await machineNow();
    const run = await runAction({
      inputs: {
        ...labInputs(),
        cluster_name: "e2e-failure",
        config: `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  kubernetesVersion: not-a-version
`,
        logs: "never",
      },
      command: ["true"],
    });
    expect(run.main.exitCode).toBe(1);
    const error = run.annotations.find(({ level }) => level === "error")?.message;
    expect(error).toMatch(/`kind create cluster .*` failed with exit code 1:/);
    expect(error).toContain("not-a-version");
    expect(run.command).toBeUndefined();
    expect(run.summary).toContain("Cluster `e2e-failure`: failed after");
    expect(run.post?.exitCode).toBe(0);
    expect(await leftSince(before)).toEqual(nothing);
  });
});
