import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** One line of a benchmark: what was measured on both sides, and the bar it has to clear. */
export interface Row {
  readonly name: string;
  /** Seconds, one a repetition. */
  readonly ours: readonly number[];
  /** The same for what a user would pick instead; empty where there is nothing to compare. */
  readonly theirs: readonly number[];
  /** What the values are, if not seconds. */
  readonly unit?: "MB";
  /** Tells the ratio as how many times faster ours is, if not as ours over theirs. */
  readonly speedup?: boolean;
  readonly bar?: { readonly text: string; readonly holds: boolean };
}

/**
 * Waits until what was measured before costs what is measured next nothing: written, out of memory, and a minute old. ext4
 * without a journal, as some machines have it, gives out no inode that was freed less than a minute ago, and looks at each
 * of them for every new file: fs/ext4/ialloc.c, recently_deleted.
 */
export async function settle(): Promise<void> {
  execFileSync("sync");
  await sleep(62_000);
  writeFileSync("/proc/sys/vm/drop_caches", "3");
  // As on a runner that has just downloaded the action.
  readFileSync(resolve(import.meta.dirname, "../dist/index.js"));
}

/** The middle of an odd number of values, the mean of the middle two of an even number. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
  return (low + high) / 2;
}

function spread(values: readonly number[], unit: "s" | "MB"): string {
  if (values.length === 0) return "-";
  const text = (value: number) => value.toFixed(unit === "s" ? 2 : 0);
  return `${text(median(values))} ${unit} (${text(Math.min(...values))}–${text(Math.max(...values))})`;
}

function ratio({ ours, theirs, speedup = false }: Row): string {
  if (ours.length === 0 || theirs.length === 0) return "-";
  return speedup
    ? `${(median(theirs) / median(ours)).toFixed(1)}× faster`
    : (median(ours) / median(theirs)).toFixed(2);
}

/**
 * Prints a benchmark as a table, keeps it in docs/proof, and sets the exit code: 1 when a bar falls short.
 *
 * @param on.theirs what the second column is
 * @param on.keep false for a part of a benchmark, which proves nothing
 */
export function report(
  name: string,
  on: { theirs: string; notes: readonly string[]; keep?: boolean },
  rows: readonly Row[],
): void {
  const failed = rows.filter(({ bar }) => bar !== undefined && !bar.holds);
  const lines = rows.map((row) => {
    const { bar, unit = "s" } = row;
    const verdict = bar === undefined ? "-" : `${bar.text}: ${bar.holds ? "holds" : "FALLS SHORT"}`;
    return `| ${row.name} | ${spread(row.ours, unit)} | ${spread(row.theirs, unit)} | ${ratio(row)} | ${verdict} |`;
  });
  const table = [`| | ours | ${on.theirs} | ratio | bar |`, "|---|---|---|--:|---|", ...lines].join("\n");
  if (process.argv.includes("--json")) console.log(JSON.stringify({ name, rows, failed: failed.length }));
  else console.log(`\n${table}\n\n${on.notes.join("\n")}`);
  if (failed.length > 0) process.exitCode = 1;
  if (on.keep === false) return;
  keepProof(
    name,
    [
      `# bench ${name}`,
      "",
      `\`script/bench ${name}\`, medians (least–most). ${machine()}`,
      "",
      table,
      "",
      ...on.notes,
      "",
    ].join("\n"),
  );
}

/** Where and when something was measured. */
export function machine(): string {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  const date = new Date().toISOString().slice(0, 10);
  const docker = execFileSync("docker", ["version", "--format", "{{.Server.Version}}"], {
    encoding: "utf8",
  }).trim();
  return `${date}, commit ${commit}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GB, Linux, Docker ${docker}.`;
}

/** Writes what was shown to docs/proof/NAME.md. */
export function keepProof(name: string, text: string): void {
  const folder = join(resolve(import.meta.dirname, ".."), "docs", "proof");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.md`), text);
}
