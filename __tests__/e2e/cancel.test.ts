import { afterAll, describe, expect, it } from "vitest";
import { runAction } from "../harness/run-action.ts";
import { labInputs } from "../lab/inputs.ts";
import { leftSince, machineNow, nothing, removeClusters } from "./machine.ts";

describe("a job that is cancelled", () => {
  afterAll(() => removeClusters("e2e-cancel"));

  it.each([1, 3, 6, 10, 15])("leaves nothing behind after %i s", async (seconds) => {
    const before = await machineNow();
    const run = await runAction({
      inputs: { ...labInputs(), cluster_name: "e2e-cancel", logs: "never" },
      cancelAfter: seconds,
      command: ["sleep", "60"],
    });
    expect(run.jobStatus).toBe("cancelled");
    expect(run.post?.exitCode, run.post?.log).toBe(0);
    expect(await leftSince(before)).toEqual(nothing);
  });
});
