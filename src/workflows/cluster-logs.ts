import { rm } from "node:fs/promises";
import type { KindCli } from "../cluster/kind-cli.ts";
import { contextName } from "../cluster/kubeconfig.ts";
import { KubernetesApi, readAccess } from "../kubernetes/client.ts";
import { diagnose } from "../kubernetes/diagnosis.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { collectLogs } from "../logs/collect.ts";
import { highlightLogs } from "../logs/highlights.ts";
import { redact } from "../logs/redact.ts";
import { uploadArtifact } from "../runner/artifact.ts";
import type { ActionContext } from "../runner/run-action.ts";
import type { StateCluster } from "../runner/state.ts";
import { writeFindings } from "../runner/summary.ts";

/**
 * Whether the logs of a cluster are collected. `cancelled` includes jobs that timed out. If the job status is empty, because
 * the runner does not evaluate it, the outcome of main counts.
 */
export function shouldCollectLogs(
  { logs }: Pick<StateCluster, "logs">,
  jobStatus: string,
  mainSucceeded: boolean,
): boolean {
  if (logs.when !== "on-failure") return logs.when === "always";
  return !mainSucceeded || jobStatus === "failure" || jobStatus === "cancelled";
}

/** Collects the logs of a cluster, uploads them, and writes the reasons of a failure to the log and the summary. */
export async function collectClusterLogs(
  { name, kubeconfig, logs }: StateCluster,
  tools: {
    readonly kind: KindCli;
    readonly kubectl: string | undefined;
    /** The folder for kubectl's discovery cache. */
    readonly cache: string;
  },
  ctx: ActionContext,
  log: Log,
): Promise<void> {
  const diagnosis = diagnoseCluster(name, kubeconfig.path);
  const sources = {
    exportNodeLogs: (folder: string, timeoutMs: number) =>
      tools.kind.exportLogs(name, folder, timeoutMs, log),
    kubectl: tools.kubectl,
    kubeconfig: kubeconfig.path,
    context: contextName(name),
    runProgram: ctx.runProgram,
    cache: tools.cache,
  };
  await collectLogs(sources, logs.folder, log);
  const findings = [...(await diagnosis), ...(await highlightLogs(logs.folder))].map(redact);
  for (const finding of findings) log.line(finding);
  const uploaded = await uploadArtifact(logs.artifact, logs.folder, 60_000, ctx.env).catch(
    (error: unknown) => {
      ctx.log.warning(`Could not upload the logs, which stay on the runner: ${errorMessage(error)}`);
      return undefined;
    },
  );
  if (uploaded !== undefined) await rm(logs.folder, { recursive: true, force: true });
  const place = uploaded === undefined ? `in ${logs.folder} on the runner` : `artifact ${uploaded.name}`;
  ctx.log.line(`Logs of cluster "${name}": ${place}`);
  await writeFindings(name, place, findings);
}

/** Lists the reasons why the cluster is not ready, from its API. */
async function diagnoseCluster(cluster: string, kubeconfig: string): Promise<string[]> {
  try {
    const api = new KubernetesApi(await readAccess(kubeconfig, contextName(cluster)));
    return await diagnose(api).finally(() => api.close());
  } catch (error) {
    return [`Could not connect to the API of the cluster: ${errorMessage(error)}`];
  }
}
