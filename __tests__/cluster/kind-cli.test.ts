import { randomUUID } from "node:crypto";
import { access, chmod, mkdir, readFile, realpath, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { createKindCli } from "../../src/cluster/kind-cli.ts";
import { createProgramRunner } from "../../src/lib/subprocess.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

/** A program in place of kind that prints its working directory, its environment, and its arguments, one a line. */
async function fakeKind(script = "") {
  const folder = temporaryFolder();
  const path = join(folder, "kind");
  const report =
    'echo "cwd=$PWD"; echo "docker=$DOCKER_HOST"; echo "provider=$KIND_EXPERIMENTAL_PROVIDER"; printf "%s\\n" "$@"';
  await writeFile(path, `#!/bin/sh\n${report}\n${script}\n`);
  await chmod(path, 0o755);
  const run = createProgramRunner(randomUUID(), { PATH: process.env.PATH ?? "" });
  const kind = createKindCli(path, run, { DOCKER_HOST: "unix:///run/other.sock" });
  return { kind, folder, log: recordingLog() };
}

/** The arguments in the output of the fake kind. */
const argumentsIn = (lines: readonly string[]) => lines.slice(3);

/** The value of a flag. */
const flag = (lines: readonly string[], name: string) => lines[lines.indexOf(name) + 1];

describe("the kind CLI", () => {
  const config = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: shop\n";

  it("creates the configured cluster in the workspace, and retains nodes that fail", async () => {
    const { kind, folder, log } = await fakeKind();
    const workspace = join(folder, "work space");
    const kubeconfig = join(folder, "new", "folder", "config");
    await mkdir(workspace);
    await kind.create(
      { name: "shop", config, workspace, kubeconfig, verbosity: 3 },
      join(folder, "run"),
      log,
    );
    expect(log.lines).toContain(`cwd=${await realpath(workspace)}`);
    expect(argumentsIn(log.lines).slice(0, 2)).toEqual(["create", "cluster"]);
    expect(flag(log.lines, "--name")).toBe("shop");
    expect(flag(log.lines, "--kubeconfig")).toBe(kubeconfig);
    expect(flag(log.lines, "--verbosity")).toBe("3");
    expect(log.lines).toContain("--retain");
    expect(parse(await readFile(flag(log.lines, "--config") ?? "", "utf8"))).toEqual(parse(config));
    // kind does not create the folder of the kubeconfig.
    await access(join(folder, "new", "folder"));
  });

  it("uses the given Docker endpoint, and the Docker provider", async () => {
    const { kind, log } = await fakeKind();
    await kind.delete("shop", "/home/me/.kube/config", log);
    expect(log.lines).toContain("docker=unix:///run/other.sock");
    expect(log.lines).toContain("provider=docker");
  });

  it("fails with the output of kind", async () => {
    const { kind, folder, log } = await fakeKind(
      "echo 'ERROR: failed to create cluster: disk full' >&2; exit 1",
    );
    const cluster = {
      name: "shop",
      config,
      workspace: folder,
      kubeconfig: join(folder, "config"),
      verbosity: 0,
    };
    await expect(kind.create(cluster, join(folder, "run"), log)).rejects.toThrow(
      /failed with exit code 1:\nERROR: failed to create cluster: disk full$/,
    );
  });

  it("passes paths with spaces and shell syntax unchanged", async () => {
    const { kind, log } = await fakeKind();
    await kind.delete("shop", "/home/me/my $(kube config)", log);
    expect(flag(log.lines, "--kubeconfig")).toBe("/home/me/my $(kube config)");
  });

  it("deletes the cluster and its entries in the kubeconfig", async () => {
    const { kind, log } = await fakeKind();
    await kind.delete("shop", "/home/me/.kube/config", log);
    expect(argumentsIn(log.lines)).toEqual([
      "delete",
      "cluster",
      "--name",
      "shop",
      "--kubeconfig",
      "/home/me/.kube/config",
    ]);
  });

  it("returns the exit code of an incomplete export of logs", async () => {
    const { kind, log } = await fakeKind("echo 'one node is gone' >&2; exit 1");
    const output = await kind.exportLogs("shop", "/tmp/logs", 10_000, log);
    expect(output).toMatchObject({ exitCode: 1, stderr: "one node is gone\n" });
    expect(argumentsIn(log.lines)).toEqual([
      "export",
      "logs",
      "/tmp/logs",
      "--name",
      "shop",
      "one node is gone",
    ]);
  });
});
