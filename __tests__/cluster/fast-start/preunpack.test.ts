import { describe, expect, it, onTestFinished } from "vitest";
import { preunpackImages, preunpackOrder } from "../../../src/cluster/fast-start/preunpack.ts";
import { NodeSessions } from "../../../src/node/sessions.ts";
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

describe("preunpackOrder", () => {
  it("returns the images of a control plane in the order of need, each once", () => {
    expect(preunpackOrder({ idByName: names }, "control-plane")).toEqual([
      "sha256:pause",
      "sha256:etcd",
      "sha256:kindnet",
      "sha256:coredns",
    ]);
  });

  it("returns only the images that a worker runs", () => {
    expect(preunpackOrder({ idByName: names }, "worker")).toEqual(["sha256:pause", "sha256:kindnet"]);
  });
});

describe("preunpackImages", () => {
  it("unpacks the images in all nodes, and no program runs in them after the sessions are closed", async () => {
    const target = await machine(["shop-control-plane", "shop-worker"]);
    const sessions = new NodeSessions(target.daemon.engine, "shop");
    onTestFinished(() => sessions.close());
    const pause = imageIn(temporaryFolder(), ["registry.k8s.io/pause:3.10"], [noise("pause", 1_000)]);
    const digest = pause.stored.target;
    for (const { containerd } of target.nodes)
      containerd.store(pause.stored, "registry.k8s.io/pause:3.10", `docker.io/library/import-1@${digest}`);
    await preunpackImages(sessions, ["shop-control-plane", "shop-worker"], 5_000);
    for (const { containerd } of target.nodes)
      await expect
        .poll(() => containerd.unpacked.map(({ target }) => target), { timeout: 4_000 })
        .toEqual([digest]);
    sessions.close();
    await target.idle();
  });

  it("fails if a node does not start in time", async () => {
    const target = await machine(["shop-control-plane"]);
    const sessions = new NodeSessions(target.daemon.engine, "shop");
    onTestFinished(() => sessions.close());
    await expect(preunpackImages(sessions, ["shop-control-plane", "shop-worker"], 50)).rejects.toThrow(
      "shop-worker",
    );
  });
});
