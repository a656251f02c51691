/**
 * The names that kind accepts for a cluster (pkg/internal/apis/config/validate.go), without those that Docker rejects
 * as the beginning of a container name.
 */
const pattern = /^[a-z0-9][a-z0-9.-]*$/;

/** The limit of Linux for a host name, in characters. The host name of a node is its container's name. */
const maxHostNameLength = 63;

/**
 * Returns the name of a cluster: the first candidate that is defined, else kind's default, `kind`.
 *
 * @param candidates the input `cluster_name`, the configuration's `name`, `$KIND_CLUSTER_NAME`
 */
export const resolveClusterName = (...candidates: readonly (string | undefined)[]): string =>
  candidates.find((name) => name !== undefined) ?? "kind";

/**
 * Returns the name of the container that serves a cluster's API: the load balancer if there are several control planes.
 */
export const apiContainerName = (cluster: string, controlPlanes: number): string =>
  controlPlanes > 1 ? `${cluster}-external-load-balancer` : `${cluster}-control-plane`;

/** Checks the characters of a cluster's name. @returns the problem, as a clause whose subject is the name, or undefined */
export const clusterNameSyntaxProblem = (name: string): string | undefined =>
  pattern.test(name)
    ? undefined
    : "is not a valid cluster name: use lower-case letters, digits, dots and hyphens, and begin with a letter or digit";

/** Checks a cluster's name. @returns the problem, as a clause whose subject is the name; undefined if there is none */
export function clusterNameProblem(name: string, controlPlanes: number): string | undefined {
  const syntaxProblem = clusterNameSyntaxProblem(name);
  if (syntaxProblem !== undefined) return syntaxProblem;
  const longestName = apiContainerName(name, controlPlanes);
  const excess = longestName.length - maxHostNameLength;
  return excess > 0
    ? `is too long: the host name of the container ${longestName} would have more than ${maxHostNameLength} characters; use at most ${name.length - excess} characters`
    : undefined;
}
