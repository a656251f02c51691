import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  type ProxiedBlob,
  proxiedBlobs,
  proxyMounts,
  symlinkBlobs,
} from "../../../src/node/content/symlink.ts";
import { waitForNodeContainers } from "../../../src/node/nodes.ts";
import { readStorage } from "../../../src/registries/storage.ts";
import { machine } from "../../fixtures/machine.ts";
import { blobOf, storeImage } from "../../fixtures/registry-storage.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import { imageIn, layerOf } from "../../images/load/source-images.ts";

describe("what proxies hold, as a node sees it", () => {
  it("is every layer and every config, each once; manifests it asks for", async () => {
    const [one, other] = [temporaryFolder(), temporaryFolder()];
    await storeImage(one, { repository: "web", manifest: "manifest of web", layers: ["config", "layer"] });
    await storeImage(other, { repository: "api", manifest: "manifest of api", layers: ["layer", "another"] });
    const held = new Map([
      ["docker.io", await readStorage(one)],
      ["localhost:5000", await readStorage(other)],
    ]);
    const blobs = proxiedBlobs(held);
    expect(blobs.map(({ digest, size }) => [digest, size]).toSorted()).toEqual(
      ["config", "layer", "another"].map((of) => [`sha256:${blobOf(of)}`, of.length]).toSorted(),
    );
    const another = blobOf("another");
    expect(blobs.find(({ digest }) => digest === `sha256:${another}`)?.path).toBe(
      `/kind-action/proxies/localhost-5000/docker/registry/v2/blobs/sha256/${another.slice(0, 2)}/${another}/data`,
    );
  });

  it("comes from one folder, if the proxies have any", () => {
    expect(proxyMounts(undefined)).toEqual([]);
    expect(proxyMounts({ folders: undefined })).toEqual([]);
    expect(proxyMounts({ folders: { shared: "/temp/shared", own: "/temp/run/own" } })).toEqual([
      { hostPath: "/temp/shared", containerPath: "/kind-action/proxies" },
    ]);
  });
});

describe("a node that is given what proxies hold", () => {
  /** A node, and blobs whose files it sees as a mount shows them. */
  async function node() {
    const { daemon, nodes } = await machine(["shop-worker"]);
    const [simulated] = nodes;
    const [running] = await waitForNodeContainers(daemon.engine, "shop", ["shop-worker"], 1_000);
    if (simulated === undefined || running === undefined) throw new Error("there is a node");
    const { containerd, id } = simulated;
    // The simulated node has what a link leads to in the link's place.
    const blob = async (content: string): Promise<ProxiedBlob> => {
      const hex = blobOf(content);
      await writeFile(join(containerd.folder, hex), content);
      return { digest: `sha256:${hex}`, size: content.length, path: `/kind-action/proxies/${hex}` };
    };
    const give = (blobs: readonly ProxiedBlob[]) => symlinkBlobs(daemon.engine, running, blobs, 5_000);
    return { containerd, blob, give, written: () => daemon.written.get(id) ?? [] };
  }

  it("has them as links, and keeps them whatever its garbage collector takes", async () => {
    const { containerd, blob, give, written } = await node();
    const blobs = [await blob("a config"), await blob("a layer")];
    await give(blobs);
    expect(written()).toMatchObject(
      blobs.map(({ digest, path }) => ({
        name: `var/lib/containerd/io.containerd.content.v1.content/blobs/sha256/${digest.slice("sha256:".length)}`,
        target: path,
      })),
    );
    containerd.collectGarbage();
    expect(containerd.known).toEqual(new Set(blobs.map(({ digest }) => digest)));
  });

  it("keeps its own files of what it has already", async () => {
    const { containerd, blob, give, written } = await node();
    const own = imageIn(temporaryFolder(), ["web"], [layerOf("own", 3_000)]);
    containerd.store(own.stored, "docker.io/library/web:1");
    const blobs = [...own.stored.blobs].map(([digest, bytes]) => ({
      digest,
      size: bytes.length,
      path: "/elsewhere",
    }));
    await give([...blobs, await blob("a layer")]);
    expect(written()).toHaveLength(1);
  });

  it("does not take what it cannot see there", async () => {
    const { containerd, give } = await node();
    const unseen = { digest: `sha256:${"f".repeat(64)}`, size: 5, path: "/nowhere/data" };
    await expect(give([unseen])).rejects.toThrow("containerd: Content/Write failed");
    expect(containerd.known).toEqual(new Set());
  });
});
