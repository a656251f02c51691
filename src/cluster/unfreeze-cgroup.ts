import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Where cgroup v1 has a container: Docker's own driver, and systemd's. */
const cgroupsOf = (id: string) => [
  `/sys/fs/cgroup/freezer/docker/${id}`,
  `/sys/fs/cgroup/freezer/system.slice/docker-${id}.scope`,
];

/**
 * Lets go on what is frozen inside a container that is being ended, as far as this job may.
 *
 * On cgroup v1, runc freezes a container for the moment in which it sets its devices (opencontainers/runc,
 * libcontainer/cgroups/fs/devices.go). If a node is killed then, a process of a pod stays frozen, no signal reaches it,
 * and Docker waits in vain for the node to end. cgroup v2 has no such state: what is frozen there can be killed.
 */
export async function unfreezeCgroup(containerId: string): Promise<void> {
  await Promise.all(
    cgroupsOf(containerId).map(async (cgroup) => {
      const entries = await readdir(cgroup, { recursive: true }).catch(() => []);
      const states = entries.filter((path) => path.endsWith("/freezer.state"));
      await Promise.allSettled(states.map((path) => writeFile(join(cgroup, path), "THAWED")));
    }),
  );
}
