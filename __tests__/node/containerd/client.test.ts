import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Containerd } from "../../../src/node/containerd/client.ts";
import { digestOf } from "../../archive/archives.ts";
import { machine } from "../../fixtures/machine.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import { imageIn, layerOf } from "../../images/load/source-images.ts";

const soon = 5_000;
const created = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** A client of the containerd of a node. */
async function openNode({ started = true, timeoutMs = soon } = {}) {
  const { daemon, nodes, running, idle } = await machine(["shop-worker"], { started });
  const [node] = nodes;
  if (node === undefined) throw new Error("there is a node");
  const containerd = await Containerd.connect(daemon.engine, { id: node.id, created }, timeoutMs);
  return { containerd, node, simulated: node.containerd, daemon, running, idle };
}

const image = (name: string, ...layers: string[]) =>
  imageIn(
    temporaryFolder(),
    [name],
    layers.map((layer) => layerOf(layer, 3_000)),
  );

const blobOf = (content: Buffer) => ({ digest: digestOf(content), size: content.length });

/** A blob whose file is in the content store and that containerd does not know, like a hard link. */
async function unknownBlob(folder: string, content: Buffer) {
  const blob = blobOf(content);
  await writeFile(join(folder, blob.digest.replace("sha256:", "")), content);
  return blob;
}

async function* pieces(content: Buffer, length = content.length) {
  for (let at = 0; at < content.length; at += length) yield content.subarray(at, at + length);
}

describe("Containerd.inventory", () => {
  it("returns the IDs of images by name, and the digests of all blobs", async () => {
    const { containerd, simulated } = await openNode();
    const web = image("web", "a", "b");
    simulated.store(web.stored, "docker.io/library/web:1", "docker.io/library/web:2");
    const byDigest = `docker.io/library/web@${web.content.target.digest}`;
    simulated.names.set(byDigest, web.content.target.digest);
    const inventory = await containerd.inventory(soon);
    expect(inventory.idByName).toEqual(
      new Map([
        ["docker.io/library/web:1", web.id],
        ["docker.io/library/web:2", web.id],
        [byDigest, web.id],
      ]),
    );
    expect(inventory.imageIds).toEqual(new Set([web.id]));
    expect(inventory.blobDigests).toEqual(new Set(web.stored.blobs.keys()));
  });

  it("omits files that containerd does not know", async () => {
    const { containerd, simulated } = await openNode();
    const unknown = await unknownBlob(simulated.folder, layerOf("b", 3_000));
    expect((await containerd.inventory(soon)).blobDigests).toEqual(new Set());
    expect(await containerd.hasBlob(unknown)).toBe(false);
  });

  it("tells images of the node image from those that were loaded since", async () => {
    const { containerd, simulated } = await openNode();
    const [own, loaded] = [image("own", "a"), image("web", "b")];
    simulated.bringWithNode(own.stored, "registry.k8s.io/kube-apiserver:v1.34.11");
    simulated.store(loaded.stored, "docker.io/library/web:1");
    const inventory = await containerd.inventory(soon);
    expect(inventory.preloadedIds).toEqual(new Set([own.id]));
    expect(inventory.imageIds).toEqual(new Set([own.id, loaded.id]));
  });

  it("returns the current images each time", async () => {
    const { containerd, simulated } = await openNode();
    expect((await containerd.inventory(soon)).imageIds).toEqual(new Set());
    const web = image("web", "a");
    simulated.store(web.stored, "docker.io/library/web:1");
    expect((await containerd.inventory(soon)).imageIds).toEqual(new Set([web.id]));
  });

  it("waits for a containerd that does not listen yet", async () => {
    const { containerd, node } = await openNode({ started: false });
    const inventory = containerd.inventory(soon);
    inventory.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(node.containerd.calls).toEqual([]);
    await node.start();
    expect((await inventory).imageIds).toEqual(new Set());
  });

  it("rejects when containerd does not listen within the timeout of connect", async () => {
    const { containerd, idle } = await openNode({ started: false, timeoutMs: 1_000 });
    await expect(containerd.inventory(soon)).rejects.toThrow(
      /^containerd: ImageService\/ListImages failed: .*could not connect to \S+\.sock: No such file or directory$/,
    );
    await idle();
  });

  it("rejects when containerd does not respond within the timeout", async () => {
    const { containerd, simulated } = await openNode();
    simulated.fail = () => new Promise(() => {});
    await expect(containerd.inventory(100)).rejects.toThrow(
      /^containerd: \S+ failed: no response within 0\.1 s$/,
    );
  });

  it("rejects with the reason when containerd refuses, and works later", async () => {
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

describe("ContentStore.write", () => {
  it("writes a blob in chunks of any size", async () => {
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

  it("accepts a blob that exists", async () => {
    const { containerd, simulated } = await openNode();
    const content = layerOf("a", 5_000);
    const write = () => containerd.withLease((store) => store.write(blobOf(content), pieces(content)));
    await write();
    await write();
    expect(simulated.known).toEqual(new Set([digestOf(content)]));
  });

  it("rejects bytes that do not have the digest", async () => {
    const { containerd, simulated } = await openNode();
    const [content, other] = [layerOf("a", 5_000), layerOf("b", 5_000)];
    await expect(
      containerd.withLease((store) => store.write(blobOf(content), pieces(other, 2_000))),
    ).rejects.toThrow(`containerd: Content/Write failed: unexpected commit digest ${digestOf(other)}`);
    expect(simulated.known).toEqual(new Set());
    expect(simulated.leases).toBe(0);
  });

  it("rejects with the error of the bytes to write", async () => {
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

  it("rejects with the message of containerd", async () => {
    const { containerd, simulated } = await openNode();
    simulated.fail = (call) => (call.startsWith("Content/Write") ? "no space left on device" : undefined);
    const content = layerOf("a", 5_000);
    await expect(
      containerd.withLease((store) => store.write(blobOf(content), pieces(content))),
    ).rejects.toThrow("containerd: Content/Write failed: no space left on device");
  });
});

describe("ContentStore.commitExisting and Containerd.pinBlob", () => {
  it("commit a blob without its bytes", async () => {
    const { containerd, simulated } = await openNode();
    const blob = await unknownBlob(simulated.folder, layerOf("a", 5_000));
    await containerd.withLease((store) => store.commitExisting(blob));
    expect(simulated.known).toEqual(new Set([blob.digest]));
    await containerd.withLease((store) => store.commitExisting(blob));
    expect(simulated.calls).toContain(`Content/Write ${blob.digest} of a file`);
  });

  it("pinBlob protects a blob from garbage collection though nothing refers to it", async () => {
    const { containerd, simulated } = await openNode();
    const blob = await unknownBlob(simulated.folder, layerOf("a", 5_000));
    await containerd.pinBlob(blob);
    await containerd.pinBlob(blob);
    simulated.collectGarbage();
    expect(simulated.known).toEqual(new Set([blob.digest]));
    expect(simulated.calls).toContain(`Content/Write ${blob.digest} of a file`);
  });

  it("commitExisting rejects a file that is too short or missing", async () => {
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

describe("Containerd.withLease", () => {
  it("protects what is written from garbage collection until it ends", async () => {
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

  it.each(["new", "existing"])("keeps blobs that a named blob refers to: a %s one", async (state) => {
    const { containerd, simulated } = await openNode();
    const [parent, child] = [layerOf("parent", 500), layerOf("child", 500)];
    if (state === "existing") simulated.store({ target: "", blobs: new Map([[digestOf(parent), parent]]) });
    await containerd.withLease(async (store) => {
      await store.write(blobOf(child), pieces(child));
      await store.write(blobOf(parent), pieces(parent), [digestOf(child)]);
      await containerd.nameImage("docker.io/library/web:1", { mediaType: "", ...blobOf(parent) });
    });
    simulated.collectGarbage();
    expect(simulated.known).toEqual(new Set([parent, child].map(digestOf)));
  });
});

describe("Containerd.nameImage", () => {
  it("adds a name to an image that getTarget finds by its ID", async () => {
    const { containerd, simulated } = await openNode();
    const web = image("web", "a");
    simulated.store(web.stored, "docker.io/library/web:1");
    await containerd.nameImage("docker.io/library/web:2", await containerd.getTarget(web.id));
    expect(simulated.idOf("docker.io/library/web:2")).toBe(web.id);
  });

  it("takes the name from another image", async () => {
    const { containerd, simulated } = await openNode();
    const [old, new_] = [image("old", "a"), image("new", "b")];
    simulated.store(old.stored, "docker.io/library/web:1");
    simulated.store(new_.stored, "docker.io/library/web:2");
    await containerd.nameImage("docker.io/library/web:1", await containerd.getTarget(new_.id));
    expect(simulated.idOf("docker.io/library/web:1")).toBe(new_.id);
  });

  it("cannot name a missing image: getTarget rejects", async () => {
    const { containerd } = await openNode();
    await expect(containerd.getTarget("sha256:aa")).rejects.toThrow(
      'containerd: Images/Get failed: image "sha256:aa": not found',
    );
  });
});

describe("Containerd", () => {
  it("ends its program in the node on close", async () => {
    const { containerd, running, idle } = await openNode();
    await containerd.inventory(soon);
    expect(running()).toBe(1);
    containerd.close();
    await idle();
  });

  it("rejects all calls when the node ends", async () => {
    const { containerd, daemon, node, simulated } = await openNode();
    simulated.fail = () => {
      daemon.kill(node.id);
      return new Promise(() => {});
    };
    await expect(containerd.inventory(soon)).rejects.toThrow(/^containerd: \S+ failed: /);
    await expect(containerd.getTarget("sha256:aa")).rejects.toThrow(/^containerd: Images\/Get failed: /);
  });

  it("makes all calls through one program in the node", async () => {
    const { containerd, daemon } = await openNode();
    const content = layerOf("a", 5_000);
    await containerd.inventory(soon);
    await containerd.withLease((store) => store.write(blobOf(content), pieces(content)));
    expect(daemon.changes.filter((call) => call.endsWith("/exec"))).toHaveLength(1);
  });
});
