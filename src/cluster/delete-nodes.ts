import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "../docker/engine.ts";
import { unfreezeCgroup } from "./unfreeze-cgroup.ts";

/** In milliseconds. Docker takes its time under load, and now and then forgets the first request. */
const deadline = 60_000;
/** How long the daemon may go on with a `docker run` whose client was ended: it has a node's /var to copy. */
const settling = 2_000;
/** How long the removal of a node takes, unless something in it cannot be ended. */
const patience = 3_000;

/**
 * Removes every container of a cluster, and looks again until there is none.
 *
 * @param on.stillMade whether what made the cluster was cut off, and a container may come up after the first look
 * @throws naming those that are left when the time is up
 */
export async function deleteNodes(
  engine: Engine,
  cluster: string,
  on: { stillMade: boolean },
): Promise<void> {
  const began = performance.now();
  let quietSince = began;
  for (;;) {
    const left = await engine.containers.listNodes(cluster);
    const now = performance.now();
    if (left.length === 0 && (!on.stillMade || now - quietSince >= settling)) return;
    if (left.length > 0) quietSince = now;
    if (now - began >= deadline)
      throw new Error(`Docker does not remove ${left.map(({ name }) => name).join(", ")}`);
    // One that the daemon is busy with is asked for again.
    const removal = Promise.allSettled(left.map(({ id }) => engine.containers.remove(id)));
    while (await lasts(removal, patience)) await Promise.all(left.map(({ id }) => unfreezeCgroup(id)));
    await sleep(100);
  }
}

/** Whether something goes on for longer than that many milliseconds. */
const lasts = (work: Promise<unknown>, milliseconds: number): Promise<boolean> =>
  Promise.race([work.then(() => false), sleep(milliseconds, true, { ref: false })]);
