import { describe, expect, it } from "vitest";
import { preunpackImages, preunpackOrder } from "../../../src/cluster/fast-start/preunpack.ts";
import { noise } from "../../archive/tar-files.ts";
import { machine } from "../../fixtures/machine.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import { imageIn } from "../../images/load/source-images.ts";

const names = new Map([
  ["registry.k8s.io/coredns/coredns:v1.12.1", "sha256:id-coredns"],
  ["docker.io/library/import-1@sha256:coredns", "sha256:id-coredns"],
  ["registry.k8s.io/etcd:3.6.5-0", "sha256:id-etcd"],
  ["docker.io/library/import-1@sha256:etcd", "sha256:id-etcd"],
  ["registry.k8s.io/pause:3.10", "sha256:id-pause"],
  ["registry.k8s.io/pause:3.10.1", "sha256:id-pause"],
  ["docker.io/library/import-1@sha256:pause", "sha256:id-pause"],
  ["docker.io/kindest/kindnetd:v1", "sha256:id-kindnet"],
  ["docker.io/library/import-1@sha256:kindnet", "sha256:id-kindnet"],
  ["docker.io/library/web:1", "sha256:id-web"],
  ["docker.io/library/web@sha256:web", "sha256:id-web"],
  ["registry.k8s.io/kube-proxy:v1.34.4", "sha256:id-without-a-digest"],
]);

describe("a node's own images are unpacked in the order in which it needs them, each once", () => {
  it("on a control plane", () => {
    expect(preunpackOrder({ idByName: names }, "control-plane")).toEqual([
      "sha256:pause",
      "sha256:etcd",
      "sha256:kindnet",
      "sha256:coredns",
    ]);
  });

  it("on a worker", () => {
    expect(preunpackOrder({ idByName: names }, "worker")).toEqual(["sha256:pause", "sha256:kindnet"]);
  });
});

describe("a cluster that starts", () => {
  it("unpacks ahead on every node, and nothing goes on when that is done", async () => {
    const to = await machine(["shop-control-plane", "shop-worker"]);
    const pause = imageIn(temporaryFolder(), ["registry.k8s.io/pause:3.10"], [noise("pause", 1_000)]);
    const digest = pause.stored.target;
    for (const { containerd } of to.nodes)
      containerd.store(pause.stored, "registry.k8s.io/pause:3.10", `docker.io/library/import-1@${digest}`);
    await preunpackImages(
      to.daemon.engine,
      { name: "shop", nodes: ["shop-control-plane", "shop-worker"] },
      5_000,
    );
    for (const { containerd } of to.nodes)
      await expect
        .poll(() => containerd.unpacked.map(({ target }) => target), { timeout: 4_000 })
        .toEqual([digest]);
    await to.idle();
  });
});
