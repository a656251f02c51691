import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { InvalidArchiveError } from "../../../src/archive/read-archive.ts";
import {
  type LoadOptions,
  loadIntoNodes,
  type TargetNode,
} from "../../../src/images/load/load-into-nodes.ts";
import type { SourceImage } from "../../../src/images/load/plan-node.ts";
import { connectNode } from "../../../src/node/session.ts";
import { noise } from "../../archive/tar-files.ts";
import { type Machine, machine, type SimulatedNode } from "../../fixtures/machine.ts";
import { recordingLog } from "../../fixtures/recording.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import { imageIn, large, layerOf } from "./source-images.ts";

const soon = 5_000;
const labels = { "kind-action.run": "12-1-abc" };
const threeNodes = ["shop-control-plane", "shop-worker", "shop-worker2"];

async function target({ daemon }: Machine, { id, name }: SimulatedNode): Promise<TargetNode> {
  const container = await daemon.engine.containers.inspect(id);
  if (container === undefined) throw new Error(`${name} is gone`);
  const asked = connectNode(daemon.engine, { name, container }, soon);
  asked.catch(() => {});
  return { name, container, session: asked };
}

/** Asks all nodes of a machine what they have, and brings images into them. */
async function load(to: Machine, images: readonly SourceImage[], more: Partial<LoadOptions> = {}) {
  const log = recordingLog();
  const nodes = await Promise.all(to.nodes.map((node) => target(to, node)));
  const outcome = loadIntoNodes(images, nodes, { engine: to.daemon.engine, labels, log, ...more });
  outcome.catch(() => {});
  return { outcome, log };
}

const nodeOf = ({ nodes }: Machine, name: string): SimulatedNode => {
  const found = nodes.find((node) => node.name === name);
  if (found === undefined) throw new Error(`there is no ${name}`);
  return found;
};

const image = (name: string, ...layers: readonly Buffer[]) => imageIn(temporaryFolder(), [name], layers);

/** A small image. */
const small = (name: string, seed = name) => image(name, noise(seed, 3_000));

/** That a node has an image whole, under its names, and nothing whose bytes are not its digest's. */
function expectWhole({ containerd }: SimulatedNode, { names, id, stored }: ReturnType<typeof image>) {
  for (const name of names) expect(containerd.idOf(name)).toBe(id);
  for (const digest of stored.blobs.keys()) expect(containerd.known).toContain(digest);
  expect(containerd.wrongBlobs()).toEqual([]);
}

/** What a node was told beside questions. */
const orders = ({ containerd }: SimulatedNode) =>
  containerd.calls.filter((call) => /Write|Update|Create/.test(call));

const isWrite = (call: string) => call.startsWith("Content/Write");
const isAdoption = (call: string) => call.endsWith(" of a file");
const isLook = (call: string) => call === "ImageService/ListImages";

/** Lets a test turn the clock on. */
function clock() {
  const now = performance.now.bind(performance);
  let ahead = 0;
  const spy = vi.spyOn(performance, "now").mockImplementation(() => now() + ahead);
  onTestFinished(() => spy.mockRestore());
  return {
    advance: (milliseconds: number) => {
      ahead += milliseconds;
    },
  };
}

// Large images take their time on a machine that is busy with other tests.
describe("an image that no node has", { timeout: 30_000 }, () => {
  it("is brought to all: large blobs written once and linked, small ones sent", async () => {
    const to = await machine(threeNodes);
    const web = image("docker.io/library/web:1", layerOf("base", large), noise("app", 2_000));
    const [base, app] = web.content.layers;
    const { outcome, log } = await load(to, [web]);
    expect(await outcome).toEqual([
      {
        names: ["docker.io/library/web:1"],
        id: web.id,
        outcome: "loaded",
        nodes: threeNodes,
        // Each blob once, however many nodes got it.
        bytes: large + 2_000,
      },
    ]);
    for (const node of to.nodes) {
      expectWhole(node, web);
      expect(node.containerd.linksTo(base?.digest ?? "")).toBe(3);
      expect(node.containerd.linksTo(app?.digest ?? "")).toBe(1);
    }
    expect(log.lines).toEqual([]);
    // What linked is gone, with its volume, and so is every program in the nodes.
    expect([...to.daemon.containers.values()].map(({ name }) => name)).toEqual(threeNodes);
    expect(readdirSync(to.volumes).toSorted()).toEqual(threeNodes.map((name) => `var-of-${name}`));
    await to.idle();
  });

  it("is sent whole where it is small, by nothing but what it is told through", async () => {
    const to = await machine(threeNodes);
    const web = small("docker.io/library/web:1");
    const { outcome } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded", bytes: 3_000 }]);
    for (const node of to.nodes) expectWhole(node, web);
    expect(to.daemon.changes.filter((call) => call.startsWith("POST /containers/create"))).toEqual([]);
  });

  it("is sent where the daemon sees other files, and that is said", async () => {
    const to = await machine(["shop-control-plane"]);
    const web = image("docker.io/library/web:1", layerOf("base", large));
    const other = image("docker.io/library/web:1", layerOf("other", large));
    to.elsewhere.set(web.content.file, other.content.file);
    const { outcome, log } = await load(to, [web]);
    await outcome;
    for (const node of to.nodes) expectWhole(node, web);
    expect(log.lines).toEqual([
      `Blobs are sent to each node, because they cannot be linked: ${web.content.file} is another file for the Docker daemon`,
    ]);
  });

  it("is brought though the container that linked cannot be removed", async () => {
    const to = await machine(["shop-control-plane"]);
    const web = image("docker.io/library/web:1", layerOf("base", large));
    to.daemon.refuse = (call) =>
      call.endsWith("/wait") ? { status: 500, message: "device or resource busy" } : undefined;
    // What linked is done before the node is.
    for (const { containerd } of to.nodes)
      containerd.fail = (call) => (isLook(call) ? sleep(50, undefined) : undefined);
    const { outcome } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded" }]);
    for (const node of to.nodes) expectWhole(node, web);
  });

  it("is sent where links fail in the middle", async () => {
    const to = await machine(["shop-control-plane"]);
    const web = image("docker.io/library/web:1", layerOf("base", large));
    for (const { containerd } of to.nodes)
      containerd.fail = (call) =>
        isAdoption(call) ? "failed to open writer: operation not supported" : undefined;
    const { outcome, log } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded" }]);
    for (const node of to.nodes) expectWhole(node, web);
    const reason = "containerd: Content/Write failed: failed to open writer: operation not supported";
    expect(log.lines).toEqual([
      `shop-control-plane, attempt 1 of 3: ${reason}`,
      `shop-control-plane, attempt 2 of 3: ${reason}`,
    ]);
  });
});

describe("what nodes have already", () => {
  it("is not brought: just what each lacks is", async () => {
    const to = await machine(threeNodes);
    const base = noise("base", 5_000);
    const old = image("docker.io/library/web:1", base, noise("old", 2_000));
    const changed = image("docker.io/library/web:1", base, noise("new", 2_000));
    for (const { containerd } of to.nodes) containerd.store(old.stored, "docker.io/library/web:1");
    const { outcome } = await load(to, [changed]);
    expect(await outcome).toMatchObject([{ outcome: "loaded", bytes: 2_000 }]);
    for (const node of to.nodes) expectWhole(node, changed);
  });

  it("is brought to that node alone that lacks it", async () => {
    const to = await machine(threeNodes);
    const web = small("docker.io/library/web:1");
    for (const name of ["shop-control-plane", "shop-worker2"])
      nodeOf(to, name).containerd.store(web.stored, "docker.io/library/web:1");
    const { outcome } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded", bytes: 3_000, nodes: threeNodes }]);
    expect(to.nodes.map((node) => orders(node).length > 0)).toEqual([false, true, false]);
    for (const node of to.nodes) expectWhole(node, web);
  });

  it("is left alone under its name", async () => {
    const to = await machine(threeNodes);
    const web = small("docker.io/library/web:1");
    for (const { containerd } of to.nodes) containerd.store(web.stored, "docker.io/library/web:1");
    const { outcome } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "already there", bytes: 0, nodes: threeNodes }]);
    for (const node of to.nodes) expect(orders(node)).toEqual([]);
  });

  it("gets another name for nothing, even one that another image had", async () => {
    const to = await machine(threeNodes);
    const web = small("docker.io/library/web:1");
    for (const { containerd } of to.nodes) {
      containerd.store(web.stored, "docker.io/library/web:dev");
      containerd.store(small("docker.io/library/old:1").stored, "docker.io/library/web:1");
    }
    // An image of the daemon's that every node has is not even exported.
    const { outcome } = await load(to, [{ ...web, content: undefined }]);
    expect(await outcome).toMatchObject([{ outcome: "re-tagged", bytes: 0, nodes: threeNodes }]);
    for (const node of to.nodes) expectWhole(node, web);
  });

  it("is told image by image, and what they share counts with the first", async () => {
    const to = await machine(["shop-control-plane"]);
    const [base, own] = [noise("base", 5_000), noise("own", 1_000)];
    const [web, api] = [image("docker.io/library/web:1", base), image("docker.io/library/api:1", base, own)];
    const [there, named] = [small("docker.io/library/there:1"), small("docker.io/library/named:1")];
    for (const { containerd } of to.nodes) {
      containerd.store(there.stored, ...there.names);
      containerd.store(named.stored, "docker.io/library/other:1");
    }
    const { outcome } = await load(to, [web, api, there, named]);
    expect((await outcome).map(({ outcome: what, bytes }) => [what, bytes])).toEqual([
      ["loaded", 5_000],
      ["loaded", 1_000],
      ["already there", 0],
      ["re-tagged", 0],
    ]);
    for (const each of [web, api, there, named]) for (const node of to.nodes) expectWhole(node, each);
  });
});

describe("linked blobs", { timeout: 30_000 }, () => {
  const web = () => image("docker.io/library/web:1", layerOf("base", large), noise("app", 2_000));

  it("are not taken by the garbage collector, whenever it comes", async () => {
    const to = await machine(["shop-control-plane"]);
    const { containerd } = nodeOf(to, "shop-control-plane");
    const wanted = web();
    containerd.afterwards = () => containerd.collectGarbage();
    const { outcome, log } = await load(to, [wanted]);
    await outcome;
    containerd.collectGarbage();
    expectWhole(nodeOf(to, "shop-control-plane"), wanted);
    expect(log.lines).toEqual([]);
    expect(containerd.leases).toBe(0);
  });

  it.each([
    { when: "one was taken before it was adopted", failures: 2, attempts: 0 },
    { when: "containerd was started anew", failures: 3, attempts: 1 },
  ])("are linked again when $when", async ({ failures, attempts }) => {
    const to = await machine(threeNodes);
    const wanted = web();
    const base = wanted.content.layers[0]?.digest ?? "";
    const { containerd } = nodeOf(to, "shop-worker");
    let left = failures;
    containerd.fail = (call) => {
      if (isAdoption(call) && left-- > 0) containerd.forget(base);
      return undefined;
    };
    const { outcome, log } = await load(to, [wanted]);
    await outcome;
    for (const node of to.nodes) {
      expectWhole(node, wanted);
      expect(node.containerd.linksTo(base)).toBe(3);
    }
    expect(log.lines).toEqual(
      Array.from(
        { length: attempts },
        () =>
          `shop-worker, attempt 1 of 3: containerd: Content/Write failed: write @${large} must occur at current offset 0`,
      ),
    );
  });

  it("leave no name behind when the image does not get whole", async () => {
    const to = await machine(["shop-control-plane"]);
    const { containerd } = nodeOf(to, "shop-control-plane");
    containerd.fail = (call) =>
      isWrite(call) && containerd.known.size > 0 ? "no space left on device" : undefined;
    const { outcome } = await load(to, [web()]);
    await expect(outcome).rejects.toThrow("no space left on device");
    expect([...containerd.names.keys()]).toEqual([]);
  });
});

describe("the node that all pods run on", { timeout: 30_000 }, () => {
  it.each([
    { way: "linked", bytes: large },
    { way: "sent", bytes: 3_000 },
  ])("begins to unpack at once what was $way, and no other does", async ({ bytes }) => {
    const to = await machine(["shop-control-plane", "shop-worker"]);
    const web = image("docker.io/library/web:1", layerOf("base", bytes));
    const { outcome } = await load(to, [web], { unpackOn: "shop-worker" });
    await outcome;
    const unpackedOn = (name: string) => nodeOf(to, name).containerd.unpacked.map(({ target }) => target);
    await expect
      .poll(() => unpackedOn("shop-worker"), { timeout: 4_000 })
      .toEqual([web.content.target.digest]);
    expect(unpackedOn("shop-control-plane")).toEqual([]);
  });

  it("is not told to where it has everything", async () => {
    const to = await machine(["shop-worker"]);
    const web = small("docker.io/library/web:1");
    const { containerd } = nodeOf(to, "shop-worker");
    containerd.store(web.stored, "docker.io/library/web:1");
    const { outcome } = await load(to, [web], { unpackOn: "shop-worker" });
    await outcome;
    await to.idle();
    expect(containerd.unpacked).toEqual([]);
  });
});

describe("an archive that is wrong", () => {
  it.each([
    { way: "linked", bytes: large },
    { way: "sent", bytes: 3_000 },
  ])("is refused before a node is told of a blob that is to be $way", async ({ bytes }) => {
    const to = await machine(threeNodes);
    const content = layerOf("web", bytes);
    const web = image("docker.io/library/web:1", content);
    const first = web.content.layers[0];
    const moved = {
      ...web,
      content: { ...web.content, layers: web.content.layers.map((each) => ({ ...each, offset: 0 })) },
    };
    const { outcome, log } = await load(to, [moved]);
    await expect(outcome).rejects.toThrow(InvalidArchiveError);
    await expect(outcome).rejects.toThrow(
      new RegExp(
        `^docker.io/library/web:1.tar cannot be loaded: its layer ${first?.digest} has the digest sha256:[0-9a-f]{64}: it is damaged\\. `,
      ),
    );
    for (const node of to.nodes) {
      expect(orders(node)).toEqual([]);
      expect(readdirSync(node.containerd.folder)).toEqual([]);
    }
    // Nothing of it is tried again, and nothing is left of the attempt.
    expect(log.lines).toEqual([]);
    expect([...to.daemon.containers.values()].map(({ name }) => name)).toEqual(threeNodes);
    await to.idle();
  });

  it("is refused though others are right", async () => {
    const to = await machine(["shop-control-plane"]);
    const [right, wrong] = [small("docker.io/library/right:1"), small("docker.io/library/wrong:1")];
    const layers = wrong.content.layers.map((each) => ({ ...each, offset: each.offset ?? 0 }));
    await writeFile(wrong.content.file, Buffer.alloc(5_000, "damage"));
    const { outcome } = await load(to, [right, { ...wrong, content: { ...wrong.content, layers } }]);
    await expect(outcome).rejects.toThrow(/^docker.io\/library\/wrong:1.tar cannot be loaded: /);
    for (const node of to.nodes) expect(node.containerd.names.size).toBe(0);
  });

  it("is refused when its image would replace one that the node image brought, before anything is done", async () => {
    const to = await machine(threeNodes);
    const own = small("own");
    const name = "registry.k8s.io/kube-apiserver:v1.34.11";
    for (const { containerd } of to.nodes) containerd.bringWithNode(own.stored, name);
    const { outcome } = await load(to, [
      small("docker.io/library/web:1"),
      { ...small("other"), names: [name] },
    ]);
    await expect(outcome).rejects.toThrow(
      `other.tar cannot be loaded: it would replace ${name}, which the node image brought and the cluster itself runs.`,
    );
    for (const node of to.nodes) {
      expect(orders(node)).toEqual([]);
      expect(node.containerd.idOf(name)).toBe(own.id);
    }
  });
});

describe("a node that fails", { timeout: 30_000 }, () => {
  it("in the middle is named, with the reason, and the others are told apart from it", async () => {
    const to = await machine(threeNodes);
    const web = small("docker.io/library/web:1");
    const worker = nodeOf(to, "shop-worker");
    worker.containerd.fail = (call) => {
      if (!isWrite(call)) return undefined;
      to.daemon.kill(worker.id);
      return new Promise(() => {});
    };
    const { outcome } = await load(to, [web]);
    const message = await outcome.then(String, (error: Error) => error.message);
    expect(message.split("\n")).toEqual([
      "The images did not get into shop-worker.",
      expect.stringMatching(/^- shop-worker: .*container [0-9a-f]{64} is not running/),
      "They are in shop-control-plane, shop-worker2.",
    ]);
    for (const name of ["shop-control-plane", "shop-worker2"]) expectWhole(nodeOf(to, name), web);
  });

  it("is named among others that fail, each with its own reason", async () => {
    const to = await machine(threeNodes);
    for (const [name, reason] of [
      ["shop-control-plane", "no space left on device"],
      ["shop-worker2", "permission denied"],
    ] as const)
      nodeOf(to, name).containerd.fail = (call) => (isWrite(call) ? reason : undefined);
    const { outcome } = await load(to, [small("docker.io/library/web:1")]);
    const message = await outcome.then(String, (error: Error) => error.message);
    expect(message.split("\n")).toEqual([
      "The images did not get into shop-control-plane, shop-worker2.",
      expect.stringMatching(/^- shop-control-plane: .*Content\/Write failed: no space left on device$/),
      expect.stringMatching(/^- shop-worker2: .*Content\/Write failed: permission denied$/),
      "They are in shop-worker.",
    ]);
  });

  it("may be the only one, or all of them", async () => {
    const to = await machine(["shop-control-plane"]);
    for (const { containerd } of to.nodes)
      containerd.fail = (call) => (isWrite(call) ? "no space left on device" : undefined);
    const { outcome } = await load(to, [small("docker.io/library/web:1")]);
    const message = await outcome.then(String, (error: Error) => error.message);
    expect(message).toMatch(
      /^The images did not get into shop-control-plane\.\n- .*: no space left on device$/,
    );
  });

  it("gets it in the end when the failure passes, as when containerd is started anew", async () => {
    const to = await machine(threeNodes);
    const web = small("docker.io/library/web:1");
    const worker = nodeOf(to, "shop-worker").containerd;
    let failures = 2;
    worker.fail = (call) => (isWrite(call) && failures-- > 0 ? "transport is closing" : undefined);
    const { outcome, log } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded", nodes: threeNodes }]);
    for (const node of to.nodes) expectWhole(node, web);
    expect(log.lines).toEqual([
      "shop-worker, attempt 1 of 3: containerd: Content/Write failed: transport is closing",
      "shop-worker, attempt 2 of 3: containerd: Content/Write failed: transport is closing",
    ]);
    await to.idle();
  });

  it("gets a blob again that the garbage collector took", async () => {
    const to = await machine(["shop-control-plane"]);
    const time = clock();
    const web = image("docker.io/library/web:1", noise("base", 3_000), noise("app", 2_000));
    const [base] = web.content.layers;
    for (const { containerd } of to.nodes) {
      let writes = 0;
      containerd.afterwards = (call) => {
        if (call.startsWith(`Content/Write ${base?.digest}`) && ++writes === 1)
          containerd.forget(base?.digest ?? "");
        if (isLook(call)) time.advance(6_000);
      };
    }
    const { outcome } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded" }]);
    for (const node of to.nodes) expectWhole(node, web);
  });

  it("gets what is there and unknown to containerd, as a crash leaves it, once more", async () => {
    const to = await machine(["shop-control-plane"]);
    const web = image("docker.io/library/web:1", noise("base", 3_000), noise("app", 2_000));
    const [base] = web.content.layers;
    for (const { containerd } of to.nodes) {
      containerd.store(web.stored);
      containerd.known.clear();
    }
    const { outcome } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded" }]);
    for (const node of to.nodes) {
      expectWhole(node, web);
      expect(node.containerd.known).toContain(base?.digest);
    }
  });

  it("is not said to have an image of which it lacks a blob", async () => {
    const to = await machine(["shop-control-plane"]);
    const time = clock();
    const web = small("docker.io/library/web:1");
    for (const { containerd } of to.nodes)
      containerd.afterwards = (call) => {
        if (isWrite(call)) containerd.forget(web.content.layers[0]?.digest ?? "");
        if (isLook(call)) time.advance(6_000);
      };
    const { outcome } = await load(to, [web]);
    await expect(outcome).rejects.toThrow(
      `- shop-control-plane: it was told of everything, and has no blob ${web.content.layers[0]?.digest}`,
    );
  });

  it("is not said to have an image that Kubernetes does not see", async () => {
    const to = await machine(["shop-control-plane"]);
    const time = clock();
    const web = small("docker.io/library/web:1");
    for (const { containerd } of to.nodes) {
      containerd.unseen.add("docker.io/library/web:1");
      containerd.afterwards = (call) => {
        if (isLook(call)) time.advance(6_000);
      };
    }
    const { outcome } = await load(to, [web]);
    await expect(outcome).rejects.toThrow(
      `- shop-control-plane: it was told of everything, and has no docker.io/library/web:1 with the ID ${web.id}`,
    );
  });

  it("is given a moment until Kubernetes sees what containerd has", async () => {
    const to = await machine(["shop-control-plane"]);
    const web = small("docker.io/library/web:1");
    for (const { containerd } of to.nodes) {
      containerd.unseen.add("docker.io/library/web:1");
      let looks = 0;
      containerd.afterwards = (call) => {
        if (isLook(call) && ++looks === 4) containerd.unseen.clear();
      };
    }
    const { outcome, log } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded" }]);
    expect(log.lines).toEqual([]);
  });
});
