import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * Returns the folders of a container's freezer cgroup on cgroup v1: with Docker's cgroupfs driver, and with the systemd
 * driver.
 */
const freezerCgroups = (id: string) => [
  `/sys/fs/cgroup/freezer/docker/${id}`,
  `/sys/fs/cgroup/freezer/system.slice/docker-${id}.scope`,
];

/**
 * Unfreezes the processes in a container that is being removed. Errors are ignored: the job may not have the
 * permission.
 *
 * On cgroup v1, runc freezes a container while it sets its devices (opencontainers/runc,
 * libcontainer/cgroups/fs/devices.go). If a node is killed at that moment, a process of a pod stays frozen and gets no
 * signal, and Docker waits for the node without end. On cgroup v2, a frozen process can be killed.
 */
export async function unfreezeCgroup(containerId: string): Promise<void> {
  await Promise.all(
    freezerCgroups(containerId).map(async (cgroup) => {
      const entries = await readdir(cgroup, { recursive: true }).catch(() => []);
      const states = entries.filter((path) => path.endsWith("/freezer.state"));
      await Promise.allSettled(states.map((path) => writeFile(join(cgroup, path), "THAWED")));
    }),
  );
}
