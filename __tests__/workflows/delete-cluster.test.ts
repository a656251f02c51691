import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { createLog } from "../../src/lib/log.ts";
import { sha256File } from "../../src/lib/sha256.ts";
import { createProgramRunner } from "../../src/lib/subprocess.ts";
import { readJob } from "../../src/runner/job.ts";
import type { State } from "../../src/runner/state.ts";
import { shouldCollectLogs } from "../../src/workflows/cluster-logs.ts";
import { deleteCluster } from "../../src/workflows/delete-cluster.ts";
import { tar } from "../archive/tar-files.ts";
import { cacheProgramOf } from "../fixtures/cache-program.ts";
import { type DockerDaemon, dockerDaemon, nodeContainer } from "../fixtures/docker-daemon.ts";
import { memoryCache } from "../fixtures/memory-cache.ts";
import { recordingPrinter } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const logs = (when: "on-failure" | "always" | "never") => ({
  logs: { when, folder: "/tmp/logs", artifact: "kind-logs" },
});

describe("shouldCollectLogs", () => {
  it.each([
    { when: "on-failure", job: "success", main: true, collects: false },
    { when: "on-failure", job: "failure", main: true, collects: true },
    // Includes jobs that timed out.
    { when: "on-failure", job: "cancelled", main: true, collects: true },
    { when: "on-failure", job: "success", main: false, collects: true },
    { when: "on-failure", job: "failure", main: false, collects: true },
    // Without a job status, the outcome of main counts.
    { when: "on-failure", job: "", main: true, collects: false },
    { when: "on-failure", job: "", main: false, collects: true },
    { when: "always", job: "success", main: true, collects: true },
    { when: "always", job: "failure", main: false, collects: true },
    { when: "never", job: "failure", main: false, collects: false },
    { when: "never", job: "cancelled", main: true, collects: false },
  ] as const)(
    "is $collects with `logs: $when`, job status $job, main succeeded $main",
    ({ when, job, main, collects }) => {
      expect(shouldCollectLogs(logs(when), job, main)).toBe(collects);
    },
  );
});

const runId = "12-1-abc";
const emptyKubeconfig = "apiVersion: v1\nkind: Config\n";

let folder: string;
let daemon: DockerDaemon;
let state: State;

/** A machine on which main created the cluster `shop`: two nodes, a Docker network, and a name lock. */
beforeEach(async () => {
  folder = temporaryFolder();
  daemon = await dockerDaemon();
  for (const container of [
    nodeContainer("shop", "control-plane"),
    nodeContainer("shop", "worker"),
    nodeContainer("other", "control-plane"),
  ])
    daemon.containers.set(container.id, container);
  daemon.networks.set("kind", { name: "kind", labels: { "kind-action.run": runId } });
  daemon.volumes.set("kind-action.shop", { "kind-action.run": runId });
  daemon.volumes.set("kind-action.other", { "kind-action.run": "13-1-def" });
  await mkdir(join(folder, "run"));
  await writeFile(join(folder, "kubeconfig"), emptyKubeconfig);
  const kind = await program("kind", 'echo "$@" >> "$0.calls"');
  state = {
    version: 1,
    runId,
    folder: join(folder, "run"),
    startedMs: Date.now(),
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
    saveTimeoutMs: 60_000,
    succeeded: true,
  };
  vi.stubEnv("GITHUB_STEP_SUMMARY", undefined);
  onTestFinished(() => void vi.unstubAllEnvs());
});

/** Writes a program. */
async function program(name: string, script: string): Promise<{ path: string; checksum: string }> {
  const path = join(folder, name);
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return { path, checksum: await sha256File(path) };
}

/** Runs post with the state of main, in a job with a status. */
async function post(saved: State | undefined, jobStatus = "success") {
  vi.stubEnv("STATE_run", saved === undefined ? undefined : JSON.stringify(saved));
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
    log: createLog(printer),
    startedMs: Date.now(),
  });
  return { outcome, shown: printer.shown };
}

const resources = () => ({
  containers: [...daemon.containers.values()].map(({ name }) => name),
  networks: [...daemon.networks.keys()],
  volumes: [...daemon.volumes.keys()],
});

const onlyOthers = { containers: ["other-control-plane"], networks: [], volumes: ["kind-action.other"] };

const withCluster = (fields: Partial<NonNullable<State["cluster"]>>): State => ({
  ...state,
  ...(state.cluster === undefined ? {} : { cluster: { ...state.cluster, ...fields } }),
});

describe("deleteCluster", () => {
  it("deletes the cluster of the run, and no others", async () => {
    const { outcome } = await post(state);
    await outcome;
    expect(resources()).toEqual(onlyOthers);
    expect(existsSync(state.folder)).toBe(false);
    expect(await readFile(join(folder, "kubeconfig"), "utf8")).toBe(emptyKubeconfig);
    expect(existsSync(join(folder, "logs"))).toBe(false);
  });

  it("deletes the registries of the cluster, and no others", async () => {
    for (const [id, cluster] of [
      ["registry", "shop"],
      ["proxy", "shop"],
      ["other-registry", "other"],
    ] as const)
      daemon.containers.set(id, { id, name: id, labels: { "kind-action.cluster": cluster } });
    const proxiesFolder = join(folder, "proxies");
    await mkdir(join(proxiesFolder, "docker.io"), { recursive: true });
    const { outcome } = await post({ ...state, proxiesFolder });
    await outcome;
    expect(resources()).toEqual({ ...onlyOthers, containers: [...onlyOthers.containers, "other-registry"] });
    expect(existsSync(proxiesFolder)).toBe(false);
  });

  it("deletes images that were being restored for the cluster, and no others", async () => {
    const importImage = async (labels: Record<string, string>) =>
      await daemon.engine.images.import(Readable.from([tar([{ name: "file" }])]), labels);
    const labels = (cluster: string) => ({ "kind-action.run": runId, "kind-action.cluster": cluster });
    for (let images = 0; images < 2; images++) await importImage(labels("shop"));
    const otherImages = [await importImage(labels("other")), await importImage({})];
    daemon.images.set("web:1", "sha256:web");
    const { outcome } = await post({ ...state, succeeded: false }, "cancelled");
    await outcome;
    expect([...daemon.contents.keys()]).toEqual(otherImages);
    expect([...daemon.images.keys()]).toEqual(["web:1"]);
    expect(resources()).toEqual(onlyOthers);
  });

  it("runs `kind delete cluster`, which also removes the context from the kubeconfig", async () => {
    const { outcome } = await post(state);
    await outcome;
    expect(await readFile(join(folder, "kind.calls"), "utf8")).toBe(
      `delete cluster --name shop --kubeconfig ${join(folder, "kubeconfig")}\n`,
    );
  });

  it("deletes nothing if main created nothing", async () => {
    const { outcome, shown } = await post(undefined);
    await outcome;
    expect(shown).toEqual(["There is nothing to delete: main created nothing."]);
    expect(daemon.changes).toEqual([]);
  });

  it("deletes only the folder of a run without a cluster", async () => {
    const { cluster: _, ...withoutCluster } = state;
    const { outcome } = await post(withoutCluster);
    await outcome;
    expect(existsSync(state.folder)).toBe(false);
    expect(daemon.changes).toEqual([]);
  });

  it("does not delete a cluster whose name another run locked", async () => {
    daemon.volumes.set("kind-action.shop", { "kind-action.run": "13-1-def" });
    const { outcome, shown } = await post(state, "failure");
    await outcome;
    expect(shown).toEqual([
      'This run did not create a cluster "shop". If one exists, it belongs to another run or user, and is not deleted.',
    ]);
    expect(daemon.changes).toEqual([]);
    expect(existsSync(join(folder, "kind.calls"))).toBe(false);
  });

  it("deletes a kubeconfig that the run created, if it is empty", async () => {
    const kubeconfig = { path: join(folder, "kubeconfig"), existed: false };
    const { outcome } = await post(withCluster({ kubeconfig }));
    await outcome;
    expect(existsSync(kubeconfig.path)).toBe(false);
  });
});

describe("deleteCluster deletes the cluster although", () => {
  it("kind fails", async () => {
    state = { ...state, kind: await program("kind", "echo 'ERROR: no daemon' >&2; exit 1") };
    const { outcome, shown } = await post(state);
    await outcome;
    expect(resources()).toEqual(onlyOthers);
    expect(shown.join("\n")).toContain("ERROR: no daemon");
  });

  it("another step changed the kind program, which is not run then", async () => {
    await program("kind", `touch '${join(folder, "executed")}'`);
    const { outcome } = await post(state, "failure");
    await outcome;
    expect(existsSync(join(folder, "executed"))).toBe(false);
    expect(resources()).toEqual(onlyOthers);
  });

  it("the kind program is missing", async () => {
    await rm(join(folder, "kind"));
    const { outcome } = await post(state);
    await outcome;
    expect(resources()).toEqual(onlyOthers);
  });

  it("the cache cannot be opened", async () => {
    // A file instead of the folder of the run.
    await rm(state.folder, { recursive: true });
    await writeFile(state.folder, "");
    const pending = { name: "kind", checksum: "aa", path: join(folder, "kind") };
    const { outcome, shown } = await post({ ...state, saves: [{ entry: "tool", pending }] });
    await outcome;
    expect(shown).toContainEqual(
      expect.stringMatching(/^! Could not open the cache, so nothing is saved: (EEXIST|ENOTDIR)/),
    );
    expect(resources()).toEqual(onlyOthers);
  });

  it("logs cannot be collected", async () => {
    state = { ...state, kind: await program("kind", 'test "$1" = delete') };
    await writeFile(join(folder, "logs"), "not a folder");
    const { outcome, shown } = await post(state, "failure");
    await outcome;
    expect(resources()).toEqual(onlyOthers);
    expect(shown).toContainEqual(expect.stringMatching(/^! The task "Collect logs" failed: /));
  });
});

describe("the cache entries of a run", () => {
  const saves = async (): Promise<State["saves"]> => [
    { entry: "tool", pending: { name: "kind", ...(await program("kind-download", "")) } },
  ];

  it("are saved, with the results in the log", async () => {
    const { outcome, shown } = await post({ ...state, saves: await saves() });
    await outcome;
    expect(shown).toEqual(expect.arrayContaining(["> Save caches", "kind: saved"]));
    expect(resources()).toEqual(onlyOthers);
    expect(existsSync(state.folder)).toBe(false);
  });

  it("are not saved if main failed", async () => {
    const { cluster: _, ...withoutCluster } = state;
    const { outcome, shown } = await post({ ...withoutCluster, succeeded: false, saves: await saves() });
    await outcome;
    expect(shown).toEqual([]);
  });

  it("are not saved if main was killed before it had any", async () => {
    const { outcome, shown } = await post({ ...state, succeeded: false, saves: [] }, "cancelled");
    await outcome;
    expect(shown).not.toContain("> Save caches");
    expect(resources()).toEqual(onlyOthers);
  });

  it("do not prevent the deletion if they cannot be saved", async () => {
    const pending = { name: "kind", checksum: "aa", path: join(folder, "missing") };
    const { outcome, shown } = await post({ ...state, saves: [{ entry: "tool", pending }] });
    await outcome;
    expect(shown).toContainEqual(expect.stringMatching(/^Could not save the cache entry tool: ENOENT/));
    expect(resources()).toEqual(onlyOthers);
  });
});

describe("a cluster that cannot be deleted", () => {
  const blockNetwork = () => {
    daemon.refuse = (call) =>
      call === "DELETE /networks/id-of-kind" ? { status: 500, message: "device is busy" } : undefined;
  };

  it("fails the step after the folder of the run is deleted", async () => {
    blockNetwork();
    const { outcome } = await post(state);
    await expect(outcome).rejects.toThrow(/^Could not delete the cluster "shop": .*device is busy/);
    expect(existsSync(state.folder)).toBe(false);
  });

  it("causes only a warning with `ignore_failed_clean`", async () => {
    blockNetwork();
    const { outcome, shown } = await post(withCluster({ ignoreFailedClean: true }));
    await outcome;
    expect(shown).toContainEqual(
      expect.stringMatching(/^! Could not delete the cluster "shop": .*device is busy/),
    );
  });

  it("is reported in the same way if the client certificate of the daemon is gone", async () => {
    const certificates = { DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: join(folder, "certificates") };
    const endpoint = { DOCKER_HOST: "tcp://127.0.0.1:2376", ...certificates };
    const pending = { name: "kind", checksum: "aa", path: join(folder, "kind") };
    const saves = [{ entry: "tool", pending }];
    const { outcome, shown } = await post({ ...state, endpoint, saves });
    await expect(outcome).rejects.toThrow(/^Could not delete the cluster "shop": ENOENT.*ca\.pem/);
    expect(shown).toEqual([
      expect.stringMatching(/^! Could not open the cache, so nothing is saved: ENOENT.*ca\.pem/),
    ]);
    expect(existsSync(state.folder)).toBe(false);
  });

  it("is reported in the same way if the daemon does not respond", async () => {
    const gone = { ...state, endpoint: { DOCKER_HOST: "unix:///nonexistent/docker.sock" } };
    const { outcome } = await post(gone);
    await expect(outcome).rejects.toThrow(/^Could not delete the cluster "shop": .*ENOENT/);
  });
});

describe("the logs of a failed job", () => {
  beforeEach(async () => {
    const exports = `mkdir -p "$3/shop-worker" && echo 'kernel: Out of memory' > "$3/shop-worker/serial.log"`;
    state = { ...state, kind: await program("kind", `case $1 in export) ${exports};; esac`) };
  });

  it("stay on the runner without an artifact service, and the log says where", async () => {
    const { outcome, shown } = await post(state, "failure");
    await outcome;
    expect(await readdir(join(folder, "logs", "shop-worker"))).toEqual(["serial.log"]);
    expect(shown).toContain(`Logs of cluster "shop": in ${join(folder, "logs")} on the runner`);
    expect(resources()).toEqual(onlyOthers);
  });

  it("are summarized in the job log, with the error of the API", async () => {
    const { outcome, shown } = await post(state, "failure");
    await outcome;
    expect(shown).toContain("shop-worker: kernel: Out of memory");
    expect(shown).toContainEqual(expect.stringMatching(/^Could not connect to the API of the cluster: /));
  });

  it("are collected before the cluster is deleted", async () => {
    const { outcome, shown } = await post(state, "failure");
    await outcome;
    expect(shown.filter((line) => line.startsWith("> "))).toEqual(["> Collect logs", "> Delete the cluster"]);
  });
});
