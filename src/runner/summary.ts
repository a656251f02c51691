import { summary } from "@actions/core";
import type { RestoredProxies } from "../cache/entries/proxy-blobs.ts";
import type { EnsuredImage } from "../images/ensure.ts";
import type { LoadedImage } from "../images/load/load-images.ts";
import type { TaskTiming } from "../lib/task-graph.ts";
import type { Plan } from "../plan/plan.ts";
import type { ClusterDescription } from "./outputs.ts";

/** What may have come out of the cache. */
export interface CachedThings {
  readonly images: readonly EnsuredImage[];
  /** Those of the nodes. */
  readonly nodeImages: readonly string[];
  readonly proxies: RestoredProxies | undefined;
}

/** What a run has to tell on the job's summary page. */
export interface RunReport {
  readonly plan: Plan;
  readonly timings: readonly TaskTiming[];
  /** None where it did not get that far. */
  readonly cluster: ClusterDescription | undefined;
  /** Fast start's settings that it has. */
  readonly settings: readonly string[];
  readonly images: readonly LoadedImage[];
  readonly caches?: CachedThings | undefined;
  readonly succeeded: boolean;
}

/** Writes main's part of the summary. */
export const writeSummary = (story: RunReport): Promise<void> => write(renderSummary(story));

/** Writes what a step loaded into a cluster made earlier. */
export const writeLoaded = (cluster: string, images: readonly LoadedImage[]): Promise<void> =>
  write([`### Images loaded into cluster \`${cluster}\``, "", ...renderImages(images)].join("\n"));

/** Writes what post found out about a failure, and where the logs are. */
export const writeFindings = (cluster: string, logs: string, findings: readonly string[]): Promise<void> =>
  write(renderFindings(cluster, logs, findings));

/** A page that cannot be written costs nobody the run: an old runner has none. */
async function write(text: string): Promise<void> {
  try {
    await summary.addRaw(text).write();
  } catch {
    return;
  }
}

/** The summary as Markdown: what was made, and a bar for each task from when to when it ran. */
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
  const verdict = succeeded ? `ready after ${total.toFixed(1)} s` : `failed after ${total.toFixed(1)} s`;
  const facts =
    cluster === undefined
      ? []
      : [
          `Kubernetes ${cluster.kubernetesVersion}, ${cluster.nodes.length} node(s), kind ${plan.kind.version}`,
          "",
        ];
  const rows = timings.map(({ name: task, start, seconds, outcome }) => {
    const mark = outcome === "done" ? "" : " ✗";
    return `| ${task}${mark} | ${seconds.toFixed(1)} s | \`${bar(start, seconds, total)}\` |`;
  });
  const table = rows.length === 0 ? [] : ["| | took | |", "|---|--:|:--|", ...rows];
  const fastStart = settings.length === 0 ? [] : [`Fast start: ${settings.join("; ")}.`, ""];
  return [
    `### ${name}: ${verdict}`,
    "",
    ...facts,
    ...table,
    "",
    ...fastStart,
    ...renderCaches(caches),
    ...renderImages(images),
  ].join("\n");
}

/** What came out of the cache, and what that saved. */
export function renderCaches(caches: CachedThings | undefined): string[] {
  const images = (caches?.images ?? []).flatMap(({ reference, from, seconds, restored }) => {
    if (from !== "cache" || restored?.pulled === undefined) return [];
    const size = restored.bytes === 0 ? "" : `, ${megabytes(restored.bytes)}`;
    const difference = restored.pulled - seconds;
    const saved = `${Math.abs(difference).toFixed(1)} s ${difference < 0 ? "more" : "less"}`;
    return [`\`${reference}\` in ${seconds.toFixed(1)} s${size}: ${saved} than it once took to pull it`];
  });
  const proxies =
    caches?.proxies?.outcome === "hit" ? [`what the proxies had, ${megabytes(caches.proxies.bytes)}`] : [];
  const lines = [...images, ...proxies].map((line) => `- ${line}`);
  return lines.length === 0 ? [] : ["Out of the cache came:", "", ...lines, ""];
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

/** What was loaded, as a table of Markdown's. */
export function renderImages(images: readonly LoadedImage[]): string[] {
  if (images.length === 0) return [];
  const rows = images.map(({ names, outcome, nodes, bytes }) => {
    const size = outcome === "loaded" ? `${(bytes / 1e6).toFixed(1)} MB` : "";
    return `| ${names.map((name) => `\`${name}\``).join("<br>")} | ${outcome} | ${size} | ${nodes.length} |`;
  });
  return ["| image | | brought | nodes |", "|---|---|--:|--:|", ...rows, ""];
}

const width = 40;

/** When something ran, on a line as long as the whole run. */
function bar(start: number, seconds: number, total: number): string {
  const scale = total === 0 ? 0 : width / total;
  const from = Math.min(width - 1, Math.floor(start * scale));
  const length = Math.max(1, Math.min(width - from, Math.round(seconds * scale)));
  return "·".repeat(from) + "█".repeat(length) + "·".repeat(width - from - length);
}

/** The findings as Markdown. They hold what pods and nodes said: fenced, so that it stays text. */
export function renderFindings(cluster: string, logs: string, findings: readonly string[]): string {
  const fenced =
    findings.length === 0
      ? []
      : ["```text", ...findings.map((finding) => finding.replaceAll("```", "'''")), "```", ""];
  return [`### Logs of cluster \`${cluster}\`: ${logs}`, "", ...fenced].join("\n");
}
