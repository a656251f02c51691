import { describe, expect, it } from "vitest";
import { proxiedBlobs, proxyMounts } from "../../src/registries/proxied-blobs.ts";
import { readStorage } from "../../src/registries/storage.ts";
import { blobOf, storeImage } from "../fixtures/registry-storage.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

describe("proxiedBlobs", () => {
  it("returns every layer and config of all proxies once, without manifests, by their paths in nodes", async () => {
    const [hub, local] = [temporaryFolder(), temporaryFolder()];
    await storeImage(hub, { repository: "web", manifest: "manifest of web", layers: ["config", "layer"] });
    await storeImage(local, { repository: "api", manifest: "manifest of api", layers: ["layer", "another"] });
    const contents = new Map([
      ["docker.io", await readStorage(hub)],
      ["localhost:5000", await readStorage(local)],
    ]);
    const blobs = proxiedBlobs(contents);
    expect(blobs.map(({ digest, size }) => [digest, size]).toSorted()).toEqual(
      ["config", "layer", "another"]
        .map((content) => [`sha256:${blobOf(content)}`, content.length])
        .toSorted(),
    );
    const another = blobOf("another");
    expect(blobs.find(({ digest }) => digest === `sha256:${another}`)?.path).toBe(
      `/kind-action/proxies/localhost-5000/docker/registry/v2/blobs/sha256/${another.slice(0, 2)}/${another}/data`,
    );
  });
});

describe("proxyMounts", () => {
  it("mounts the folder of proxies without credentials, if there is one", () => {
    expect(proxyMounts(undefined)).toEqual([]);
    expect(proxyMounts({ folders: undefined })).toEqual([]);
    expect(proxyMounts({ folders: { shared: "/temp/shared", own: "/temp/run/own" } })).toEqual([
      { hostPath: "/temp/shared", containerPath: "/kind-action/proxies" },
    ]);
  });
});
