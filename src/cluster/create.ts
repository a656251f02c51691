import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../lib/log.ts";
import { ProgramError } from "../lib/subprocess.ts";
import type { ClusterPlan, FastStartPlan } from "../plan/plan.ts";
import type { KindCli } from "./kind-cli.ts";

/** How a cluster was made. */
export interface CreatedCluster {
  /** Whether its nodes are not the first ones: whoever talked with those has to begin anew. */
  readonly recreated: boolean;
  /** Fast start's settings that it has, for people. */
  readonly settings: readonly string[];
}

/**
 * Makes a cluster, with the settings of fast start where there are some. Where kubeadm refuses those, and takes the
 * configuration without them, the cluster is made without.
 *
 * @param folder of this run's own, for the configuration
 * @throws kind's own error, that without fast start where it fails both ways
 */
export async function createKindCluster(
  kind: KindCli,
  plan: Pick<ClusterPlan, "name" | "config" | "workspace" | "kubeconfig" | "verbosity" | "fastStart">,
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
    const reason = kubeadmRefusal(error);
    if (reason === undefined) throw error;
    log.line("kubeadm refuses its configuration. Once more, without fast start:");
    await kind.delete(plan.name, plan.kubeconfig, log);
    await kind.create({ ...plan, config: fastStart.configWithout }, folder, log);
    log.warning(
      `The cluster was made without fast start, because kubeadm refuses it (${reason}). Set \`fast_start: false\` to keep it from trying.`,
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
 * What kubeadm said, if it ended before it began: it could not read its configuration. With everything else that goes
 * wrong, the settings have nothing to do.
 */
function kubeadmRefusal(error: unknown): string | undefined {
  if (!(error instanceof ProgramError)) return undefined;
  const said = `${error.output.stdout}\n${error.output.stderr}`;
  if (!said.includes("failed to init node with kubeadm") || said.includes("[init] Using Kubernetes version"))
    return undefined;
  const lines = said.split("\n").map((line) => line.replace(/^Command Output: /, "").trim());
  return (
    lines.findLast((line) => /unmarshal|unknown field|invalid configuration|^error: /.test(line)) ??
    "it does not say why"
  );
}
