import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../lib/log.ts";
import { ProgramError } from "../lib/subprocess.ts";
import type { FastStartPlan } from "./fast-start/plan.ts";
import type { KindCli, KindCluster } from "./kind-cli.ts";

/** The outcome of creating a cluster. */
export interface CreatedCluster {
  /** Whether its nodes replaced the first ones: connections to those are lost. */
  readonly recreated: boolean;
  /** The settings of fast start that are in effect, for the log and the summary. */
  readonly settings: readonly string[];
}

/**
 * Creates a cluster, with the settings of fast start if there are any. If kubeadm rejects its configuration with these
 * settings, the nodes are deleted and created again without them.
 *
 * @param folder a folder of this run, for the configuration
 * @throws ProgramError of kind; of the second attempt, if there was one
 */
export async function createKindCluster(
  kind: KindCli,
  plan: KindCluster & { readonly fastStart: FastStartPlan | undefined },
  folder: string,
  log: Log,
): Promise<CreatedCluster> {
  const { fastStart } = plan;
  if (fastStart === undefined) {
    await kind.create(plan, folder, log);
    return { recreated: false, settings: [] };
  }
  await writeManifestPatches(fastStart);
  try {
    await kind.create(plan, folder, log);
    for (const setting of fastStart.settings) log.line(`Fast start: ${setting}`);
    return { recreated: false, settings: fastStart.settings };
  } catch (error) {
    const reason = findKubeadmRejection(error);
    if (reason === undefined) throw error;
    log.line("kubeadm rejected its configuration. Creating the cluster again without fast start:");
    await kind.delete(plan.name, plan.kubeconfig, log);
    await kind.create({ ...plan, config: fastStart.configWithout }, folder, log);
    log.warning(
      `The cluster was created without fast start, because kubeadm rejected its configuration: ${reason}. Set \`fast_start: false\` to skip the first attempt.`,
    );
    return { recreated: true, settings: [] };
  }
}

async function writeManifestPatches({ folder, files }: FastStartPlan): Promise<void> {
  if (Object.keys(files).length === 0) return;
  await mkdir(folder, { recursive: true });
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)));
}

/**
 * Returns why kubeadm rejected its configuration; undefined if it did not. Any later failure has nothing to do with the
 * settings of fast start.
 */
function findKubeadmRejection(error: unknown): string | undefined {
  if (!(error instanceof ProgramError)) return undefined;
  const output = `${error.output.stdout}\n${error.output.stderr}`;
  if (
    !output.includes("failed to init node with kubeadm") ||
    output.includes("[init] Using Kubernetes version")
  )
    return undefined;
  const lines = output.split("\n").map((line) => line.replace(/^Command Output: /, "").trim());
  return (
    lines.findLast((line) => /unmarshal|unknown field|invalid configuration|^error: /.test(line)) ??
    "it gave no reason"
  );
}
