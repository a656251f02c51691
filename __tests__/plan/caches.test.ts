import { describe, expect, it } from "vitest";
import { proxyKeyPrefix, shouldSaveCaches, toolKey } from "../../src/cache/keys.ts";

describe("the key of a tool", () => {
  it("is another for another tool and for another content", () => {
    const keys = [toolKey("kind", "aa"), toolKey("kubectl", "aa"), toolKey("kind", "ab")];
    expect(new Set(keys).size).toBe(keys.length);
    // The service finds entries by the beginning of their key, too.
    for (const key of keys)
      expect(keys.filter((other) => other !== key && other.startsWith(key))).toEqual([]);
  });

  it("holds nothing that the cache service refuses: no comma, at most 512 letters", () => {
    const key = toolKey("kubectl", "f".repeat(64));
    expect(key).not.toContain(",");
    expect(key.length).toBeLessThanOrEqual(512);
  });
});

describe("a job leaves caches", () => {
  const main = "refs/heads/main";

  it.each([
    { on: "a push to the default branch", name: "push", ref: main, saves: true },
    { on: "a schedule", name: "schedule", ref: main, saves: true },
    { on: "somebody's click on the default branch", name: "workflow_dispatch", ref: main, saves: true },
    { on: "a repository dispatch", name: "repository_dispatch", ref: main, saves: true },
    // Seen by nobody else.
    { on: "a push to another branch", name: "push", ref: "refs/heads/topic", saves: false },
    { on: "a branch that only ends like it", name: "push", ref: "refs/heads/topic/main", saves: false },
    { on: "a tag", name: "push", ref: "refs/tags/main", saves: false },
    { on: "a pull request", name: "pull_request", ref: "refs/pull/1/merge", saves: false },
    {
      on: "a merge queue",
      name: "merge_group",
      ref: "refs/heads/gh-readonly-queue/main/pr-1-abc",
      saves: false,
    },
    // With the default branch's rights, on input that anybody writes.
    { on: "a pull request's target", name: "pull_request_target", ref: main, saves: false },
    { on: "another workflow's end", name: "workflow_run", ref: main, saves: false },
    { on: "a comment", name: "issue_comment", ref: main, saves: false },
    { on: "an issue", name: "issues", ref: main, saves: false },
    { on: "nothing that is known", name: "", ref: "", saves: false },
  ])("on $on: $saves", ({ name, ref, saves }) => {
    expect(shouldSaveCaches({ name, ref, defaultBranch: "main" }, "auto")).toBe(saves);
  });

  it("only where the default branch is known", () => {
    expect(shouldSaveCaches({ name: "push", ref: main, defaultBranch: undefined }, "auto")).toBe(false);
    expect(shouldSaveCaches({ name: "push", ref: "refs/heads/trunk", defaultBranch: "trunk" }, "auto")).toBe(
      true,
    );
  });

  it.each(["pull_request", "pull_request_target", "workflow_run"])(
    "on %s where the user says always",
    (name) => {
      expect(shouldSaveCaches({ name, ref: main, defaultBranch: "main" }, "always")).toBe(true);
    },
  );

  it("nowhere where the user says never", () => {
    expect(shouldSaveCaches({ name: "push", ref: main, defaultBranch: "main" }, "never")).toBe(false);
  });
});

describe("what proxies had", () => {
  const job = { workflow: "CI", id: "test", architecture: "amd64" };

  it("is kept for each job of a workflow, and each architecture", () => {
    const others = [
      { ...job, workflow: "Nightly" },
      { ...job, id: "lint" },
      { ...job, architecture: "arm64" },
    ];
    const prefixes = [job, ...others].map(proxyKeyPrefix);
    expect(new Set(prefixes).size).toBe(4);
    expect(prefixes[0]).toMatch(/^kind-action-proxies-v1-amd64-[0-9a-f]{16}-$/);
  });

  it("is shared by a job's matrix, whose values are no part of it", () => {
    expect(proxyKeyPrefix({ ...job })).toBe(proxyKeyPrefix(job));
  });
});
