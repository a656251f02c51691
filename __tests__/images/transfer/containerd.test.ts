import { unlinkSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Containerd, importFlags, parseInventory } from "../../../src/images/transfer/containerd.ts";
import { ociLayout } from "../../../src/images/transfer/oci-layout.ts";
import { machine } from "../../fixtures/machine.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import { digestOf } from "../archives.ts";
import { imageIn, layerOf } from "./source-images.ts";

const soon = 5_000;
const created = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** A conversation with the containerd of a node. */
async function openNode({ started = true } = {}) {
  const { daemon, nodes, running, idle } = await machine(["shop-worker"], { started });
  const [node] = nodes;
  if (node === undefined) throw new Error("there is a node");
  const container = { id: node.id, image: "sha256:node", created };
  const containerd = await Containerd.in(daemon.engine, container, new Map());
  return { containerd, node, simulated: node.containerd, daemon, running, idle };
}

const image = (name: string, ...layers: string[]) =>
  imageIn(
    temporaryFolder(),
    [name],
    layers.map((layer) => layerOf(layer, 3_000)),
  );

/** A blob whose bytes are in a content store that containerd was not told of, as a link puts them there. */
async function unknownBlob(folder: string, content: Buffer) {
  const digest = digestOf(content);
  await writeFile(join(folder, digest.replace("sha256:", "")), content);
  return { digest, size: content.length };
}

describe("what a node has", () => {
  it("is its images by their names, and the digests of all content", async () => {
    const { containerd, simulated } = await openNode();
    const web = image("web", "a", "b");
    simulated.store(web.stored, "docker.io/library/web:1", "docker.io/library/web:2");
    const byDigest = `docker.io/library/web@${web.content.target.digest}`;
    simulated.names.set(byDigest, web.content.target.digest);
    const has = await containerd.inventory(soon, true);
    expect(has.names).toEqual(
      new Map([
        ["docker.io/library/web:1", web.id],
        ["docker.io/library/web:2", web.id],
        [byDigest, web.id],
      ]),
    );
    expect(has.ids).toEqual(new Set([web.id]));
    expect(has.content).toEqual(new Set(web.stored.blobs.keys()));
  });

  it("may be all whose bytes are there, which is told sooner", async () => {
    const { containerd, simulated } = await openNode();
    const unknown = await unknownBlob(simulated.folder, layerOf("b", 3_000));
    const { content } = await containerd.inventory(soon, false);
    expect(content).toEqual(new Set([unknown.digest]));
    expect(simulated.calls).not.toContain("ctr content ls --quiet");
  });

  it("is only what containerd knows of, and whose bytes are there", async () => {
    const { containerd, simulated } = await openNode();
    const web = image("web", "a");
    simulated.store(web.stored, "docker.io/library/web:1");
    const [layer] = web.content.layers;
    await rm(join(simulated.folder, layer?.digest.replace("sha256:", "") ?? ""));
    const unknown = await unknownBlob(simulated.folder, layerOf("b", 3_000));
    const { content } = await containerd.inventory(soon, true);
    expect(simulated.known).toContain(layer?.digest);
    expect(content).not.toContain(layer?.digest);
    expect(content).not.toContain(unknown.digest);
    expect(content.size).toBe(web.stored.blobs.size - 1);
  });

  it("tells what the node image brought, the cluster's own, from what came since", async () => {
    const { containerd, simulated } = await openNode();
    const [own, loaded] = [image("own", "a"), image("web", "b")];
    simulated.bringWithNode(own.stored, "registry.k8s.io/kube-apiserver:v1.34.11");
    simulated.store(loaded.stored, "docker.io/library/web:1");
    const has = await containerd.inventory(soon, true);
    expect(has.own).toEqual(new Set([own.id]));
    expect(has.ids).toEqual(new Set([own.id, loaded.id]));
  });

  it("is seen anew each time it is asked for", async () => {
    const { containerd, simulated } = await openNode();
    expect((await containerd.inventory(soon, true)).ids).toEqual(new Set());
    const web = image("web", "a");
    simulated.store(web.stored, "docker.io/library/web:1");
    expect((await containerd.inventory(soon, true)).ids).toEqual(new Set([web.id]));
  });

  it("can be asked before its containerd answers: the answer comes when it does", async () => {
    const { containerd, node } = await openNode({ started: false });
    const asked = containerd.inventory(soon, true);
    asked.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(node.containerd.calls).toEqual([]);
    await node.start();
    expect((await asked).ids).toEqual(new Set());
  });

  it("is not waited for longer than it may take", async () => {
    const { containerd } = await openNode({ started: false });
    await expect(containerd.inventory(50, true)).rejects.toThrow(
      "containerd: inventory failed: no answer within 0.05 s",
    );
  });

  it("cannot be told when a program of the node fails, and its reason is", async () => {
    const { containerd, simulated } = await openNode();
    simulated.fail = (call) => (call.startsWith("crictl") ? "connect: connection refused" : undefined);
    await expect(containerd.inventory(soon, true)).rejects.toThrow(
      "containerd: inventory failed: connect: connection refused",
    );
    simulated.fail = () => undefined;
    expect((await containerd.inventory(soon, true)).ids).toEqual(new Set());
  });
});

describe("what a node says that it has", () => {
  it("may be images without names, and nothing that came with the node", () => {
    const images = [{ id: "sha256:aa", repoTags: null, repoDigests: [], size: "5" }, { id: "sha256:bb" }];
    expect(
      parseInventory(
        `${JSON.stringify({ images })}\n\n---\nsha256:aa\nsha256:cc\n---\nsha256:aa\nsha256:cc`,
        true,
      ),
    ).toMatchObject({
      names: new Map(),
      ids: new Set(["sha256:aa", "sha256:bb"]),
      own: new Set(),
      content: new Set(["sha256:aa", "sha256:cc"]),
    });
  });

  it("is indented by some versions of crictl, and not by others", () => {
    const images = [{ id: "sha256:aa", repoTags: ["docker.io/library/web:1"] }];
    for (const indent of [0, 2]) {
      const said = `${JSON.stringify({ images }, null, indent)}\n\n---\nsha256:aa\n---\nsha256:aa own\n`;
      expect(parseInventory(said, true)).toEqual({
        names: new Map([["docker.io/library/web:1", "sha256:aa"]]),
        ids: new Set(["sha256:aa"]),
        own: new Set(["sha256:aa"]),
        content: new Set(["sha256:aa"]),
      });
    }
  });

  it.each(["", "crictl: command not found", "[]", '{"images":[{"name":"web"}]}'])(
    "is told when it cannot be understood: %j",
    (said) => {
      expect(() => parseInventory(`${said}\n---\n---\n`, true)).toThrow(
        `\`crictl images -o json\` in the node says what this action does not understand: ${said}`,
      );
    },
  );
});

describe("an import", () => {
  it("gives a node an image under its name, and unpacks nothing", async () => {
    const { containerd, simulated } = await openNode();
    const web = image("docker.io/library/web:1", "a", "b");
    const { file, layers } = web.content;
    await containerd.import(
      ociLayout(
        [web],
        layers.map(({ digest, size, offset = 0 }) => ({ digest, size, offset, file })),
      ),
    );
    expect(simulated.idOf("docker.io/library/web:1")).toBe(web.id);
    expect(simulated.known).toEqual(new Set(web.stored.blobs.keys()));
    expect(simulated.wrongBlobs()).toEqual([]);
    expect(simulated.calls.at(-1)).toBe("ctr images import --local --no-unpack -");
  });

  it("needs no more than the documents where the layers are there", async () => {
    const { containerd, simulated } = await openNode();
    const web = image("docker.io/library/web:1", "a", "b");
    for (const [digest, bytes] of web.stored.blobs)
      if (web.content.layers.some((layer) => layer.digest === digest))
        await containerd.ingest(await unknownBlob(simulated.folder, bytes));
    await containerd.import(ociLayout([web], []));
    expect(simulated.idOf("docker.io/library/web:1")).toBe(web.id);
  });

  it("fails with the words of ctr", async () => {
    const { containerd, simulated } = await openNode();
    simulated.fail = (call) =>
      call.endsWith(" -") ? "ctr: rpc error: code = Unavailable desc = transport is closing" : undefined;
    await expect(containerd.import(ociLayout([image("docker.io/library/web:1", "a")], []))).rejects.toThrow(
      "containerd: import failed: ctr: rpc error: code = Unavailable desc = transport is closing",
    );
  });

  it("asks ctr once for the flags that it has", async () => {
    const { containerd, simulated } = await openNode();
    simulated.help = "   --no-unpack   skip unpacking the images\n";
    await containerd.import(ociLayout([image("docker.io/library/web:1", "a")], []));
    await containerd.import(ociLayout([image("docker.io/library/web:2", "b")], []));
    expect(simulated.calls).toEqual([
      "ctr images import --help",
      "ctr images import --no-unpack -",
      "ctr images import --no-unpack -",
    ]);
  });

  it("that fails leaves nothing of what it read to be taken for a command", async () => {
    const { containerd, simulated } = await openNode();
    simulated.fail = (call) => (call.endsWith(" -") ? "ctr: no space left on device" : undefined);
    const command = "tag docker.io/library/evil:1 registry.k8s.io/kube-apiserver:v1.34.11\n";
    // More than a pipe holds, so that some of it is yet to be read when ctr ends.
    const content = Buffer.alloc(3_000_000, command);
    const web = imageIn(temporaryFolder(), ["docker.io/library/web:1"], [content]);
    const { file, layers } = web.content;
    const blobs = layers.map(({ digest, size, offset = 0 }) => ({ digest, size, offset, file }));
    await expect(containerd.import(ociLayout([web], blobs))).rejects.toThrow("no space left on device");
    containerd.close();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(simulated.calls.filter((call) => call.includes("evil"))).toEqual([]);
  });
});

describe("the flags of an import", () => {
  it.each([
    {
      ctr: "containerd 2",
      help: "   --local    run\n   --no-unpack   skip\n",
      flags: ["--local", "--no-unpack"],
    },
    {
      ctr: "an old containerd 1.7",
      help: "   --no-unpack   skip\n   --platform value\n",
      flags: ["--no-unpack"],
    },
    { ctr: "a very old one", help: "   --platform value\n", flags: [] },
    { ctr: "one with other flags alike", help: "   --localhost\n   --no-unpacking\n", flags: [] },
  ])("are those that $ctr has", ({ help, flags }) => {
    expect(importFlags(help)).toEqual(flags);
  });
});

describe("a blob whose bytes are in the store", () => {
  it("is adopted", async () => {
    const { containerd, simulated } = await openNode();
    const blob = await unknownBlob(simulated.folder, layerOf("a", 5_000));
    await containerd.ingest(blob);
    expect(simulated.known).toEqual(new Set([blob.digest]));
  });

  it("is not adopted when it is shorter than it should be, or not there", async () => {
    const { containerd, simulated } = await openNode();
    const blob = await unknownBlob(simulated.folder, layerOf("a", 5_000));
    await expect(containerd.ingest({ ...blob, size: 6_000 })).rejects.toThrow(
      "containerd: ingest failed: ctr: unexpected commit size 5000, expected 6000",
    );
    await expect(containerd.ingest({ ...blob, digest: `sha256:${"f".repeat(64)}` })).rejects.toThrow(
      /^containerd: ingest failed: .*f{64}: No such file or directory$/,
    );
    expect(simulated.known).toEqual(new Set());
  });
});

describe("a blob that the garbage collector takes while it is adopted", () => {
  it("is not said to be there, and can be adopted once more", async () => {
    const { containerd, simulated } = await openNode();
    const bytes = layerOf("a", 5_000);
    const blob = await unknownBlob(simulated.folder, bytes);
    simulated.afterwards = () => unlinkSync(join(simulated.folder, blob.digest.replace("sha256:", "")));
    await expect(containerd.ingest(blob)).rejects.toThrow(
      `containerd: ingest failed: its garbage collector took ${blob.digest}`,
    );
    simulated.afterwards = () => {};
    await unknownBlob(simulated.folder, bytes);
    await containerd.ingest(blob);
    expect(simulated.known).toContain(blob.digest);
  });
});

describe("a name", () => {
  it("can be given to an image that is there, also by its ID", async () => {
    const { containerd, simulated } = await openNode();
    const web = image("web", "a");
    simulated.store(web.stored, "docker.io/library/web:1");
    await containerd.tag(web.id, ["docker.io/library/web:2"]);
    expect(simulated.idOf("docker.io/library/web:2")).toBe(web.id);
  });

  it("can be taken from another image", async () => {
    const { containerd, simulated } = await openNode();
    const [old, new_] = [image("old", "a"), image("new", "b")];
    simulated.store(old.stored, "docker.io/library/web:1");
    simulated.store(new_.stored, "docker.io/library/web:2");
    await containerd.tag(new_.id, ["docker.io/library/web:1"]);
    expect(simulated.idOf("docker.io/library/web:1")).toBe(new_.id);
  });

  it("cannot be given to an image that is not there", async () => {
    const { containerd } = await openNode();
    await expect(containerd.tag("sha256:aa", ["docker.io/library/web:1"])).rejects.toThrow(
      'containerd: tag failed: ctr: image "sha256:aa": not found',
    );
  });
});

describe("several names", () => {
  it("are given at once, and taken away at once, those that are not there too", async () => {
    const { containerd, simulated } = await openNode();
    const web = image("web", "a");
    simulated.store(web.stored, "docker.io/library/web:1");
    const more = ["docker.io/library/web:2", "docker.io/library/web:3"];
    await containerd.tag("docker.io/library/web:1", more);
    expect([...simulated.names.keys()]).toEqual(["docker.io/library/web:1", ...more]);
    await containerd.remove([...more, "docker.io/library/other:1"]);
    expect([...simulated.names.keys()]).toEqual(["docker.io/library/web:1"]);
  });
});

describe("unpacking", () => {
  it("goes on in the node by itself, for the snapshotter that the node's pods use", async () => {
    const { containerd, simulated, idle } = await openNode();
    const started = Promise.withResolvers<void>();
    const going = Promise.withResolvers<undefined>();
    simulated.fail = (call) => {
      if (!call.includes("unpack")) return undefined;
      started.resolve();
      return going.promise;
    };
    await containerd.unpack(["sha256:aa", "sha256:bb"]);
    await started.promise;
    containerd.close();
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
  it("ends with the conversation, containerd up or not", async () => {
    for (const started of [true, false]) {
      const { containerd, running, idle } = await openNode({ started });
      expect(running()).toBe(1);
      containerd.close();
      await idle();
    }
  });

  it("ends with the node, and nothing more is waited for", async () => {
    const { containerd, daemon, node, simulated } = await openNode();
    simulated.fail = () => {
      daemon.kill(node.id);
      return new Promise(() => {});
    };
    await expect(containerd.inventory(soon, true)).rejects.toThrow(/^containerd: inventory failed: /);
    await expect(containerd.tag("sha256:aa", ["docker.io/library/web:1"])).rejects.toThrow(
      /^containerd: tag failed: /,
    );
  });

  it("is one program, however much is asked of it", async () => {
    const { containerd, daemon, simulated } = await openNode();
    const web = image("docker.io/library/web:1", "a");
    simulated.store(web.stored, "docker.io/library/web:1");
    await containerd.inventory(soon, true);
    await containerd.tag(web.id, ["docker.io/library/web:2"]);
    await containerd.import(ociLayout([image("docker.io/library/api:1", "b")], []));
    expect(daemon.changes.filter((call) => call.endsWith("/exec"))).toHaveLength(1);
  });
});
