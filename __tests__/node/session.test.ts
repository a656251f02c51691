import { describe, expect, it } from "vitest";
import { connectNode } from "../../src/node/session.ts";
import { type Machine, machine, type SimulatedNode } from "../fixtures/machine.ts";

const soon = 5_000;

async function ask({ daemon }: Machine, { id, name }: SimulatedNode) {
  const container = await daemon.engine.containers.inspect(id);
  if (container === undefined) throw new Error(`${name} is gone`);
  return await connectNode(daemon.engine, { name, container }, soon);
}

describe("asking a node", () => {
  it("waits until its containerd answers", async () => {
    const to = await machine(["shop-control-plane"], { started: false });
    const [node] = to.nodes;
    if (node === undefined) throw new Error("there is a node");
    const asked = ask(to, node);
    setTimeout(() => void node.start(), 100);
    const { containerd, inventory } = await asked;
    expect(inventory.imageIds).toEqual(new Set());
    containerd.close();
  });

  it("asks again where the first question is refused, and leaves one program in the node", async () => {
    const to = await machine(["shop-control-plane"]);
    const [node] = to.nodes;
    if (node === undefined) throw new Error("there is a node");
    let refusals = 2;
    node.containerd.fail = (call) =>
      call === "ImageService/ListImages" && refusals-- > 0 ? "server is not initialized yet" : undefined;
    const { containerd } = await ask(to, node);
    await expect.poll(to.running, { timeout: 4_000 }).toBe(1);
    containerd.close();
    await to.idle();
  });

  it("is given up on when its time is over", async () => {
    const to = await machine(["shop-control-plane"]);
    const [node] = to.nodes;
    const container = await to.daemon.engine.containers.inspect(node?.id ?? "");
    if (node === undefined || container === undefined) throw new Error("there is a node");
    node.containerd.fail = () => "server is not initialized yet";
    await expect(connectNode(to.daemon.engine, { name: node.name, container }, 100)).rejects.toThrow(
      /^it cannot be asked what it has: containerd: \S+ failed: server is not initialized yet$/,
    );
  });
});
