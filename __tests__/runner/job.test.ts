import { writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readEvent, readJob } from "../../src/runner/job.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

describe("readJob", () => {
  it("reads the environment of the runner", () => {
    expect(
      readJob({
        GITHUB_WORKSPACE: "/home/runner/work/shop/shop",
        RUNNER_TEMP: "/home/runner/work/_temp",
        HOME: "/home/runner",
        GITHUB_JOB: "e2e",
        GITHUB_RUN_ID: "12345",
        GITHUB_RUN_ATTEMPT: "2",
        RUNNER_ENVIRONMENT: "github-hosted",
        PATH: "/usr/local/bin:/usr/bin",
      }),
    ).toMatchObject({
      workspace: "/home/runner/work/shop/shop",
      temp: "/home/runner/work/_temp",
      home: "/home/runner",
      id: "e2e",
      workflowRunId: "12345",
      attempt: "2",
      selfHosted: false,
      path: ["/usr/local/bin", "/usr/bin"],
      kubeconfig: undefined,
      clusterName: undefined,
      network: "kind",
    });
  });

  it("reads whether the runner is self-hosted", () => {
    expect(readJob({ RUNNER_ENVIRONMENT: "self-hosted" }).selfHosted).toBe(true);
    expect(readJob({}).selfHosted).toBe(false);
  });

  it("returns the architecture in the names of kind", () => {
    expect(readJob({}).architecture).toBe(process.arch === "arm64" ? "arm64" : "amd64");
  });

  it("has defaults outside of a runner", () => {
    expect(readJob({})).toMatchObject({ workspace: process.cwd(), home: homedir(), attempt: "1" });
  });

  it.each([
    ["/home/me/a:/home/me/b", "/home/me/a"],
    [":/home/me/b", "/home/me/b"],
    ["config/kube", "/workspace/config/kube"],
    ["", undefined],
    [":", undefined],
  ])("returns the first file of KUBECONFIG %j, to which kind writes", (list, file) => {
    expect(readJob({ GITHUB_WORKSPACE: "/workspace", KUBECONFIG: list }).kubeconfig).toBe(file);
  });

  it("reads the variables of kind, and ignores empty ones", () => {
    expect(readJob({ KIND_CLUSTER_NAME: "shop", KIND_EXPERIMENTAL_DOCKER_NETWORK: "mine" })).toMatchObject({
      clusterName: "shop",
      network: "mine",
    });
    expect(readJob({ KIND_CLUSTER_NAME: "", KIND_EXPERIMENTAL_DOCKER_NETWORK: "" })).toMatchObject({
      clusterName: undefined,
      network: "kind",
    });
  });
});

describe("readEvent", () => {
  async function eventFile(text: string): Promise<string> {
    const file = join(temporaryFolder(), "event.json");
    await writeFile(file, text);
    return file;
  }

  it("returns the event, its ref and the default branch", async () => {
    const file = await eventFile(
      JSON.stringify({ ref: "x", repository: { default_branch: "trunk", id: 1 } }),
    );
    expect(
      await readEvent({ GITHUB_EVENT_PATH: file, GITHUB_EVENT_NAME: "push", GITHUB_REF: "refs/heads/trunk" }),
    ).toEqual({ name: "push", ref: "refs/heads/trunk", defaultBranch: "trunk" });
  });

  it("returns no default branch if the event has none", async () => {
    for (const text of ["{}", "null", "[]", '{"repository":{}}', '{"repository":{"default_branch":1}}'])
      expect(await readEvent({ GITHUB_EVENT_PATH: await eventFile(text) }), text).toEqual({
        name: "",
        ref: "",
        defaultBranch: undefined,
      });
  });

  it("returns no default branch without an event file", async () => {
    const missing = join(temporaryFolder(), "missing.json");
    expect(await readEvent({ GITHUB_EVENT_PATH: missing })).toMatchObject({ defaultBranch: undefined });
    expect(await readEvent({})).toMatchObject({ defaultBranch: undefined });
  });

  it("returns no default branch if the event is not JSON", async () => {
    expect(
      (await readEvent({ GITHUB_EVENT_PATH: await eventFile("not json") })).defaultBranch,
    ).toBeUndefined();
  });
});
