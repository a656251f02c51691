import type { Problem } from "../lib/errors.ts";
import { formatBytes } from "../lib/units.ts";
import type { PlanContext } from "./context.ts";

/** The disk space of a node besides its image: the copy of /var, and the data of the first minutes of Kubernetes. */
const bytesPerNode = 500_000_000;
/** The disk space of a node image. */
const bytesPerImage = 1_500_000_000;

/** Finds problems that prevent a cluster on this Docker daemon. @param nodes the number of its nodes */
export function daemonProblems(
  { inputs, daemon, takenNames }: PlanContext,
  name: string,
  nodes: number,
): Problem[] {
  if ("problem" in daemon) return [{ input: "runner", value: "", reason: daemon.problem }];
  const problems: Problem[] = [];
  if (takenNames.includes(name)) {
    problems.push({
      input: "cluster_name",
      value: name,
      reason: `a cluster of this name already exists. Choose another name, or delete the existing cluster: \`kind delete cluster --name ${name}; docker ps --all --quiet --filter label=kind-action.cluster=${name} | xargs --no-run-if-empty docker rm --force --volumes; docker volume rm --force kind-action.${name}\``,
    });
  }
  const archives = inputs.load.archives.reduce((sum, archive) => sum + archive.bytes, 0);
  const needed = bytesPerImage + nodes * (bytesPerNode + archives);
  if (daemon.freeBytes !== undefined && daemon.freeBytes < needed) {
    problems.push({
      input: "runner",
      value: "",
      reason: `the disk of ${daemon.info.rootDirectory} has ${formatBytes(daemon.freeBytes)} free, and ${nodes} ${nodes === 1 ? "node" : "nodes"} with the images to load need about ${formatBytes(needed)}: free some space, or use fewer nodes`,
    });
  }
  return problems;
}
