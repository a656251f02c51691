import { describe, expect, it, onTestFinished } from "vitest";
import { NodeSession } from "../../src/node/session.ts";
import { type Machine, machine, type SimulatedNode } from "../fixtures/machine.ts";

const timeoutMs = 5_000;

/** A machine with one node, and a session with it. */
async function openSession(options: { started?: boolean } = {}) {
  const to = await machine(["shop-control-plane"], options);
  const [node] = to.nodes;
  if (node === undefined) throw new Error("there is a node");
  return { ...to, to, node, session: await sessionWith(to, node) };
}

async function sessionWith({ daemon }: Machine, { id, name }: SimulatedNode): Promise<NodeSession> {
  const container = await daemon.engine.containers.inspect(id);
  if (container === undefined) throw new Error(`${name} is gone`);
  const session = new NodeSession(daemon.engine, { name, container });
  onTestFinished(() => session.close());
  return session;
}

/** The number of programs that were started in containers. */
const started = ({ daemon }: Machine) => daemon.changes.filter((call) => call.endsWith("/exec")).length;

describe("NodeSession.inventory", () => {
  it("waits until containerd has started", async () => {
    const { node, session } = await openSession({ started: false });
    const inventory = session.inventory(timeoutMs);
    setTimeout(() => void node.start(), 100);
    expect((await inventory).imageIds).toEqual(new Set());
  });

  it("retries while containerd refuses calls, through one program in the node", async () => {
    const { to, node, session } = await openSession();
    let refusals = 2;
    node.containerd.fail = (call) =>
      call === "ImageService/ListImages" && refusals-- > 0 ? "server is not initialized yet" : undefined;
    await session.inventory(timeoutMs);
    expect(refusals).toBe(-1);
    expect(to.running()).toBe(1);
    expect(started(to)).toBe(1);
  });

  it("rejects with the reason when containerd still refuses calls after the timeout", async () => {
    const { node, session } = await openSession();
    node.containerd.fail = () => "server is not initialized yet";
    await expect(session.inventory(100)).rejects.toThrow(
      /^could not list the images of the node shop-control-plane: containerd: \S+ failed: server is not initialized yet$/,
    );
  });

  it("rejects with the reason when containerd does not start within the timeout", async () => {
    const { session } = await openSession({ started: false });
    await expect(session.inventory(100)).rejects.toThrow(
      /^could not list the images of the node shop-control-plane: containerd: \S+ failed: .*could not connect to \S+\.sock: No such file or directory$/,
    );
  });

  it("rejects at once when the container does not run", async () => {
    const { daemon, node, session } = await openSession();
    daemon.kill(node.id);
    await expect(session.inventory(600_000)).rejects.toThrow(
      /^could not list the images of the node shop-control-plane: .*container [0-9a-f]{64} is not running/,
    );
  });
});

describe("NodeSession.containerd", () => {
  it("returns the same client to all callers: one program in the node", async () => {
    const { to, session } = await openSession();
    const [one, other] = await Promise.all([session.containerd(timeoutMs), session.containerd(timeoutMs)]);
    expect(other).toBe(one);
    expect(await session.containerd(timeoutMs)).toBe(one);
    await Promise.all([session.inventory(timeoutMs), session.inventory(timeoutMs)]);
    expect(started(to)).toBe(1);
  });

  it("reconnects once for all callers after containerd has restarted", async () => {
    const { to, node, session } = await openSession();
    const before = await session.containerd(timeoutMs);
    await session.inventory(timeoutMs);
    await node.stop();
    await to.idle();
    await node.start();
    const [one, other] = await Promise.all([session.containerd(timeoutMs), session.containerd(timeoutMs)]);
    expect(other).toBe(one);
    expect(one).not.toBe(before);
    expect((await session.inventory(timeoutMs)).imageIds).toEqual(new Set());
    expect(started(to)).toBe(2);
    expect(to.running()).toBe(1);
  });

  it("connects again after a call got no response, and does not end the other calls", async () => {
    const { node, session } = await openSession();
    const proceed = Promise.withResolvers<undefined>();
    node.containerd.fail = (call) =>
      call.startsWith("Images/Get") ? proceed.promise : new Promise(() => {});
    const before = await session.containerd(timeoutMs);
    const running = before.getTarget("web:1");
    await expect(before.images(50)).rejects.toThrow("no response within");
    node.containerd.fail = (call) => (call.startsWith("Images/Get") ? proceed.promise : undefined);
    expect(await session.containerd(timeoutMs)).not.toBe(before);
    expect((await session.inventory(timeoutMs)).imageIds).toEqual(new Set());
    proceed.resolve(undefined);
    await expect(running).rejects.toThrow("not found");
  });

  it("connects again after it could not connect", async () => {
    const { daemon, session } = await openSession();
    daemon.refuse = (call) =>
      call.endsWith("/exec") ? { status: 500, message: "OCI runtime exec failed" } : undefined;
    await expect(session.containerd(timeoutMs)).rejects.toThrow("OCI runtime exec failed");
    daemon.refuse = () => undefined;
    expect((await session.inventory(timeoutMs)).imageIds).toEqual(new Set());
  });
});

describe("NodeSession.run", () => {
  it("runs commands one after another in one program", async () => {
    const { to, session } = await openSession();
    const results = await Promise.all([
      session.run(["kubeconfig"], timeoutMs),
      session.run(["unpack", "sha256:aa"], timeoutMs),
      session.run(["kubeconfig"], timeoutMs),
    ]);
    expect(results).toEqual(["", "", ""]);
    expect(started(to)).toBe(1);
  });

  it("gives a command a second at least, because one that does not end in time ends the program", async () => {
    const { to, session } = await openSession();
    expect(await session.run(["kubeconfig"], -5)).toBe("");
    expect(await session.run(["kubeconfig"], 0)).toBe("");
    expect(started(to)).toBe(1);
  });

  it("rejects an unknown command with the node's name, and goes on", async () => {
    const { session } = await openSession();
    await expect(session.run(["reboot", "now"], timeoutMs)).rejects.toThrow(
      /^shop-control-plane: reboot failed: .*command_reboot: command not found$/,
    );
    expect(await session.run(["kubeconfig"], timeoutMs)).toBe("");
  });

  it("starts a new program after the last one has ended", async () => {
    const { to, node, session } = await openSession();
    await session.run(["kubeconfig"], timeoutMs);
    to.daemon.cut(node.id);
    await to.idle();
    expect(await session.run(["kubeconfig"], timeoutMs)).toBe("");
    expect(started(to)).toBe(2);
  });
});

describe("NodeSession.unpack", () => {
  it("unpacks in the background for the snapshotter of the node's pods, and survives close", async () => {
    const { to, node, session } = await openSession();
    const unpacking = Promise.withResolvers<void>();
    const proceed = Promise.withResolvers<undefined>();
    node.containerd.fail = () => {
      unpacking.resolve();
      return proceed.promise;
    };
    await session.unpack(["sha256:aa", "sha256:bb"]);
    await unpacking.promise;
    session.close();
    proceed.resolve(undefined);
    const snapshotter = "fuse-overlayfs";
    await expect
      .poll(() => node.containerd.unpacked, { timeout: 4_000 })
      .toEqual([
        { target: "sha256:aa", snapshotter },
        { target: "sha256:bb", snapshotter },
      ]);
    await to.idle();
  });

  it("starts nothing without images", async () => {
    const { to, session } = await openSession();
    await session.unpack([]);
    expect(started(to)).toBe(0);
  });
});

describe("NodeSession.close", () => {
  it("ends the programs in the node", async () => {
    const { to, session } = await openSession();
    await session.inventory(timeoutMs);
    await session.run(["kubeconfig"], timeoutMs);
    expect(to.running()).toBe(2);
    session.close();
    await to.idle();
  });

  it("ends a program that is being started", async () => {
    const { to, daemon, session } = await openSession();
    daemon.refuse = (call) => {
      if (call.endsWith("/start")) session.close();
      return undefined;
    };
    await session.containerd(timeoutMs);
    await to.idle();
    expect(started(to)).toBe(1);
  });

  it("is final: a task that retries starts no further program", async () => {
    const { to, node, session } = await openSession();
    const called = Promise.withResolvers<void>();
    node.containerd.fail = () => {
      called.resolve();
      return new Promise(() => {});
    };
    const inventory = session.inventory(timeoutMs);
    inventory.catch(() => {});
    await called.promise;
    session.close();
    await expect(inventory).rejects.toThrow(
      "could not list the images of the node shop-control-plane: the session is closed",
    );
    await expect(session.containerd(timeoutMs)).rejects.toThrow("the session is closed");
    await expect(session.run(["kubeconfig"], timeoutMs)).rejects.toThrow("the session is closed");
    expect(started(to)).toBe(1);
    await to.idle();
  });
});
