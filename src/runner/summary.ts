import { summary } from "@actions/core";
import { toolEntry } from "../cache/entries/tool.ts";
import type { LoadedImage } from "../images/load/load-images.ts";
import type { TaskTiming } from "../lib/task-graph.ts";
import { formatBytes, formatSeconds } from "../lib/units.ts";
import type { RunReport } from "./report.ts";

/** Writes the part of main to the summary page of the job. */
export const writeSummary = (report: RunReport): Promise<void> => write(renderSummary(report));

/** Writes the images that the action `load` loaded to the summary page. */
export const writeLoaded = (cluster: string, images: readonly LoadedImage[]): Promise<void> =>
  write([`### Images loaded into cluster \`${cluster}\``, "", ...renderImages(images)].join("\n"));

/** Writes the findings of post about a failure to the summary page. @param logs the place of the logs */
export const writeFindings = (cluster: string, logs: string, findings: readonly string[]): Promise<void> =>
  write(renderFindings(cluster, logs, findings));

/** Writes to the summary page. Errors are ignored: old runners have no summary. */
async function write(text: string): Promise<void> {
  try {
    await summary.addRaw(text).write();
  } catch {
    return;
  }
}

/** Renders the summary of a run as Markdown. */
export function renderSummary({
  plan,
  timings,
  cluster,
  settings,
  images,
  caches,
  succeeded,
}: RunReport): string {
  const total = Math.max(0, ...timings.map(({ start, seconds }) => start + seconds));
  const name = plan.cluster === undefined ? "kind and kubectl" : `Cluster \`${plan.cluster.name}\``;
  const status = `${succeeded ? "ready" : "failed"} after ${formatSeconds(total)}`;
  const nodes = cluster?.nodes.length ?? 0;
  return [
    `### ${name}: ${status}`,
    "",
    ...(cluster === undefined
      ? []
      : [
          `Kubernetes ${cluster.kubernetesVersion}, ${nodes} ${nodes === 1 ? "node" : "nodes"}, kind ${plan.kind.version}`,
          "",
        ]),
    ...renderTimings(timings, total),
    "",
    ...(settings.length === 0 ? [] : [`Fast start: ${settings.join("; ")}.`, ""]),
    ...renderCaches(caches),
    ...renderImages(images),
  ].join("\n");
}

/** Renders the tasks as a table with a bar for each. @param total the seconds of the whole run */
function renderTimings(timings: readonly TaskTiming[], total: number): string[] {
  if (timings.length === 0) return [];
  const rows = timings.map(({ name, start, seconds, outcome }) => {
    const mark = outcome === "done" ? "" : " ✗";
    return `| ${name}${mark} | ${formatSeconds(seconds)} | \`${bar(start, seconds, total)}\` |`;
  });
  return ["| task | time | |", "|---|--:|:--|", ...rows];
}

/** Renders the items that were restored from the cache, and the time that this saved. */
export function renderCaches(caches: RunReport["caches"]): string[] {
  const lines = caches.flatMap(({ entry, item, outcome, bytes, seconds, downloadSeconds }) => {
    if (outcome !== "hit" || entry === toolEntry.name) return [];
    const size = bytes === 0 ? "" : `, ${formatBytes(bytes)}`;
    const difference = (downloadSeconds ?? seconds) - seconds;
    const saved =
      downloadSeconds === undefined
        ? ""
        : `, ${formatSeconds(Math.abs(difference))} ${difference < 0 ? "slower" : "faster"} than downloading`;
    return [`- \`${item}\`: ${formatSeconds(seconds)}${size}${saved}`];
  });
  return lines.length === 0 ? [] : ["Restored from cache:", "", ...lines, ""];
}

/** Renders the loaded images as a table. */
export function renderImages(images: readonly LoadedImage[]): string[] {
  if (images.length === 0) return [];
  const rows = images.map(({ names, outcome, nodes, bytes }) => {
    const size = outcome === "loaded" ? formatBytes(bytes) : "";
    return `| ${names.map((name) => `\`${name}\``).join("<br>")} | ${outcome} | ${size} | ${nodes.length} |`;
  });
  return ["| image | result | transferred | nodes |", "|---|---|--:|--:|", ...rows, ""];
}

const barWidth = 40;

/** Renders the time of a task as a bar on the time line of the whole run. */
function bar(start: number, seconds: number, total: number): string {
  const scale = total === 0 ? 0 : barWidth / total;
  const from = Math.min(barWidth - 1, Math.floor(start * scale));
  const length = Math.max(1, Math.min(barWidth - from, Math.round(seconds * scale)));
  return "·".repeat(from) + "█".repeat(length) + "·".repeat(barWidth - from - length);
}

/** Renders findings as Markdown. They contain log lines of pods and nodes, so they are in a fenced code block. */
export function renderFindings(cluster: string, logs: string, findings: readonly string[]): string {
  const fenced =
    findings.length === 0
      ? []
      : ["```text", ...findings.map((finding) => finding.replaceAll("```", "'''")), "```", ""];
  return [`### Logs of cluster \`${cluster}\`: ${logs}`, "", ...fenced].join("\n");
}
