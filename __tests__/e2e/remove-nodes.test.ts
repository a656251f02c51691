import { afterEach, describe, expect, it } from "vitest";
import { deleteNodes } from "../../src/cluster/delete-nodes.ts";
import { Engine } from "../../src/docker/engine.ts";
import { docker, removeClusters } from "./machine.ts";

const cluster = "e2e-frozen";

/** As runc leaves a process of a pod, if the node is killed while it sets the pod's devices. */
const freezing = `
cd /sys/fs/cgroup
[ ! -d freezer ] || cd freezer
mkdir pod
sleep 1000 &
echo $! >pod/cgroup.procs
if [ -e pod/freezer.state ]; then echo FROZEN >pod/freezer.state; else echo 1 >pod/cgroup.freeze; fi
echo frozen
wait
`;

describe("removing a node", () => {
  afterEach(() => removeClusters(cluster));

  it("also ends frozen processes, which no signal reaches on cgroup v1", async () => {
    const labels = { "io.x-k8s.kind.cluster": cluster, "io.x-k8s.kind.role": "control-plane" };
    const [id = ""] = await docker(
      ...["run", "--detach", "--privileged", "--name", `${cluster}-control-plane`],
      ...Object.entries(labels).flatMap(([label, value]) => ["--label", `${label}=${value}`]),
      ...["kind-action-lab/busybox:1", "sh", "-c", freezing],
    );
    await expect.poll(() => docker("logs", id)).toEqual(["frozen"]);
    await deleteNodes(new Engine({}), cluster, { stillCreating: false });
    expect(await docker("ps", "--all", "--quiet", "--filter", `id=${id}`)).toEqual([]);
  });
});
