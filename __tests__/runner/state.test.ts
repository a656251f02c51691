import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { readState, type State, saveState } from "../../src/runner/state.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const state: State = {
  version: 1,
  runId: "12-1-abc",
  folder: "/tmp/kind-action-12-1-abc",
  startedMs: 1_795_266_247_000,
  endpoint: { DOCKER_HOST: "unix:///var/run/docker.sock" },
  cluster: {
    name: "shop",
    network: "kind",
    kubeconfig: { path: "/home/me/.kube/config", existed: true },
    logs: { when: "on-failure", folder: "/tmp/logs", artifact: "kind-logs" },
    ignoreFailedClean: false,
  },
  saves: [],
  saveTimeoutMs: 60_000,
  succeeded: false,
};

/** The runner between main and post: passes the state from the file that main writes to the variables of post. */
function runner(): { passState: () => void } {
  const file = join(temporaryFolder(), "state");
  writeFileSync(file, "");
  vi.stubEnv("GITHUB_STATE", file);
  vi.stubEnv("STATE_run", undefined);
  onTestFinished(() => void vi.unstubAllEnvs());
  return {
    passState() {
      const entries = [...readFileSync(file, "utf8").matchAll(/^(\w+)<<(\S+)\n([\s\S]*?)\n\2$/gm)];
      for (const [, name, , value] of entries) vi.stubEnv(`STATE_${name}`, value);
    },
  };
}

describe("the state", () => {
  it("is saved at once, so that post has it if main is killed", () => {
    const { passState } = runner();
    saveState(state);
    passState();
    expect(readState()).toEqual(state);
  });

  it("is complete after each update", () => {
    const { passState } = runner();
    const updateState = saveState(state);
    updateState({
      kind: { path: "/tools/kind", checksum: "aa" },
      saves: [{ entry: "tool", pending: { name: "kind" } }],
    });
    updateState({ succeeded: true });
    passState();
    expect(readState()).toEqual({
      ...state,
      kind: { path: "/tools/kind", checksum: "aa" },
      saves: [{ entry: "tool", pending: { name: "kind" } }],
      succeeded: true,
    });
  });

  it.each(["on-failure", "always", "never"] as const)("contains when logs are collected: %s", (when) => {
    const { passState } = runner();
    const logs = { when, folder: "/tmp/logs", artifact: "kind-logs" };
    const changed = { ...state, cluster: state.cluster && { ...state.cluster, logs } };
    saveState(changed);
    passState();
    expect(readState()).toEqual(changed);
  });

  it("contains the items to save, with the data of each cache entry unchanged", () => {
    const { passState } = runner();
    const updateState = saveState(state);
    const saves = [
      { entry: "node-image", pending: { reference: "kindest/node:v1.37.0", restored: true, seconds: 7.25 } },
      { entry: "proxies", pending: { folders: { "docker.io": "/tmp/proxies/docker.io" }, maxBytes: 2e9 } },
    ];
    updateState({ saves });
    passState();
    expect(readState()).toEqual({ ...state, saves });
  });

  it("is undefined if main created nothing", () => {
    runner().passState();
    expect(readState()).toBeUndefined();
  });

  it.each([
    ["not JSON", "{"],
    ["not an object", "[]"],
    ["of another version", JSON.stringify({ ...state, version: 2 })],
    ["incomplete", JSON.stringify({ ...state, runId: undefined })],
    ["with an unknown field", JSON.stringify({ ...state, command: "rm" })],
    ["with invalid saves", JSON.stringify({ ...state, saves: ["kindest/node"] })],
  ])("is rejected if it is %s", (_, text) => {
    runner();
    vi.stubEnv("STATE_run", text);
    expect(() => readState()).toThrow();
  });
});
