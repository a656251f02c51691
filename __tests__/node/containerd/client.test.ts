import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Containerd } from "../../../src/node/containerd/client.ts";
import { unpackImages } from "../../../src/node/unpack.ts";
import { digestOf } from "../../archive/archives.ts";
import { machine } from "../../fixtures/machine.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import { imageIn, layerOf } from "../../images/load/source-images.ts";

const soon = 5_000;
const created = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** A conversation with the containerd of a node. */
async function openNode({ started = true, deadline = soon } = {}) {
  const { daemon, nodes, running, idle } = await machine(["shop-worker"], { started });
  const [node] = nodes;
  if (node === undefined) throw new Error("there is a node");
  const containerd = await Containerd.connect(daemon.engine, { id: node.id, created }, deadline);
  return { containerd, node, simulated: node.containerd, daemon, running, idle };
}

const image = (name: string, ...layers: string[]) =>
  imageIn(
    temporaryFolder(),
    [name],
    layers.map((layer) => layerOf(layer, 3_000)),
  );

const blobOf = (content: Buffer) => ({ digest: digestOf(content), size: content.length });

/** A blob whose bytes are in a content store that containerd was not told of, as a link puts them there. */
async function unknownBlob(folder: string, content: Buffer) {
  const blob = blobOf(content);
  await writeFile(join(folder, blob.digest.replace("sha256:", "")), content);
  return blob;
}

async function* pieces(content: Buffer, length = content.length) {
  for (let at = 0; at < content.length; at += length) yield content.subarray(at, at + length);
}

describe("what a node has", () => {
  it("is its images by their names, and the digests of all content", async () => {
    const { containerd, simulated } = await openNode();
    const web = image("web", "a", "b");
    simulated.store(web.stored, "docker.io/library/web:1", "docker.io/library/web:2");
    const byDigest = `docker.io/library/web@${web.content.target.digest}`;
    simulated.names.set(byDigest, web.content.target.digest);
    const has = await containerd.inventory(soon);
    expect(has.idByName).toEqual(
      new Map([
        ["docker.io/library/web:1", web.id],
        ["docker.io/library/web:2", web.id],
        [byDigest, web.id],
      ]),
    );
    expect(has.imageIds).toEqual(new Set([web.id]));
    expect(has.blobDigests).toEqual(new Set(web.stored.blobs.keys()));
  });

  it("is only what containerd knows of, whatever files there are", async () => {
    const { containerd, simulated } = await openNode();
    const unknown = await unknownBlob(simulated.folder, layerOf("b", 3_000));
    expect((await containerd.inventory(soon)).blobDigests).toEqual(new Set());
    expect(await containerd.hasBlob(unknown)).toBe(false);
  });

  it("tells what the node image brought, the cluster's own, from what came since", async () => {
    const { containerd, simulated } = await openNode();
    const [own, loaded] = [image("own", "a"), image("web", "b")];
    simulated.bringWithNode(own.stored, "registry.k8s.io/kube-apiserver:v1.34.11");
    simulated.store(loaded.stored, "docker.io/library/web:1");
    const has = await containerd.inventory(soon);
    expect(has.preloadedIds).toEqual(new Set([own.id]));
    expect(has.imageIds).toEqual(new Set([own.id, loaded.id]));
  });

  it("is seen anew each time it is asked for", async () => {
    const { containerd, simulated } = await openNode();
    expect((await containerd.inventory(soon)).imageIds).toEqual(new Set());
    const web = image("web", "a");
    simulated.store(web.stored, "docker.io/library/web:1");
    expect((await containerd.inventory(soon)).imageIds).toEqual(new Set([web.id]));
  });

  it("can be asked before its containerd listens: the answer comes when it does", async () => {
    const { containerd, node } = await openNode({ started: false });
    const asked = containerd.inventory(soon);
    asked.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(node.containerd.calls).toEqual([]);
    await node.start();
    expect((await asked).imageIds).toEqual(new Set());
  });

  it("is not waited for longer than a containerd may take to come up", async () => {
    const { containerd, idle } = await openNode({ started: false, deadline: 1_000 });
    await expect(containerd.inventory(soon)).rejects.toThrow(
      /^containerd: ImageService\/ListImages failed: .*nobody listens on \S+\.sock: No such file or directory$/,
    );
    await idle();
  });

  it("is not waited for longer than an answer may take", async () => {
    const { containerd, simulated } = await openNode();
    simulated.fail = () => new Promise(() => {});
    await expect(containerd.inventory(50)).rejects.toThrow(
      /^containerd: \S+ failed: no answer within 0\.05 s$/,
    );
  });

  it("cannot be told when containerd refuses to, and its reason is", async () => {
    const { containerd, simulated } = await openNode();
    simulated.fail = (call) =>
      call === "ImageService/ListImages" ? "server is not initialized yet" : undefined;
    await expect(containerd.inventory(soon)).rejects.toThrow(
      "containerd: ImageService/ListImages failed: server is not initialized yet",
    );
    simulated.fail = () => undefined;
    expect((await containerd.inventory(soon)).imageIds).toEqual(new Set());
  });
});

describe("a blob that is written", () => {
  it("is there, however it is cut to pieces", async () => {
    const { containerd, simulated } = await openNode();
    const [whole, cut, empty] = [layerOf("a", 5_000), layerOf("b", 5_000), Buffer.alloc(0)];
    await containerd.withLease(async (store) => {
      await store.write(blobOf(whole), pieces(whole));
      await store.write(blobOf(cut), pieces(cut, 999));
      await store.write(blobOf(empty), pieces(empty));
    });
    expect(simulated.known).toEqual(new Set([whole, cut, empty].map(digestOf)));
    expect(simulated.wrongBlobs()).toEqual([]);
    for (const content of [whole, cut, empty]) expect(await containerd.hasBlob(blobOf(content))).toBe(true);
  });

  it("is left as it was when it is there", async () => {
    const { containerd, simulated } = await openNode();
    const content = layerOf("a", 5_000);
    const write = () => containerd.withLease((store) => store.write(blobOf(content), pieces(content)));
    await write();
    await write();
    expect(simulated.known).toEqual(new Set([digestOf(content)]));
  });

  it("is not there when its bytes are not what its digest says", async () => {
    const { containerd, simulated } = await openNode();
    const [content, other] = [layerOf("a", 5_000), layerOf("b", 5_000)];
    await expect(
      containerd.withLease((store) => store.write(blobOf(content), pieces(other, 2_000))),
    ).rejects.toThrow(`containerd: Content/Write failed: unexpected commit digest ${digestOf(other)}`);
    expect(simulated.known).toEqual(new Set());
    expect(simulated.leases).toBe(0);
  });

  it("is given up when its bytes cannot be read, with that reason", async () => {
    const { containerd, simulated } = await openNode();
    const content = layerOf("a", 5_000);
    // biome-ignore lint/correctness/useYield: It fails before its first piece.
    async function* unreadable(): AsyncGenerator<Uint8Array> {
      throw new Error("EIO: i/o error, read");
    }
    await expect(containerd.withLease((store) => store.write(blobOf(content), unreadable()))).rejects.toThrow(
      "EIO: i/o error, read",
    );
    expect(simulated.known).toEqual(new Set());
    expect(simulated.leases).toBe(0);
  });

  it("fails with the words of containerd", async () => {
    const { containerd, simulated } = await openNode();
    simulated.fail = (call) => (call.startsWith("Content/Write") ? "no space left on device" : undefined);
    const content = layerOf("a", 5_000);
    await expect(
      containerd.withLease((store) => store.write(blobOf(content), pieces(content))),
    ).rejects.toThrow("containerd: Content/Write failed: no space left on device");
  });
});

describe("a blob whose file is in the store", () => {
  it("is adopted, and nothing of it is sent", async () => {
    const { containerd, simulated } = await openNode();
    const blob = await unknownBlob(simulated.folder, layerOf("a", 5_000));
    await containerd.withLease((store) => store.commitExisting(blob));
    expect(simulated.known).toEqual(new Set([blob.digest]));
    await containerd.withLease((store) => store.commitExisting(blob));
    expect(simulated.calls).toContain(`Content/Write ${blob.digest} of a file`);
  });

  it("is kept for good, though nothing refers to it", async () => {
    const { containerd, simulated } = await openNode();
    const blob = await unknownBlob(simulated.folder, layerOf("a", 5_000));
    await containerd.pinBlob(blob);
    await containerd.pinBlob(blob);
    simulated.collectGarbage();
    expect(simulated.known).toEqual(new Set([blob.digest]));
    expect(simulated.calls).toContain(`Content/Write ${blob.digest} of a file`);
  });

  it("is not adopted when it is shorter than it should be, or not there", async () => {
    const { containerd, simulated } = await openNode();
    const blob = await unknownBlob(simulated.folder, layerOf("a", 5_000));
    await expect(
      containerd.withLease((store) => store.commitExisting({ ...blob, size: 6_000 })),
    ).rejects.toThrow("containerd: Content/Write failed: write @6000 must occur at current offset 0");
    const other = { ...blob, digest: `sha256:${"f".repeat(64)}` };
    await expect(containerd.withLease((store) => store.commitExisting(other))).rejects.toThrow(
      "containerd: Content/Write failed: write @5000 must occur at current offset 0",
    );
    expect(simulated.known).toEqual(new Set());
  });
});

describe("the garbage collector", () => {
  it("takes nothing that is being brought", async () => {
    const { containerd, simulated } = await openNode();
    const content = layerOf("a", 5_000);
    await containerd.withLease(async (store) => {
      await store.write(blobOf(content), pieces(content));
      simulated.collectGarbage();
      expect(await containerd.hasBlob(blobOf(content))).toBe(true);
    });
    simulated.collectGarbage();
    expect(await containerd.hasBlob(blobOf(content))).toBe(false);
  });

  it.each(["is new", "was there"])("takes nothing that something named refers to, which %s", async (when) => {
    const { containerd, simulated } = await openNode();
    const [parent, child] = [layerOf("parent", 500), layerOf("child", 500)];
    if (when === "was there") simulated.store({ target: "", blobs: new Map([[digestOf(parent), parent]]) });
    await containerd.withLease(async (store) => {
      await store.write(blobOf(child), pieces(child));
      await store.write(blobOf(parent), pieces(parent), [digestOf(child)]);
      await containerd.name("docker.io/library/web:1", { mediaType: "", ...blobOf(parent) });
    });
    simulated.collectGarbage();
    expect(simulated.known).toEqual(new Set([parent, child].map(digestOf)));
  });
});

describe("a name", () => {
  it("can be given to an image that is there, found by its ID", async () => {
    const { containerd, simulated } = await openNode();
    const web = image("web", "a");
    simulated.store(web.stored, "docker.io/library/web:1");
    await containerd.name("docker.io/library/web:2", await containerd.getTarget(web.id));
    expect(simulated.idOf("docker.io/library/web:2")).toBe(web.id);
  });

  it("can be taken from another image", async () => {
    const { containerd, simulated } = await openNode();
    const [old, new_] = [image("old", "a"), image("new", "b")];
    simulated.store(old.stored, "docker.io/library/web:1");
    simulated.store(new_.stored, "docker.io/library/web:2");
    await containerd.name("docker.io/library/web:1", await containerd.getTarget(new_.id));
    expect(simulated.idOf("docker.io/library/web:1")).toBe(new_.id);
  });

  it("cannot be given to an image that is not there", async () => {
    const { containerd } = await openNode();
    await expect(containerd.getTarget("sha256:aa")).rejects.toThrow(
      'containerd: Images/Get failed: image "sha256:aa": not found',
    );
  });
});

describe("unpacking", () => {
  it("goes on in the node by itself, for the snapshotter that the node's pods use", async () => {
    const { daemon, node, simulated, idle, containerd } = await openNode();
    containerd.close();
    const started = Promise.withResolvers<void>();
    const going = Promise.withResolvers<undefined>();
    simulated.fail = () => {
      started.resolve();
      return going.promise;
    };
    await unpackImages(daemon.engine, node.id, ["sha256:aa", "sha256:bb"]);
    await started.promise;
    going.resolve(undefined);
    const snapshotter = "fuse-overlayfs";
    await expect
      .poll(() => simulated.unpacked, { timeout: 4_000 })
      .toEqual([
        { target: "sha256:aa", snapshotter },
        { target: "sha256:bb", snapshotter },
      ]);
    await idle();
  });
});

describe("what runs in the node", () => {
  it("ends with the conversation", async () => {
    const { containerd, running, idle } = await openNode();
    await containerd.inventory(soon);
    expect(running()).toBe(1);
    containerd.close();
    await idle();
  });

  it("ends with the node, and nothing more is waited for", async () => {
    const { containerd, daemon, node, simulated } = await openNode();
    simulated.fail = () => {
      daemon.kill(node.id);
      return new Promise(() => {});
    };
    await expect(containerd.inventory(soon)).rejects.toThrow(/^containerd: \S+ failed: /);
    await expect(containerd.getTarget("sha256:aa")).rejects.toThrow(/^containerd: Images\/Get failed: /);
  });

  it("is one program, however much is asked of it", async () => {
    const { containerd, daemon } = await openNode();
    const content = layerOf("a", 5_000);
    await containerd.inventory(soon);
    await containerd.withLease((store) => store.write(blobOf(content), pieces(content)));
    expect(daemon.changes.filter((call) => call.endsWith("/exec"))).toHaveLength(1);
  });
});
