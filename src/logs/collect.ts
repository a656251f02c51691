import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { KindCli } from "../cluster/kind-cli.ts";
import { contextName } from "../cluster/kubeconfig.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { RunProgram } from "../lib/subprocess.ts";
import { redactFolder } from "./redact.ts";

/** What collecting needs; a program that could not be verified is not there. */
export interface LogSources {
  readonly cluster: string;
  readonly kubeconfig: string;
  readonly kind: KindCli;
  readonly kubectl: string | undefined;
  readonly run: RunProgram;
  /** Where kubectl may keep what it learns of the API: not in the user's home. */
  readonly cache: string;
}

/** In milliseconds. A cancelled job has five minutes for everything that post does. */
const exportDeadline = 60_000;
const kubectlDeadline = 20_000;

/** What kind does not collect: the cluster's own view of itself. */
const questions: Readonly<Record<string, readonly string[]>> = {
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
 * Writes what is known of a cluster into a folder: every node's journal, the kubelet's and containerd's logs, the logs
 * of all pods, events, descriptions; without secrets. What cannot be had is left out, and said.
 */
export async function collectLogs(from: LogSources, folder: string, log: Log): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const sources = [
    from.kind.exportLogs(from.cluster, folder, exportDeadline, log).then(({ exitCode }) => {
      if (exitCode !== 0) log.line("kind could not export everything; what it could is kept.");
    }),
    ...Object.entries(questions).map(([file, question]) => ask(from, question, join(folder, file), log)),
  ];
  // One that fails, or is late, takes nothing from the others.
  await Promise.all(sources.map((source) => source.catch((error: unknown) => log.line(errorMessage(error)))));
  await removeCopies(folder);
  await redactFolder(folder);
}

async function ask(from: LogSources, question: readonly string[], file: string, log: Log): Promise<void> {
  if (from.kubectl === undefined) return;
  const access = ["--kubeconfig", from.kubeconfig, "--context", contextName(from.cluster)];
  const manners = ["--cache-dir", from.cache, "--request-timeout=10s"];
  const options = { deadline: kubectlDeadline, mayFail: true };
  const { exitCode, stdout, stderr } = await from.run(
    from.kubectl,
    [...access, ...manners, ...question],
    options,
  );
  if (exitCode !== 0) log.line(`\`kubectl ${question.join(" ")}\`: ${stderr.trim()}`);
  await writeFile(file, stdout || stderr);
}

/** kind follows the links of /var/log/containers, so that every pod's log comes twice. */
async function removeCopies(folder: string): Promise<void> {
  const nodes = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  await Promise.all(
    nodes.map((node) => rm(join(folder, node.name, "containers"), { recursive: true, force: true })),
  );
}
