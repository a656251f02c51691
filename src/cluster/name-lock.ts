import type { Engine } from "../docker/engine.ts";
import { runLabel } from "../docker/labels.ts";

/** The beginning of the names of the volumes that are the locks. */
const volumePrefix = "kind-action.";

/**
 * Locks a cluster's name for this run, so that only one of two jobs on a Docker daemon creates the cluster and no job
 * deletes that of the other: kind checks whether the name is free, and creates the nodes seconds later. The lock is a
 * named volume, because the daemon creates such a volume once for concurrent requests.
 *
 * @throws when another run holds the lock
 */
export async function acquireNameLock(engine: Engine, cluster: string, runId: string): Promise<void> {
  const labels = await engine.volumes.findOrCreate(volumePrefix + cluster, { [runLabel]: runId });
  if (labels[runLabel] !== runId) {
    throw new Error(
      `The cluster name "${cluster}" is locked by another run of this action (${labels[runLabel]}). Set a different \`cluster_name\` in each job on this machine.`,
    );
  }
}

/** Whether this run holds the lock of a cluster's name. Only then did it create the cluster. */
export async function holdsNameLock(engine: Engine, cluster: string, runId: string): Promise<boolean> {
  return (await engine.volumes.listByLabel(`${runLabel}=${runId}`)).has(volumePrefix + cluster);
}

/** Releases the lock of a cluster's name if this run holds it. */
export async function releaseNameLock(engine: Engine, cluster: string, runId: string): Promise<void> {
  if (await holdsNameLock(engine, cluster, runId)) await engine.volumes.remove(volumePrefix + cluster);
}

/** Returns the cluster names that runs have locked. */
export async function listLockedNames(engine: Engine): Promise<string[]> {
  const volumes = await engine.volumes.listByLabel(runLabel);
  return [...volumes.keys()]
    .filter((name) => name.startsWith(volumePrefix))
    .map((name) => name.slice(volumePrefix.length));
}
