/** Names a tool by what it is: an entry that holds something else can never be taken for it. */
export const toolKey = (name: string, checksum: string): string => `kind-action-tool-v1-${name}-${checksum}`;

/** What of the job's event decides whether its caches are of use to anybody. */
export interface Event {
  readonly name: string;
  /** `refs/heads/main` */
  readonly ref: string;
  readonly defaultBranch: string | undefined;
}

/**
 * Whether a job leaves caches: entries of the default branch are seen by all branches, those of a pull request by
 * itself alone, while both count against the repository's 10 GB. Jobs that run with the default branch's rights on
 * somebody else's input (pull_request_target and its like) leave nothing: that is how caches get poisoned.
 */
export function savesCaches({ name, ref, defaultBranch }: Event): boolean {
  const trusted = ["push", "schedule", "workflow_dispatch", "repository_dispatch"].includes(name);
  return trusted && defaultBranch !== undefined && ref === `refs/heads/${defaultBranch}`;
}
