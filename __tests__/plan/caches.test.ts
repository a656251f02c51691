import { describe, expect, it } from "vitest";
import { shouldSaveCaches } from "../../src/plan/caches.ts";

describe("shouldSaveCaches", () => {
  const main = "refs/heads/main";

  it.each([
    { trigger: "a push to the default branch", name: "push", ref: main, saves: true },
    { trigger: "a schedule", name: "schedule", ref: main, saves: true },
    { trigger: "a manual run on the default branch", name: "workflow_dispatch", ref: main, saves: true },
    { trigger: "a repository dispatch", name: "repository_dispatch", ref: main, saves: true },
    // Only these refs themselves can restore the entries.
    { trigger: "a push to another branch", name: "push", ref: "refs/heads/topic", saves: false },
    {
      trigger: "a branch with the default branch's name at the end",
      name: "push",
      ref: "refs/heads/topic/main",
      saves: false,
    },
    { trigger: "a tag", name: "push", ref: "refs/tags/main", saves: false },
    { trigger: "a pull request", name: "pull_request", ref: "refs/pull/1/merge", saves: false },
    {
      trigger: "a merge queue",
      name: "merge_group",
      ref: "refs/heads/gh-readonly-queue/main/pr-1-abc",
      saves: false,
    },
    // These run with the rights of the default branch on input from others.
    { trigger: "a pull request target", name: "pull_request_target", ref: main, saves: false },
    { trigger: "a completed workflow run", name: "workflow_run", ref: main, saves: false },
    { trigger: "a comment", name: "issue_comment", ref: main, saves: false },
    { trigger: "an issue", name: "issues", ref: main, saves: false },
    { trigger: "an unknown event", name: "", ref: "", saves: false },
  ])("for $trigger: $saves", ({ name, ref, saves }) => {
    expect(shouldSaveCaches({ name, ref, defaultBranch: "main" }, "auto")).toBe(saves);
  });

  it("is false if the default branch is unknown", () => {
    expect(shouldSaveCaches({ name: "push", ref: main, defaultBranch: undefined }, "auto")).toBe(false);
    expect(shouldSaveCaches({ name: "push", ref: "refs/heads/trunk", defaultBranch: "trunk" }, "auto")).toBe(
      true,
    );
  });

  it.each(["pull_request", "pull_request_target", "workflow_run"])("is true for %s with `always`", (name) => {
    expect(shouldSaveCaches({ name, ref: main, defaultBranch: "main" }, "always")).toBe(true);
  });

  it("is false for a push to the default branch with `never`", () => {
    expect(shouldSaveCaches({ name: "push", ref: main, defaultBranch: "main" }, "never")).toBe(false);
  });
});
