import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { sha256File } from "../../src/lib/sha256.ts";
import { createProgramRunner } from "../../src/lib/subprocess.ts";
import { readJob } from "../../src/runner/job.ts";
import type { State } from "../../src/runner/state.ts";
import { deleteCluster, shouldCollectLogs } from "../../src/workflows/delete-cluster.ts";
import { tar } from "../archive/tar-files.ts";
import { cacheProgramOf } from "../fixtures/cache-program.ts";
import { type DockerDaemon, dockerDaemon, nodeContainer } from "../fixtures/docker-daemon.ts";
import { memoryCache } from "../fixtures/memory-cache.ts";
import { recordingPrinter } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

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
    expect(shouldCollectLogs(logs(when), job, main)).toBe(kept);
  });
});

const run = "12-1-abc";
const emptyKubeconfig = "apiVersion: v1\nkind: Config\n";

let folder: string;
let daemon: DockerDaemon;
let state: State;

/** A machine on which main has made the cluster `shop`: two nodes, a network, a claim on the name. */
beforeEach(async () => {
  folder = temporaryFolder();
  daemon = await dockerDaemon();
  for (const container of [
    nodeContainer("shop", "control-plane"),
    nodeContainer("shop", "worker"),
    nodeContainer("other", "control-plane"),
  ])
    daemon.containers.set(container.id, container);
  daemon.networks.set("kind", { name: "kind", labels: { "kind-action.run": run } });
  daemon.volumes.set("kind-action.shop", { "kind-action.run": run });
  daemon.volumes.set("kind-action.other", { "kind-action.run": "13-1-def" });
  await mkdir(join(folder, "run"));
  await writeFile(join(folder, "kubeconfig"), emptyKubeconfig);
  const kind = await program("kind", 'echo "$@" >> "$0.calls"');
  state = {
    version: 1,
    run,
    folder: join(folder, "run"),
    began: Date.now(),
    endpoint: { ...daemon.endpoint },
    kind,
    cluster: {
      name: "shop",
      network: "kind",
      kubeconfig: { path: join(folder, "kubeconfig"), existed: true },
      logs: { when: "on-failure", folder: join(folder, "logs"), artifact: "kind-logs" },
      ignoreFailedClean: false,
    },
    saves: [],
    images: [],
    saveDeadline: 60_000,
    succeeded: true,
  };
  vi.stubEnv("GITHUB_STEP_SUMMARY", undefined);
  onTestFinished(() => void vi.unstubAllEnvs());
});

/** A program in a tool's place. */
async function program(name: string, script: string): Promise<{ path: string; checksum: string }> {
  const path = join(folder, name);
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return { path, checksum: await sha256File(path) };
}

/** Runs post after a main that has left its state, in a job that ended so. */
async function post(left: State | undefined, jobStatus = "success") {
  vi.stubEnv("STATE_run", left === undefined ? undefined : JSON.stringify(left));
  vi.stubEnv("INPUT_JOB_STATUS", jobStatus);
  const printer = recordingPrinter();
  const env = { PATH: process.env.PATH ?? "" };
  const outcome = deleteCluster({
    env,
    job: readJob({}),
    runId: "12-1-post",
    runProgram: createProgramRunner("12-1-post", env),
    spawnWorker: cacheProgramOf(memoryCache()),
    printer,
    startedMs: Date.now(),
  });
  return { outcome, shown: printer.shown };
}

const made = () => ({
  containers: [...daemon.containers.values()].map(({ name }) => name),
  networks: [...daemon.networks.keys()],
  volumes: [...daemon.volumes.keys()],
});

const onlyOthers = { containers: ["other-control-plane"], networks: [], volumes: ["kind-action.other"] };

const withCluster = (more: Partial<NonNullable<State["cluster"]>>): State => ({
  ...state,
  ...(state.cluster === undefined ? {} : { cluster: { ...state.cluster, ...more } }),
});

describe("after a run", () => {
  it("nothing is left of its cluster, and all of others", async () => {
    const { outcome } = await post(state);
    await outcome;
    expect(made()).toEqual(onlyOthers);
    expect(existsSync(state.folder)).toBe(false);
    expect(await readFile(join(folder, "kubeconfig"), "utf8")).toBe(emptyKubeconfig);
    expect(existsSync(join(folder, "logs"))).toBe(false);
  });

  it("nothing is left of the registries beside it, and all of those beside others", async () => {
    for (const [id, cluster] of [
      ["registry", "shop"],
      ["proxy", "shop"],
      ["theirs", "other"],
    ] as const)
      daemon.containers.set(id, { id, name: id, labels: { "kind-action.cluster": cluster } });
    const proxiesFolder = join(folder, "proxies");
    await mkdir(join(proxiesFolder, "docker.io"), { recursive: true });
    const { outcome } = await post({ ...state, proxiesFolder });
    await outcome;
    expect(made()).toEqual({ ...onlyOthers, containers: [...onlyOthers.containers, "theirs"] });
    expect(existsSync(proxiesFolder)).toBe(false);
  });

  it("nothing is left of an image that was on its way out of the cache, and all of others", async () => {
    const importFor = async (labels: Record<string, string>) =>
      await daemon.engine.images.import(Readable.from([tar([{ name: "file" }])]), labels);
    const labels = (cluster: string) => ({ "kind-action.run": run, "kind-action.cluster": cluster });
    for (let images = 0; images < 2; images++) await importFor(labels("shop"));
    const theirs = [await importFor(labels("other")), await importFor({})];
    daemon.images.set("web:1", "sha256:web");
    const { outcome } = await post({ ...state, succeeded: false }, "cancelled");
    await outcome;
    expect([...daemon.contents.keys()]).toEqual(theirs);
    expect([...daemon.images.keys()]).toEqual(["web:1"]);
    expect(made()).toEqual(onlyOthers);
  });

  it("kind itself removes the cluster, because it knows the cluster's context", async () => {
    const { outcome } = await post(state);
    await outcome;
    expect(await readFile(join(folder, "kind.calls"), "utf8")).toBe(
      `delete cluster --name shop --kubeconfig ${join(folder, "kubeconfig")}\n`,
    );
  });

  it("that came to nothing there is nothing to remove", async () => {
    const { outcome, shown } = await post(undefined);
    await outcome;
    expect(shown).toEqual(["Nothing was made: there is nothing to remove."]);
    expect(daemon.changes).toEqual([]);
  });

  it("that made no cluster its folder is removed, and no cluster", async () => {
    const { cluster: _, ...withoutCluster } = state;
    const { outcome } = await post(withoutCluster);
    await outcome;
    expect(existsSync(state.folder)).toBe(false);
    expect(daemon.changes).toEqual([]);
  });

  it("that did not get the name, the cluster of that name is somebody else's and stays", async () => {
    daemon.volumes.set("kind-action.shop", { "kind-action.run": "13-1-def" });
    const { outcome, shown } = await post(state, "failure");
    await outcome;
    expect(shown).toEqual([
      'This run made no cluster "shop": if there is one, it is somebody else\'s and is left alone.',
    ]);
    expect(daemon.changes).toEqual([]);
    expect(existsSync(join(folder, "kind.calls"))).toBe(false);
  });

  it("a kubeconfig that it made is removed when nothing is left in it", async () => {
    const kubeconfig = { path: join(folder, "kubeconfig"), existed: false };
    const { outcome } = await post(withCluster({ kubeconfig }));
    await outcome;
    expect(existsSync(kubeconfig.path)).toBe(false);
  });
});

describe("what fails keeps nothing else from being removed", () => {
  it("a kind that fails", async () => {
    state = { ...state, kind: await program("kind", "echo 'ERROR: no daemon' >&2; exit 1") };
    const { outcome, shown } = await post(state);
    await outcome;
    expect(made()).toEqual(onlyOthers);
    expect(shown.join("\n")).toContain("ERROR: no daemon");
  });

  it("a kind that is not what it was: between main and post, other steps have run", async () => {
    await program("kind", `touch '${join(folder, "owned")}'`);
    const { outcome } = await post(state, "failure");
    await outcome;
    expect(existsSync(join(folder, "owned"))).toBe(false);
    expect(made()).toEqual(onlyOthers);
  });

  it("a kind that is not there any more", async () => {
    await rm(join(folder, "kind"));
    const { outcome } = await post(state);
    await outcome;
    expect(made()).toEqual(onlyOthers);
  });

  it("logs that cannot be had", async () => {
    state = { ...state, kind: await program("kind", 'test "$1" = delete') };
    await writeFile(join(folder, "logs"), "a file is in the way");
    const { outcome, shown } = await post(state, "failure");
    await outcome;
    expect(made()).toEqual(onlyOthers);
    expect(shown).toContainEqual(expect.stringMatching(/^! Keep the logs: /));
  });
});

describe("what is of use to later jobs", () => {
  const saves = async () => [
    { file: (await program("kind-download", "")).path, key: "kind-aa", name: "kind" },
  ];

  it("is saved, and it is said how that went", async () => {
    const { outcome, shown } = await post({ ...state, saves: await saves() });
    await outcome;
    expect(shown).toEqual(expect.arrayContaining(["> Save caches", "kind: saved"]));
    expect(made()).toEqual(onlyOthers);
    expect(existsSync(state.folder)).toBe(false);
  });

  it("is not saved by a main that failed", async () => {
    const { cluster: _, ...withoutCluster } = state;
    const { outcome, shown } = await post({ ...withoutCluster, succeeded: false, saves: await saves() });
    await outcome;
    expect(shown).toEqual([]);
  });

  it("costs nobody the rest when it cannot be saved", async () => {
    const gone = [{ file: join(folder, "gone"), key: "kind-aa", name: "kind" }];
    const { outcome, shown } = await post({ ...state, saves: gone });
    await outcome;
    expect(shown).toContainEqual(expect.stringMatching(/^kind is not cached: ENOENT/));
    expect(made()).toEqual(onlyOthers);
  });
});

describe("a cluster that cannot be removed", () => {
  const stuck = () => {
    daemon.refuse = (call) =>
      call === "DELETE /networks/id-of-kind" ? { status: 500, message: "device is busy" } : undefined;
  };

  it("fails the step, and the run's folder is removed all the same", async () => {
    stuck();
    const { outcome } = await post(state);
    await expect(outcome).rejects.toThrow(/^The cluster "shop" could not be removed: .*device is busy/);
    expect(existsSync(state.folder)).toBe(false);
  });

  it("is a warning with `ignore_failed_clean`", async () => {
    stuck();
    const { outcome, shown } = await post(withCluster({ ignoreFailedClean: true }));
    await outcome;
    expect(shown).toContainEqual(
      expect.stringMatching(/^! The cluster "shop" could not be removed: .*device is busy/),
    );
  });

  it("may be one whose daemon is gone, and that is told the same way", async () => {
    const gone = { ...state, endpoint: { DOCKER_HOST: "unix:///nonexistent/docker.sock" } };
    const { outcome } = await post(gone);
    await expect(outcome).rejects.toThrow(/^The cluster "shop" could not be removed: .*ENOENT/);
  });
});

describe("the logs of a job that failed", () => {
  beforeEach(async () => {
    const exports = `mkdir -p "$3/shop-worker" && echo 'kernel: Out of memory' > "$3/shop-worker/serial.log"`;
    state = { ...state, kind: await program("kind", `case $1 in export) ${exports};; esac`) };
  });

  it("stay on the runner where there is no artifact service, and their place is told", async () => {
    const { outcome, shown } = await post(state, "failure");
    await outcome;
    expect(await readdir(join(folder, "logs", "shop-worker"))).toEqual(["serial.log"]);
    expect(shown).toContain(`Logs of the cluster "shop": in ${join(folder, "logs")} on the runner`);
    expect(made()).toEqual(onlyOthers);
  });

  it("are told in the lines that matter, and why the cluster itself says nothing", async () => {
    const { outcome, shown } = await post(state, "failure");
    await outcome;
    expect(shown).toContain("shop-worker: kernel: Out of memory");
    expect(shown).toContainEqual(expect.stringMatching(/^The cluster's API cannot be asked: /));
  });

  it("come before the cluster is removed", async () => {
    const { outcome, shown } = await post(state, "failure");
    await outcome;
    expect(shown.filter((line) => line.startsWith("> "))).toEqual([
      "> Keep the logs",
      "> Delete the cluster",
    ]);
  });
});
