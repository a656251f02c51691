import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { ProgramOutput, RunProgram } from "../lib/subprocess.ts";
import { redactFolder } from "./redact.ts";

/** The sources of the logs of a cluster. */
export interface LogSources {
  /** Exports the logs of all nodes to a folder. With an exit code other than 0, some are missing. */
  readonly exportNodeLogs: (folder: string, timeoutMs: number) => Promise<ProgramOutput>;
  /** The path of kubectl; undefined if it could not be verified. */
  readonly kubectl: string | undefined;
  readonly kubeconfig: string;
  readonly context: string;
  readonly runProgram: RunProgram;
  /** kubectl's folder for cached API discovery, so that it does not write to the user's home. */
  readonly cache: string;
}

/** A cancelled job has five minutes for the whole post step. */
const exportTimeoutMs = 60_000;
const kubectlTimeoutMs = 20_000;

/** The arguments of kubectl for what kind does not export, by file name. */
const queries: Readonly<Record<string, readonly string[]>> = {
  "events.txt": [
    "get",
    "events",
    "--all-namespaces",
    "--output=wide",
    "--sort-by=.metadata.creationTimestamp",
  ],
  "pods.txt": ["get", "pods", "--all-namespaces", "--output=wide"],
  "nodes.txt": ["describe", "nodes"],
  "pods-described.txt": ["describe", "pods", "--all-namespaces"],
};

/**
 * Collects the logs of a cluster in a folder: the journal of each node, the logs of kubelet, containerd and all pods,
 * events, and descriptions of nodes and pods. Secrets are redacted. A source that fails is reported in the log.
 */
export async function collectLogs(sources: LogSources, folder: string, log: Log): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const collections = [
    sources.exportNodeLogs(folder, exportTimeoutMs).then(({ exitCode }) => {
      if (exitCode !== 0) log.line("kind did not export all logs. The exported ones are collected.");
    }),
    ...Object.entries(queries).map(([file, args]) => query(sources, args, join(folder, file), log)),
  ];
  // A source that fails or times out does not affect the others.
  await Promise.all(collections.map((each) => each.catch((error: unknown) => log.line(errorMessage(error)))));
  await removeDuplicates(folder);
  await redactFolder(folder);
}

async function query(
  { kubectl, kubeconfig, context, cache, runProgram }: LogSources,
  args: readonly string[],
  file: string,
  log: Log,
): Promise<void> {
  if (kubectl === undefined) return;
  const flags = ["--kubeconfig", kubeconfig, "--context", context, "--cache-dir", cache];
  const options = { timeoutMs: kubectlTimeoutMs, mayFail: true };
  const { exitCode, stdout, stderr } = await runProgram(
    kubectl,
    [...flags, "--request-timeout=10s", ...args],
    options,
  );
  if (exitCode !== 0) log.line(`\`kubectl ${args.join(" ")}\`: ${stderr.trim()}`);
  await writeFile(file, stdout || stderr);
}

/** Removes the copies of pod logs: kind follows the symbolic links in /var/log/containers. */
async function removeDuplicates(folder: string): Promise<void> {
  const nodes = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  await Promise.all(
    nodes.map((node) => rm(join(folder, node.name, "containers"), { recursive: true, force: true })),
  );
}
