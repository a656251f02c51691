import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "../docker/engine.ts";
import { withTimeout } from "../lib/poll.ts";
import { formatTimeout } from "../lib/units.ts";
import { unfreezeCgroup } from "./unfreeze-cgroup.ts";

/** Docker is slow under load, and sometimes forgets the first request to remove a container. */
const timeoutMs = 60_000;
/** How long the daemon may continue a `docker run` whose client was killed: it copies the node image's /var. */
const settleMs = 2_000;
/** How long the removal of a node takes, unless a process in it cannot be killed. */
const removalMs = 3_000;

/**
 * Removes all containers of a cluster, and lists them again until there are none.
 *
 * @param options.stillCreating whether the creation of the cluster was interrupted, so that a container may appear
 * after the first list
 * @throws when containers remain after a minute; the message names them
 */
export async function deleteNodes(
  engine: Engine,
  cluster: string,
  options: { stillCreating: boolean },
): Promise<void> {
  const startMs = performance.now();
  let emptySinceMs = startMs;
  for (;;) {
    const containers = await engine.containers.listNodes(cluster);
    const nowMs = performance.now();
    if (containers.length === 0 && (!options.stillCreating || nowMs - emptySinceMs >= settleMs)) return;
    if (containers.length > 0) emptySinceMs = nowMs;
    if (nowMs - startMs >= timeoutMs) {
      const names = containers.map(({ name }) => name).join(", ");
      throw new Error(`Docker did not remove these containers within ${formatTimeout(timeoutMs)}: ${names}.`);
    }
    // A removal that fails because another one is in progress is requested again.
    const removal = Promise.allSettled(containers.map(({ id }) => engine.containers.remove(id)));
    while ((await withTimeout(removal, removalMs)) === "timeout" && performance.now() - startMs < timeoutMs)
      await Promise.all(containers.map(({ id }) => unfreezeCgroup(id)));
    await sleep(100);
  }
}
