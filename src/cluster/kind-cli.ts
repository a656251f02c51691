import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Log } from "../lib/log.ts";
import type { ProgramOutput, RunProgram } from "../lib/subprocess.ts";

/** kind, at one path, talking to one Docker daemon. */
export interface KindCli {
  /** Makes a cluster's nodes and starts Kubernetes on them. Nodes of a cluster that did not come up stay, for their logs. */
  create(
    cluster: { name: string; config: string; workspace: string; kubeconfig: string; verbosity: number },
    folder: string,
    log: Log,
  ): Promise<void>;
  /** Removes the nodes, and the cluster's context from the kubeconfig. */
  delete(cluster: string, kubeconfig: string, log: Log): Promise<void>;
  /** Writes every node's logs under a folder. What can be had is there even when it fails. */
  exportLogs(cluster: string, folder: string, deadline: number, log: Log): Promise<ProgramOutput>;
}

const minutes = 60_000;

/** @param env the Docker endpoint, as variables */
export function createKindCli(path: string, run: RunProgram, env: Readonly<Record<string, string>>): KindCli {
  const environment = { ...env, KIND_EXPERIMENTAL_PROVIDER: "docker" };
  const kind = (
    args: readonly string[],
    deadline: number,
    log: Log,
    more: { cwd?: string; mayFail?: boolean } = {},
  ) => run(path, args, { env: environment, deadline, log, ...more });
  return {
    async create({ name, config, workspace, kubeconfig, verbosity }, folder, log) {
      const file = join(folder, "kind.yaml");
      await Promise.all([
        mkdir(folder, { recursive: true }),
        mkdir(dirname(kubeconfig), { recursive: true }),
      ]);
      await writeFile(file, config);
      const args = [
        "create",
        "cluster",
        "--name",
        name,
        "--config",
        file,
        "--kubeconfig",
        kubeconfig,
        "--retain",
      ];
      // In the workspace, because relative paths of the configuration start where kind runs.
      await kind([...args, "--verbosity", String(verbosity)], 15 * minutes, log, { cwd: workspace });
    },
    async delete(cluster, kubeconfig, log) {
      await kind(["delete", "cluster", "--name", cluster, "--kubeconfig", kubeconfig], 1 * minutes, log);
    },
    exportLogs: (cluster, folder, deadline, log) =>
      kind(["export", "logs", folder, "--name", cluster], deadline, log, { mayFail: true }),
  };
}
