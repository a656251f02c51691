import type { Engine } from "../docker/engine.ts";

/** Labels what the action makes: its value is the run that made it. */
export const runLabel = "kind-action.run";

/** Labels what belongs to a cluster and is no node of it: its value is the cluster's name. */
export const clusterLabel = "kind-action.cluster";

const prefix = "kind-action.";

/**
 * Takes a cluster's name for this run, so that of two jobs on one daemon only one makes it and none deletes the
 * other's: kind looks for the name first and makes the nodes seconds later. A named volume is made by the daemon
 * once, whoever asks at the same time.
 *
 * @throws when another run has the name
 */
export async function acquireNameLock(engine: Engine, cluster: string, run: string): Promise<void> {
  const labels = await engine.volumes.findOrCreate(prefix + cluster, { [runLabel]: run });
  if (labels[runLabel] !== run) {
    throw new Error(
      `The cluster name "${cluster}" was taken a moment ago by another run of this action (${labels[runLabel]}). Give each job on this machine its own \`cluster_name\`.`,
    );
  }
}

/** Whether this run has a cluster's name: only then is the cluster its own. */
export async function holdsNameLock(engine: Engine, cluster: string, run: string): Promise<boolean> {
  return (await engine.volumes.listByLabel(`${runLabel}=${run}`)).has(prefix + cluster);
}

/** Gives the name back, if this run has it. */
export async function releaseNameLock(engine: Engine, cluster: string, run: string): Promise<void> {
  if (await holdsNameLock(engine, cluster, run)) await engine.volumes.remove(prefix + cluster);
}

/** The names that runs have taken. */
export async function listLockedNames(engine: Engine): Promise<string[]> {
  const volumes = await engine.volumes.listByLabel(runLabel);
  return [...volumes.keys()]
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length));
}
