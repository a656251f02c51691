import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { readState, type State, saveState } from "../../src/runner/state.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const state: State = {
  version: 1,
  run: "12-1-abc",
  folder: "/tmp/kind-action-12-1-abc",
  began: 1_795_266_247_000,
  endpoint: { DOCKER_HOST: "unix:///var/run/docker.sock" },
  cluster: {
    name: "shop",
    network: "kind",
    kubeconfig: { path: "/home/me/.kube/config", existed: true },
    logs: { when: "on-failure", folder: "/tmp/logs", artifact: "kind-logs" },
    ignoreFailedClean: false,
  },
  saves: [],
  images: [],
  saveDeadline: 60_000,
  succeeded: false,
};

/** The runner between main and post: what it would give post as STATE_run, after the file that main writes to. */
function runner(): { handOver: () => void } {
  const file = join(temporaryFolder(), "state");
  writeFileSync(file, "");
  vi.stubEnv("GITHUB_STATE", file);
  vi.stubEnv("STATE_run", undefined);
  onTestFinished(() => void vi.unstubAllEnvs());
  return {
    handOver() {
      const entries = [...readFileSync(file, "utf8").matchAll(/^(\w+)<<(\S+)\n([\s\S]*?)\n\2$/gm)];
      for (const [, name, , value] of entries) vi.stubEnv(`STATE_${name}`, value);
    },
  };
}

describe("what main leaves for post", () => {
  it("is there from the first moment on, though main be killed the next", () => {
    const { handOver } = runner();
    saveState(state);
    handOver();
    expect(readState()).toEqual(state);
  });

  it("is the whole, and the last of it, as more becomes known", () => {
    const { handOver } = runner();
    const record = saveState(state);
    record({
      kind: { path: "/tools/kind", checksum: "aa" },
      saves: [{ file: "/f", key: "k", name: "kind" }],
    });
    record({ succeeded: true });
    handOver();
    expect(readState()).toEqual({
      ...state,
      kind: { path: "/tools/kind", checksum: "aa" },
      saves: [{ file: "/f", key: "k", name: "kind" }],
      succeeded: true,
    });
  });

  it.each(["on-failure", "always", "never"] as const)("says when logs are wanted: %s", (when) => {
    const { handOver } = runner();
    const logs = { when, folder: "/tmp/logs", artifact: "kind-logs" };
    const wanted = { ...state, cluster: state.cluster && { ...state.cluster, logs } };
    saveState(wanted);
    handOver();
    expect(readState()).toEqual(wanted);
  });

  it("says what is to be cached: images as they were obtained, and what proxies hold", () => {
    const { handOver } = runner();
    const record = saveState(state);
    const reference = `kindest/node:v1.37.0@sha256:${"a".repeat(64)}`;
    const images = [
      { reference, architecture: "amd64", restored: true, seconds: 7.25 },
      { reference, tag: "envoy:v1", architecture: "arm64", restored: false, seconds: 0 },
    ];
    const proxies = {
      containers: { "docker.io": "4b96502152a9" },
      folders: { "docker.io": "/tmp/proxies/docker.io" },
      prefix: "kind-action-proxies-v1-amd64-0123456789abcdef-",
      most: 2e9,
    };
    record({ images });
    record({ proxies });
    handOver();
    expect(readState()).toEqual({ ...state, images, proxies });
  });

  it("is nothing where main made nothing", () => {
    runner().handOver();
    expect(readState()).toBeUndefined();
  });

  it.each([
    ["no JSON", "{"],
    ["another thing", "[]"],
    ["that of another version", JSON.stringify({ ...state, version: 2 })],
    ["only a part", JSON.stringify({ ...state, run: undefined })],
    ["more than anybody wrote", JSON.stringify({ ...state, command: "rm" })],
    ["images of another form", JSON.stringify({ ...state, images: ["kindest/node"] })],
  ])("is not acted upon when it is %s", (_, text) => {
    runner();
    vi.stubEnv("STATE_run", text);
    expect(() => readState()).toThrow();
  });
});
