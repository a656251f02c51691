import { createHash } from "node:crypto";

/**
 * Names the logs of one cluster so that no other job of the workflow run has the same name: jobs of a matrix differ
 * in nothing else than its values, and GitHub refuses a second artifact of a name.
 *
 * @param on.matrix the job's matrix as JSON, `null` outside of one
 */
export function artifactName(on: { job: string; cluster: string; matrix: string; attempt: string }): string {
  const values = leaves(parse(on.matrix));
  const words = [
    "kind-logs",
    on.job,
    on.cluster,
    ...values,
    ...(on.attempt === "1" ? [] : [`attempt-${on.attempt}`]),
  ];
  const name = words.join("-").replace(/[^A-Za-z0-9._-]+/g, "-");
  // Values that differ only in what a name may not hold, or beyond its length, differ in the sum.
  const exact = name.length <= 100 && values.every((value) => /^[A-Za-z0-9._-]+$/.test(value));
  return exact
    ? name
    : `${name.slice(0, 90)}-${createHash("sha256").update(JSON.stringify(on)).digest("hex").slice(0, 8)}`;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

function leaves(value: unknown): string[] {
  if (value === null || value === undefined || value === "") return [];
  if (typeof value === "object") return Object.values(value).flatMap(leaves);
  return [String(value)];
}
