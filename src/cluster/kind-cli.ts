import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Log } from "../lib/log.ts";
import type { ProgramOutput, RunProgram } from "../lib/subprocess.ts";

/** The arguments of `kind create cluster`. */
export interface KindCluster {
  readonly name: string;
  /** The kind configuration, as YAML. */
  readonly config: string;
  /** The folder to which relative paths in the configuration refer. */
  readonly workspace: string;
  readonly kubeconfig: string;
  readonly verbosity: number;
}

/** The kind CLI, for one Docker daemon. */
export interface KindCli {
  /**
   * Creates the nodes of a cluster and starts Kubernetes in them. If it fails, the nodes stay, for their logs.
   *
   * @param folder where the configuration is written
   * @throws ProgramError when kind fails, or does not end within 15 minutes
   */
  create(cluster: KindCluster, folder: string, log: Log): Promise<void>;
  /** Deletes the nodes, and the cluster's entries in the kubeconfig. @throws ProgramError */
  delete(cluster: string, kubeconfig: string, log: Log): Promise<void>;
  /**
   * Exports the logs of all nodes to a folder. With an exit code other than 0, the logs that kind could read are there.
   */
  exportLogs(cluster: string, folder: string, timeoutMs: number, log: Log): Promise<ProgramOutput>;
}

const createTimeoutMs = 15 * 60_000;
const deleteTimeoutMs = 60_000;

/**
 * Returns the CLI of a kind.
 *
 * @param path the program
 * @param endpoint the Docker endpoint, as environment variables
 */
export function createKindCli(
  path: string,
  runProgram: RunProgram,
  endpoint: Readonly<Record<string, string>>,
): KindCli {
  const env = { ...endpoint, KIND_EXPERIMENTAL_PROVIDER: "docker" };
  const kind = (
    args: readonly string[],
    timeoutMs: number,
    log: Log,
    options: { cwd?: string; mayFail?: boolean } = {},
  ) => runProgram(path, args, { env, timeoutMs, log, ...options });
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
      // kind resolves relative paths in the configuration in its working directory.
      await kind([...args, "--verbosity", String(verbosity)], createTimeoutMs, log, { cwd: workspace });
    },
    async delete(cluster, kubeconfig, log) {
      await kind(["delete", "cluster", "--name", cluster, "--kubeconfig", kubeconfig], deleteTimeoutMs, log);
    },
    exportLogs: (cluster, folder, timeoutMs, log) =>
      kind(["export", "logs", folder, "--name", cluster], timeoutMs, log, { mayFail: true }),
  };
}
