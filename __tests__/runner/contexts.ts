import { createHash } from "node:crypto";
import type { FunctionTable } from "./expressions/functions.ts";
import type { Value } from "./expressions/value.ts";

export type JobStatus = "success" | "failure" | "cancelled";

/** One combination of a job's matrix. */
export type Matrix = Readonly<Record<string, Value>>;

/** The contexts that the default of an input may use. */
export function defaultContexts(job: {
  readonly status: JobStatus;
  readonly variables: Readonly<Record<string, string>>;
  readonly event: Value;
  readonly matrix: Matrix | undefined;
}): Record<string, Value> {
  return {
    github: { ...withPrefix(job.variables, "GITHUB_"), event: job.event, token: "" },
    runner: withPrefix(job.variables, "RUNNER_"),
    job: { status: job.status },
    strategy: strategyOf(job.matrix),
    matrix: job.matrix ?? null,
  };
}

/** `success()` and the like: conditions may call them, defaults may not. */
export function statusFunctions(status: JobStatus): FunctionTable {
  const constant = (value: boolean) => ({ min: 0, max: 0, call: () => value });
  return new Map([
    ["always", constant(true)],
    ["success", constant(status === "success")],
    ["failure", constant(status === "failure")],
    ["cancelled", constant(status === "cancelled")],
  ]);
}

function withPrefix(variables: Readonly<Record<string, string>>, prefix: string): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(variables)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length).toLowerCase(), value]),
  );
}

/**
 * The harness runs one job of a matrix and does not know the others. It takes the largest matrix GitHub allows (256
 * jobs) and finds the job's place in it by the values, so that two jobs that differ have different indices.
 */
function strategyOf(matrix: Matrix | undefined): Value {
  const total = matrix === undefined ? 1 : 256;
  const index = matrix === undefined ? 0 : createHash("sha256").update(JSON.stringify(matrix)).digest()[0];
  return { "fail-fast": true, "job-index": index ?? 0, "job-total": total, "max-parallel": total };
}
