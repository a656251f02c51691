import { describe, expect, it } from "vitest";
import { wantsLogs } from "../src/remove-cluster.ts";

const logs = (when: "on-failure" | "always" | "never") => ({
  logs: { when, folder: "/tmp/logs", artifact: "kind-logs" },
});

describe("the logs of a cluster are kept", () => {
  it.each([
    { when: "on-failure", job: "success", main: true, kept: false },
    { when: "on-failure", job: "failure", main: true, kept: true },
    // A job that timed out says so, too.
    { when: "on-failure", job: "cancelled", main: true, kept: true },
    { when: "on-failure", job: "success", main: false, kept: true },
    { when: "on-failure", job: "failure", main: false, kept: true },
    // Where nobody evaluates the job's status, main's own end counts.
    { when: "on-failure", job: "", main: true, kept: false },
    { when: "on-failure", job: "", main: false, kept: true },
    { when: "always", job: "success", main: true, kept: true },
    { when: "always", job: "failure", main: false, kept: true },
    { when: "never", job: "failure", main: false, kept: false },
    { when: "never", job: "cancelled", main: true, kept: false },
  ] as const)("$kept with `logs: $when`, job $job, main succeeded $main", ({ when, job, main, kept }) => {
    expect(wantsLogs(logs(when), job, main)).toBe(kept);
  });
});
