import { describe, expect, it, onTestFinished } from "vitest";
import { listNodes } from "../../src/node/nodes.ts";
import { NodeSessions } from "../../src/node/sessions.ts";
import { type Machine, machine } from "../fixtures/machine.ts";

const timeoutMs = 5_000;
const twoNodes = ["shop-control-plane", "shop-worker"];

function openSessions({ daemon }: Machine): NodeSessions {
  const sessions = new NodeSessions(daemon.engine, "shop");
  onTestFinished(() => sessions.close());
  return sessions;
}

describe("NodeSessions", () => {
  it("has one session for each node, shared by all who wait for it", async () => {
    const to = await machine(twoNodes);
    const sessions = openSessions(to);
    const [some, all] = await Promise.all([
      sessions.waitFor(["shop-worker"], timeoutMs),
      sessions.waitFor(twoNodes, timeoutMs),
    ]);
    expect(all.map(({ name, role, session }) => [name, role, session.name])).toEqual([
      ["shop-control-plane", "control-plane", "shop-control-plane"],
      ["shop-worker", "worker", "shop-worker"],
    ]);
    expect(some.map(({ session }) => session)).toEqual(all.map(({ session }) => session));
    expect(new Set(all.map(({ session }) => session)).size).toBe(2);
    expect(to.running()).toBe(0);
  });

  it("opens a new session with a node that was recreated under the same name", async () => {
    const to = await machine(["shop-worker"]);
    const sessions = openSessions(to);
    const [node] = await sessions.waitFor(["shop-worker"], timeoutMs);
    const [container] = to.daemon.containers.values();
    if (node === undefined || container === undefined) throw new Error("there is a node");
    to.daemon.containers.clear();
    to.daemon.containers.set("recreated", { ...container, id: "recreated" });
    const [recreated] = await sessions.waitFor(["shop-worker"], timeoutMs);
    expect(recreated?.session.container.id).toBe("recreated");
    expect(recreated?.session).not.toBe(node.session);
    expect(sessions.of(node)).toBe(node.session);
  });

  it("rejects with the names of the nodes that do not start in time", async () => {
    const sessions = openSessions(await machine(["shop-worker"]));
    await expect(sessions.waitFor(["shop-worker", "shop-worker2"], 100)).rejects.toThrow(
      "Node containers did not start within 0.1 s: shop-worker2.",
    );
  });

  it("ends the programs in all nodes when it is closed", async () => {
    const to = await machine(twoNodes);
    const sessions = openSessions(to);
    const nodes = await sessions.waitFor(twoNodes, timeoutMs);
    await Promise.all(nodes.map(({ session }) => session.inventory(timeoutMs)));
    expect(to.running()).toBe(2);
    sessions.close();
    await to.idle();
  });

  it("starts no program for a task that gets a session after it was closed", async () => {
    const to = await machine(["shop-worker"]);
    const sessions = openSessions(to);
    sessions.close();
    const [node] = await listNodes(to.daemon.engine, "shop");
    if (node === undefined) throw new Error("there is a node");
    await expect(sessions.of(node).inventory(timeoutMs)).rejects.toThrow("the session is closed");
    expect(to.daemon.changes).toEqual([]);
  });
});
