import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { InvalidArchiveError } from "../../../src/archive/errors.ts";
import {
  type LoadOptions,
  loadIntoNodes,
  type TargetNode,
} from "../../../src/images/load/load-into-nodes.ts";
import type { SourceImage } from "../../../src/images/load/plan-node.ts";
import { NodeSession } from "../../../src/node/session.ts";
import { noise } from "../../archive/tar-files.ts";
import { type Machine, machine, type SimulatedNode } from "../../fixtures/machine.ts";
import { recordingLog } from "../../fixtures/recording.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import { imageIn, large, layerOf } from "./source-images.ts";

const timeoutMs = 5_000;
const labels = { "kind-action.run": "12-1-abc" };
const threeNodes = ["shop-control-plane", "shop-worker", "shop-worker2"];

async function target({ daemon }: Machine, { id, name }: SimulatedNode): Promise<TargetNode> {
  const container = await daemon.engine.containers.inspect(id);
  if (container === undefined) throw new Error(`${name} is gone`);
  const session = new NodeSession(daemon.engine, { name, container });
  const inventory = session.inventory(timeoutMs);
  inventory.catch(() => {});
  return { session, inventory };
}

/** Loads images into all nodes of a machine, and closes the sessions with them afterwards. */
async function load(to: Machine, images: readonly SourceImage[], options: Partial<LoadOptions> = {}) {
  const log = recordingLog();
  const nodes = await Promise.all(to.nodes.map((node) => target(to, node)));
  const outcome = loadIntoNodes(images, nodes, {
    engine: to.daemon.engine,
    labels,
    log,
    ...options,
  }).finally(() => {
    for (const { session } of nodes) session.close();
  });
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

/** Expects that a node has all blobs of an image, under its names, and no blob whose bytes do not have its digest. */
function expectWhole({ containerd }: SimulatedNode, { names, id, stored }: ReturnType<typeof image>) {
  for (const name of names) expect(containerd.idOf(name)).toBe(id);
  for (const digest of stored.blobs.keys()) expect(containerd.known).toContain(digest);
  expect(containerd.wrongBlobs()).toEqual([]);
}

/** The calls that changed a node. */
const changes = ({ containerd }: SimulatedNode) =>
  containerd.calls.filter((call) => /Write|Update|Create/.test(call));

const isWrite = (call: string) => call.startsWith("Content/Write");
const isCommit = (call: string) => call.endsWith(" of a file");
const isListing = (call: string) => call === "ImageService/ListImages";

/** A clock that a test can advance. */
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
describe("loadIntoNodes of an image that no node has", { timeout: 30_000 }, () => {
  it("writes large blobs once and hard-links them into all nodes, and uploads small ones", async () => {
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
    // The helper container is gone, with its volume, and so is every program in the nodes.
    expect([...to.daemon.containers.values()].map(({ name }) => name)).toEqual(threeNodes);
    expect(readdirSync(to.volumes).toSorted()).toEqual(threeNodes.map((name) => `var-of-${name}`));
    await to.idle();
  });

  it("uploads a small image, without a helper container", async () => {
    const to = await machine(threeNodes);
    const web = small("docker.io/library/web:1");
    const { outcome } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded", bytes: 3_000 }]);
    for (const node of to.nodes) expectWhole(node, web);
    expect(to.daemon.changes.filter((call) => call.startsWith("POST /containers/create"))).toEqual([]);
  });

  it("uploads large blobs when the daemon sees other files, with a line in the log", async () => {
    const to = await machine(["shop-control-plane"]);
    const web = image("docker.io/library/web:1", layerOf("base", large));
    const other = image("docker.io/library/web:1", layerOf("other", large));
    to.elsewhere.set(web.content.file, other.content.file);
    const { outcome, log } = await load(to, [web]);
    await outcome;
    for (const node of to.nodes) expectWhole(node, web);
    expect(log.lines).toEqual([
      `Could not hard-link blobs; uploading them to each node: the Docker daemon sees another file at ${web.content.file}`,
    ]);
  });

  it("succeeds when the helper container cannot be removed, with a line in the log", async () => {
    const to = await machine(["shop-control-plane"]);
    const web = image("docker.io/library/web:1", layerOf("base", large));
    const refuse = { status: 500, message: "device or resource busy" };
    // The helper container is no longer needed before the node is done.
    for (const { containerd } of to.nodes) {
      containerd.fail = (call) => (isListing(call) ? sleep(50, undefined) : undefined);
      containerd.afterwards = (call) => {
        if (call.startsWith("Images/Create")) to.daemon.refuse = () => refuse;
      };
    }
    const { outcome, log } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded" }]);
    for (const node of to.nodes) expectWhole(node, web);
    expect(log.lines).toEqual([
      expect.stringMatching(/^Could not remove the hard-link helper container: .*device or resource busy/),
    ]);
  });

  it("uploads large blobs in the last attempt when linked blobs cannot be committed", async () => {
    const to = await machine(["shop-control-plane"]);
    const web = image("docker.io/library/web:1", layerOf("base", large));
    for (const { containerd } of to.nodes)
      containerd.fail = (call) =>
        isCommit(call) ? "failed to open writer: operation not supported" : undefined;
    const { outcome, log } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded" }]);
    for (const node of to.nodes) expectWhole(node, web);
    const reason = "containerd: Content/Write failed: failed to open writer: operation not supported";
    expect(log.lines).toEqual([
      `shop-control-plane: attempt 1 of 3 failed: ${reason}`,
      `shop-control-plane: attempt 2 of 3 failed: ${reason}`,
    ]);
  });
});

describe("loadIntoNodes of an image that nodes have", () => {
  it("imports only the blobs that a node lacks", async () => {
    const to = await machine(threeNodes);
    const base = noise("base", 5_000);
    const old = image("docker.io/library/web:1", base, noise("old", 2_000));
    const changed = image("docker.io/library/web:1", base, noise("new", 2_000));
    for (const { containerd } of to.nodes) containerd.store(old.stored, "docker.io/library/web:1");
    const { outcome } = await load(to, [changed]);
    expect(await outcome).toMatchObject([{ outcome: "loaded", bytes: 2_000 }]);
    for (const node of to.nodes) expectWhole(node, changed);
  });

  it("imports into the node that lacks it, and changes no other", async () => {
    const to = await machine(threeNodes);
    const web = small("docker.io/library/web:1");
    for (const name of ["shop-control-plane", "shop-worker2"])
      nodeOf(to, name).containerd.store(web.stored, "docker.io/library/web:1");
    const { outcome } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded", bytes: 3_000, nodes: threeNodes }]);
    expect(to.nodes.map((node) => changes(node).length > 0)).toEqual([false, true, false]);
    for (const node of to.nodes) expectWhole(node, web);
  });

  it("changes nothing if all nodes have it under its name", async () => {
    const to = await machine(threeNodes);
    const web = small("docker.io/library/web:1");
    for (const { containerd } of to.nodes) containerd.store(web.stored, "docker.io/library/web:1");
    const { outcome } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "already there", bytes: 0, nodes: threeNodes }]);
    for (const node of to.nodes) expect(changes(node)).toEqual([]);
  });

  it("adds a name without content, and takes it from another image", async () => {
    const to = await machine(threeNodes);
    const web = small("docker.io/library/web:1");
    for (const { containerd } of to.nodes) {
      containerd.store(web.stored, "docker.io/library/web:dev");
      containerd.store(small("docker.io/library/old:1").stored, "docker.io/library/web:1");
    }
    // An image of the daemon that every node has is not exported.
    const { outcome } = await load(to, [{ ...web, content: undefined }]);
    expect(await outcome).toMatchObject([{ outcome: "re-tagged", bytes: 0, nodes: threeNodes }]);
    for (const node of to.nodes) expectWhole(node, web);
  });

  it("reports an outcome for each image, and counts shared layers for the first", async () => {
    const to = await machine(["shop-control-plane"]);
    const [base, own] = [noise("base", 5_000), noise("own", 1_000)];
    const [web, api] = [image("docker.io/library/web:1", base), image("docker.io/library/api:1", base, own)];
    const [present, named] = [small("docker.io/library/present:1"), small("docker.io/library/named:1")];
    for (const { containerd } of to.nodes) {
      containerd.store(present.stored, ...present.names);
      containerd.store(named.stored, "docker.io/library/other:1");
    }
    const { outcome } = await load(to, [web, api, present, named]);
    expect((await outcome).map(({ outcome: result, bytes }) => [result, bytes])).toEqual([
      ["loaded", 5_000],
      ["loaded", 1_000],
      ["already there", 0],
      ["re-tagged", 0],
    ]);
    for (const each of [web, api, present, named]) for (const node of to.nodes) expectWhole(node, each);
  });
});

describe("loadIntoNodes with hard links", { timeout: 30_000 }, () => {
  const web = () => image("docker.io/library/web:1", layerOf("base", large), noise("app", 2_000));

  it("protects linked blobs from the garbage collector at any time", async () => {
    const to = await machine(["shop-control-plane"]);
    const { containerd } = nodeOf(to, "shop-control-plane");
    const loaded = web();
    containerd.afterwards = () => containerd.collectGarbage();
    const { outcome, log } = await load(to, [loaded]);
    await outcome;
    containerd.collectGarbage();
    expectWhole(nodeOf(to, "shop-control-plane"), loaded);
    expect(log.lines).toEqual([]);
    expect(containerd.leases).toBe(0);
  });

  it.each([
    { when: "the garbage collector removed it before it was committed", failures: 2, attempts: 0 },
    { when: "the import is repeated", failures: 3, attempts: 1 },
  ])("links a blob again when $when", async ({ failures, attempts }) => {
    const to = await machine(threeNodes);
    const loaded = web();
    const base = loaded.content.layers[0]?.digest ?? "";
    const { containerd } = nodeOf(to, "shop-worker");
    let left = failures;
    containerd.fail = (call) => {
      if (isCommit(call) && left-- > 0) containerd.forget(base);
      return undefined;
    };
    const { outcome, log } = await load(to, [loaded]);
    await outcome;
    for (const node of to.nodes) {
      expectWhole(node, loaded);
      expect(node.containerd.linksTo(base)).toBe(3);
    }
    expect(log.lines).toEqual(
      Array.from(
        { length: attempts },
        () =>
          `shop-worker: attempt 1 of 3 failed: containerd: Content/Write failed: write @${large} must occur at current offset 0`,
      ),
    );
  });

  it("adds no name to an image whose blobs could not be written", async () => {
    const to = await machine(["shop-control-plane"]);
    const { containerd } = nodeOf(to, "shop-control-plane");
    containerd.fail = (call) =>
      isWrite(call) && containerd.known.size > 0 ? "no space left on device" : undefined;
    const { outcome } = await load(to, [web()]);
    await expect(outcome).rejects.toThrow("no space left on device");
    expect([...containerd.names.keys()]).toEqual([]);
  });
});

describe("loadIntoNodes with a node that unpacks", { timeout: 30_000 }, () => {
  it.each([
    { way: "linked", bytes: large },
    { way: "uploaded", bytes: 3_000 },
  ])("starts to unpack images that were $way, in that node alone", async ({ bytes }) => {
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

  it("unpacks nothing if the node has all images", async () => {
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

describe("loadIntoNodes with an invalid archive", () => {
  it.each([
    { way: "linked", bytes: large },
    { way: "uploaded", bytes: 3_000 },
  ])("rejects before a node is changed, for a damaged layer that would be $way", async ({ bytes }) => {
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
        `docker.io/library/web:1\\.tar.*: layer ${first?.digest} is damaged: its content has the digest sha256:[0-9a-f]{64}\\. `,
      ),
    );
    for (const node of to.nodes) {
      expect(changes(node)).toEqual([]);
      expect(readdirSync(node.containerd.folder)).toEqual([]);
    }
    // There is no second attempt, and nothing remains of the first.
    expect(log.lines).toEqual([]);
    expect([...to.daemon.containers.values()].map(({ name }) => name)).toEqual(threeNodes);
    await to.idle();
  });

  it("rejects though other archives are valid", async () => {
    const to = await machine(["shop-control-plane"]);
    const [right, wrong] = [small("docker.io/library/right:1"), small("docker.io/library/wrong:1")];
    const layers = wrong.content.layers.map((each) => ({ ...each, offset: each.offset ?? 0 }));
    await writeFile(wrong.content.file, Buffer.alloc(5_000, "damage"));
    const { outcome } = await load(to, [right, { ...wrong, content: { ...wrong.content, layers } }]);
    await expect(outcome).rejects.toThrow(/docker.io\/library\/wrong:1\.tar\b.* is damaged: /);
    for (const node of to.nodes) expect(node.containerd.names.size).toBe(0);
  });

  it("rejects before a node is changed when an image would replace one of the node image", async () => {
    const to = await machine(threeNodes);
    const own = small("own");
    const name = "registry.k8s.io/kube-apiserver:v1.34.11";
    for (const { containerd } of to.nodes) containerd.bringWithNode(own.stored, name);
    const { outcome } = await load(to, [
      small("docker.io/library/web:1"),
      { ...small("other"), names: [name] },
    ]);
    await expect(outcome).rejects.toThrow(
      `other.tar: it would replace ${name}, which is part of the node image and which the cluster itself runs.`,
    );
    for (const node of to.nodes) {
      expect(changes(node)).toEqual([]);
      expect(node.containerd.idOf(name)).toBe(own.id);
    }
  });
});

describe("loadIntoNodes with a node that fails", { timeout: 30_000 }, () => {
  it("rejects with the node and the reason, and the nodes that have the images", async () => {
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
      "Could not load images into shop-worker.",
      expect.stringMatching(/^- shop-worker: .*container [0-9a-f]{64} is not running/),
      "Loaded into shop-control-plane, shop-worker2.",
    ]);
    for (const name of ["shop-control-plane", "shop-worker2"]) expectWhole(nodeOf(to, name), web);
  });

  it("rejects with all nodes that fail, each with its own reason", async () => {
    const to = await machine(threeNodes);
    for (const [name, reason] of [
      ["shop-control-plane", "no space left on device"],
      ["shop-worker2", "permission denied"],
    ] as const)
      nodeOf(to, name).containerd.fail = (call) => (isWrite(call) ? reason : undefined);
    const { outcome } = await load(to, [small("docker.io/library/web:1")]);
    const message = await outcome.then(String, (error: Error) => error.message);
    expect(message.split("\n")).toEqual([
      "Could not load images into shop-control-plane, shop-worker2.",
      expect.stringMatching(/^- shop-control-plane: .*Content\/Write failed: no space left on device$/),
      expect.stringMatching(/^- shop-worker2: .*Content\/Write failed: permission denied$/),
      "Loaded into shop-worker.",
    ]);
  });

  it("rejects with the reason when all nodes fail", async () => {
    const to = await machine(["shop-control-plane"]);
    for (const { containerd } of to.nodes)
      containerd.fail = (call) => (isWrite(call) ? "no space left on device" : undefined);
    const { outcome } = await load(to, [small("docker.io/library/web:1")]);
    const message = await outcome.then(String, (error: Error) => error.message);
    expect(message).toMatch(
      /^Could not load images into shop-control-plane\.\n- .*: no space left on device$/,
    );
  });

  it("retries when the failure is temporary, as when containerd restarts", async () => {
    const to = await machine(threeNodes);
    const web = small("docker.io/library/web:1");
    const worker = nodeOf(to, "shop-worker").containerd;
    let failures = 2;
    worker.fail = (call) => (isWrite(call) && failures-- > 0 ? "transport is closing" : undefined);
    const { outcome, log } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded", nodes: threeNodes }]);
    for (const node of to.nodes) expectWhole(node, web);
    expect(log.lines).toEqual([
      "shop-worker: attempt 1 of 3 failed: containerd: Content/Write failed: transport is closing",
      "shop-worker: attempt 2 of 3 failed: containerd: Content/Write failed: transport is closing",
    ]);
    await to.idle();
  });

  it("imports a blob again that the garbage collector removed", async () => {
    const to = await machine(["shop-control-plane"]);
    const time = clock();
    const web = image("docker.io/library/web:1", noise("base", 3_000), noise("app", 2_000));
    const [base] = web.content.layers;
    for (const { containerd } of to.nodes) {
      let writes = 0;
      containerd.afterwards = (call) => {
        if (call.startsWith(`Content/Write ${base?.digest}`) && ++writes === 1)
          containerd.forget(base?.digest ?? "");
        if (isListing(call)) time.advance(6_000);
      };
    }
    const { outcome } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded" }]);
    for (const node of to.nodes) expectWhole(node, web);
  });

  it("imports blobs whose files exist but that containerd does not know, as after a crash", async () => {
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

  it("rejects when the node lacks a blob after the import", async () => {
    const to = await machine(["shop-control-plane"]);
    const time = clock();
    const web = small("docker.io/library/web:1");
    for (const { containerd } of to.nodes)
      containerd.afterwards = (call) => {
        if (isWrite(call)) containerd.forget(web.content.layers[0]?.digest ?? "");
        if (isListing(call)) time.advance(6_000);
      };
    const { outcome } = await load(to, [web]);
    await expect(outcome).rejects.toThrow(
      `- shop-control-plane: the import succeeded, but blob ${web.content.layers[0]?.digest} is missing from its content store`,
    );
  });

  it("rejects when Kubernetes does not list the image after the import", async () => {
    const to = await machine(["shop-control-plane"]);
    const time = clock();
    const web = small("docker.io/library/web:1");
    for (const { containerd } of to.nodes) {
      containerd.unseen.add("docker.io/library/web:1");
      containerd.afterwards = (call) => {
        if (isListing(call)) time.advance(6_000);
      };
    }
    const { outcome } = await load(to, [web]);
    await expect(outcome).rejects.toThrow(
      `- shop-control-plane: the import succeeded, but Kubernetes does not list docker.io/library/web:1 with the ID ${web.id}`,
    );
  });

  it("waits until Kubernetes lists the image", async () => {
    const to = await machine(["shop-control-plane"]);
    const web = small("docker.io/library/web:1");
    for (const { containerd } of to.nodes) {
      containerd.unseen.add("docker.io/library/web:1");
      let listings = 0;
      containerd.afterwards = (call) => {
        if (isListing(call) && ++listings === 4) containerd.unseen.clear();
      };
    }
    const { outcome, log } = await load(to, [web]);
    expect(await outcome).toMatchObject([{ outcome: "loaded" }]);
    expect(log.lines).toEqual([]);
  });
});
