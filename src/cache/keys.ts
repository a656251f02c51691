import { createHash } from "node:crypto";
import type { CacheSave } from "../runner/inputs.ts";

/** Names a tool by what it is: an entry that holds something else can never be taken for it. */
export const toolKey = (name: string, checksum: string): string => `kind-action-tool-v1-${name}-${checksum}`;

/**
 * What the keys of the proxies' index begin with: each job of a workflow has its own, which is its matrix's in common.
 *
 * @param architecture of what nodes pull
 */
export function proxyKeyPrefix(job: { workflow: string; id: string; architecture: string }): string {
  const name = createHash("sha256").update(`${job.workflow}\n${job.id}`).digest("hex").slice(0, 16);
  return `kind-action-proxies-v1-${job.architecture}-${name}-`;
}

/** What of the job's event decides whether its caches are of use to anybody. */
export interface WorkflowEvent {
  readonly name: string;
  /** `refs/heads/main` */
  readonly ref: string;
  readonly defaultBranch: string | undefined;
}

/**
 * Whether a job leaves caches: entries of the default branch are seen by all branches, those of a pull request by
 * itself alone, while both count against the repository's 10 GB. Jobs that run with the default branch's rights on
 * somebody else's input (pull_request_target and its like) leave nothing: that is how caches get poisoned.
 *
 * @param save what the user says: `auto` is the above
 */
export function shouldSaveCaches({ name, ref, defaultBranch }: WorkflowEvent, save: CacheSave): boolean {
  if (save !== "auto") return save === "always";
  const trusted = ["push", "schedule", "workflow_dispatch", "repository_dispatch"].includes(name);
  return trusted && defaultBranch !== undefined && ref === `refs/heads/${defaultBranch}`;
}
