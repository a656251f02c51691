import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { symlinkBlobs, type VisibleBlob } from "../../../src/node/content/symlink.ts";
import { NodeSessions } from "../../../src/node/sessions.ts";
import { hexOf } from "../../../src/oci/digest.ts";
import { machine } from "../../fixtures/machine.ts";
import { blobOf } from "../../fixtures/registry-storage.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import { imageIn, layerOf } from "../../images/load/source-images.ts";

/** A node, and blobs in files that are mounted into it. */
async function openNode() {
  const { daemon, nodes } = await machine(["shop-worker"]);
  const sessions = new NodeSessions(daemon.engine, "shop");
  onTestFinished(() => sessions.close());
  const [simulated] = nodes;
  const [node] = await sessions.waitFor(["shop-worker"], 1_000);
  if (simulated === undefined || node === undefined) throw new Error("there is a node");
  const { containerd, id } = simulated;
  // The simulated node has the target's content in place of a link.
  const blob = async (content: string): Promise<VisibleBlob> => {
    const hex = blobOf(content);
    await writeFile(join(containerd.folder, hex), content);
    return { digest: `sha256:${hex}`, size: content.length, path: `/kind-action/proxies/${hex}` };
  };
  const symlink = (blobs: readonly VisibleBlob[]) => symlinkBlobs(daemon.engine, node.session, blobs, 5_000);
  return { containerd, blob, symlink, written: () => daemon.written.get(id) ?? [] };
}

describe("symlinkBlobs", () => {
  it("links blobs into the content store, and protects them from garbage collection", async () => {
    const { containerd, blob, symlink, written } = await openNode();
    const blobs = [await blob("a config"), await blob("a layer")];
    await symlink(blobs);
    expect(written()).toMatchObject(
      blobs.map(({ digest, path }) => ({
        name: `var/lib/containerd/io.containerd.content.v1.content/blobs/sha256/${hexOf(digest)}`,
        target: path,
      })),
    );
    containerd.collectGarbage();
    expect(containerd.known).toEqual(new Set(blobs.map(({ digest }) => digest)));
  });

  it("does not replace blobs that the node has", async () => {
    const { containerd, blob, symlink, written } = await openNode();
    const present = imageIn(temporaryFolder(), ["web"], [layerOf("present", 3_000)]);
    containerd.store(present.stored, "docker.io/library/web:1");
    const blobs = [...present.stored.blobs].map(([digest, bytes]) => ({
      digest,
      size: bytes.length,
      path: "/elsewhere",
    }));
    await symlink([...blobs, await blob("a layer")]);
    expect(written()).toHaveLength(1);
  });

  it("rejects a blob whose file the node does not see", async () => {
    const { containerd, symlink } = await openNode();
    const missing = { digest: `sha256:${"f".repeat(64)}`, size: 5, path: "/nowhere/data" };
    await expect(symlink([missing])).rejects.toThrow("containerd: Content/Write failed");
    expect(containerd.known).toEqual(new Set());
  });
});
