import { describe, expect, it } from "vitest";
import { deleteNodes } from "../../src/cluster/delete-nodes.ts";
import { dockerDaemon, nodeContainer } from "../fixtures/docker-daemon.ts";

async function daemonWith(...containers: ReturnType<typeof nodeContainer>[]) {
  const daemon = await dockerDaemon();
  for (const container of containers) daemon.containers.set(container.id, container);
  return daemon;
}

const namesOf = (daemon: Awaited<ReturnType<typeof dockerDaemon>>) =>
  [...daemon.containers.values()].map(({ name }) => name);

describe("deleteNodes", () => {
  it("removes all containers of the cluster, and none of another cluster", async () => {
    const daemon = await daemonWith(
      nodeContainer("shop", "control-plane"),
      nodeContainer("shop", "worker"),
      nodeContainer("shop", "external-load-balancer"),
      nodeContainer("shop-2", "control-plane"),
    );
    await deleteNodes(daemon.engine, "shop", { stillCreating: false });
    expect(namesOf(daemon)).toEqual(["shop-2-control-plane"]);
  });

  it("requests the removal again if the daemon is already removing the container", async () => {
    const daemon = await daemonWith(nodeContainer("shop", "control-plane"));
    let refusals = 2;
    daemon.refuse = (call) =>
      call.startsWith("DELETE") && refusals-- > 0
        ? { status: 409, message: "removal of container is already in progress" }
        : undefined;
    await deleteNodes(daemon.engine, "shop", { stillCreating: false });
    expect(namesOf(daemon)).toEqual([]);
  });

  it("removes a node that appears after the creation was interrupted", async () => {
    const daemon = await dockerDaemon();
    const late = nodeContainer("shop", "control-plane");
    setTimeout(() => daemon.containers.set(late.id, late), 300);
    await deleteNodes(daemon.engine, "shop", { stillCreating: true });
    expect(daemon.changes).toEqual([`DELETE /containers/${late.id}`]);
    expect(namesOf(daemon)).toEqual([]);
  });

  it("fails with the error of the daemon if it cannot list the containers", async () => {
    const daemon = await dockerDaemon();
    daemon.refuse = () => ({ status: 500, message: "the daemon is shutting down" });
    await expect(deleteNodes(daemon.engine, "shop", { stillCreating: false })).rejects.toThrow(
      "shutting down",
    );
  });
});
