import { minorOf } from "../lib/semver.ts";
import type { ToolPlan } from "../tools/install.ts";
import {
  type Architecture,
  knownChecksum,
  newestKind,
  newestKubectlOf,
  nodeImagesOf,
} from "../versions/releases.ts";
import type { Job, PlanContext } from "./context.ts";
import type { Inputs, Tool } from "./inputs.ts";

/** Chooses the version of kind: the newest known one if `latest` cannot be resolved. */
export function resolveKind({ inputs, latest }: PlanContext, warnings: string[]): string {
  if (inputs.version !== "latest") return inputs.version;
  if (typeof latest === "string") return latest;
  if (latest !== undefined) {
    warnings.push(
      `Could not find the latest version of kind: ${latest.problem}. The action uses kind ${newestKind}, the newest release that this version of the action knows.`,
    );
  }
  return newestKind;
}

/** Decides which kind and kubectl are installed. @param versions.kubernetes the version of the cluster, if known */
export function planTools(
  { inputs, job }: PlanContext,
  { kindVersion, kubernetes }: { kindVersion: string; kubernetes: string | undefined },
  warnings: string[],
): { kind: ToolPlan; kubectl: ToolPlan } {
  const kubectlVersion = inputs.kubectlVersion ?? kubectlFor(kubernetes, kindVersion, job.architecture);
  const kind = planTool("kind", kindVersion, inputs, job);
  const kubectl = planTool("kubectl", kubectlVersion, inputs, job);
  for (const { name, version, checksum, checksumUrl } of [kind, kubectl]) {
    if (checksum === undefined)
      warnings.push(
        `${name} ${version} is not in this action's table of checksums, so its download is verified with ${checksumUrl} only. Pin its checksum with \`checksums\`.`,
      );
  }
  return { kind, kubectl };
}

/**
 * Chooses the version of kubectl: that of the cluster if its checksum is known, otherwise the newest known one of the same
 * minor version. kubectl supports clusters of its minor version, and one minor version older or newer.
 */
function kubectlFor(kubernetes: string | undefined, kindVersion: string, architecture: Architecture): string {
  const version =
    kubernetes ?? nodeImagesOf(kindVersion)[0]?.kubernetes ?? nodeImagesOf(newestKind)[0]?.kubernetes ?? "";
  if (knownChecksum("kubectl", version, architecture) !== undefined) return version;
  return newestKubectlOf(minorOf(version)) ?? version;
}

/** Decides the download of a tool. */
function planTool(name: Tool, version: string, inputs: Inputs, job: Job): ToolPlan {
  const architecture = job.architecture;
  const url = {
    kind: `${inputs.downloadBaseUrls.kind ?? "https://github.com/kubernetes-sigs/kind/releases/download"}/${version}/kind-linux-${architecture}`,
    kubectl: `${inputs.downloadBaseUrls.kubectl ?? "https://dl.k8s.io/release"}/${version}/bin/linux/${architecture}/kubectl`,
  }[name];
  return {
    name,
    version,
    architecture,
    checksum: inputs.checksums[name] ?? knownChecksum(name, version, architecture),
    url,
    checksumUrl: name === "kind" ? `${url}.sha256sum` : `${url}.sha256`,
  };
}
