import { sha256Hex } from "../lib/sha256.ts";

/** The job of the logs. */
interface LogsJob {
  readonly job: string;
  readonly cluster: string;
  /** The job's matrix as JSON; `null` outside of a matrix. */
  readonly matrix: string;
  /** The number of the attempt of the workflow run. */
  readonly attempt: string;
}

/** The maximum length of a name, in characters. */
const maxLength = 100;

/**
 * Returns the name of the artifact with the logs of one cluster. The name is unique in the workflow run, because GitHub
 * rejects a second artifact with the same name: the jobs of a matrix differ only in its values.
 */
export function artifactName({ job, cluster, matrix, attempt }: LogsJob): string {
  const values = leaves(parseJson(matrix));
  const parts = ["kind-logs", job, cluster, ...values, ...(attempt === "1" ? [] : [`attempt-${attempt}`])];
  const name = parts.join("-").replace(/[^A-Za-z0-9._-]+/g, "-");
  // The hash distinguishes values that differ only in replaced characters, or after the maximum length.
  const isUnique = name.length <= maxLength && values.every((value) => /^[A-Za-z0-9._-]+$/.test(value));
  if (isUnique) return name;
  return `${name.slice(0, 90)}-${sha256Hex(JSON.stringify({ job, cluster, matrix, attempt })).slice(0, 8)}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Returns the scalars in a JSON value, as texts. */
function leaves(value: unknown): string[] {
  if (value === null || value === undefined || value === "") return [];
  if (typeof value === "object") return Object.values(value).flatMap(leaves);
  return [String(value)];
}
