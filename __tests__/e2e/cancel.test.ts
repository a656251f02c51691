import { afterAll, describe, expect, it } from "vitest";
import { labInputs } from "../lab/inputs.ts";
import { runAction } from "../runner/run-action.ts";
import { leftSince, machineNow, nothing, removeClusters } from "./machine.ts";

/** Seconds after main has started. Two jobs at a time, of each the next one when the last one has ended. */
const moments = [
  [15, 3],
  [10, 6, 1],
] as const;

const nameOf = (seconds: number) => `e2e-cancel-${seconds}`;

describe("a job that is cancelled", () => {
  afterAll(() => removeClusters(...moments.flat().map(nameOf)));

  it("leaves nothing behind, whenever that is", async () => {
    const before = await machineNow();
    const cancelled = await Promise.allSettled(
      moments.map(async (each) => {
        for (const seconds of each) await cancelAfter(seconds);
      }),
    );
    expect(cancelled.flatMap((each) => (each.status === "rejected" ? [each.reason] : []))).toEqual([]);
    expect(await leftSince(before)).toEqual(nothing);
  });
});

async function cancelAfter(seconds: number): Promise<void> {
  const name = nameOf(seconds);
  const run = await runAction({
    inputs: { ...labInputs(), cluster_name: name, logs: "never" },
    // Of its own: the other job, when it ends, may take along a network that nothing is on yet.
    env: { KIND_EXPERIMENTAL_DOCKER_NETWORK: name },
    cancelAfter: seconds,
    command: ["sleep", "60"],
  });
  expect(run.jobStatus, name).toBe("cancelled");
  expect(run.post?.exitCode, run.post?.log).toBe(0);
}
