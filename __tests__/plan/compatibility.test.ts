import { describe, expect, it } from "vitest";
import { findIncompatibilities } from "../../src/plan/compatibility.ts";
import { nodeImageFor } from "../../src/versions/releases.ts";
import { configOf } from "../fixtures/cluster-config.ts";

/** The image that a kind release was made with, by digest. */
function imageOf(kind: string, kubernetes: string): string {
  const image = nodeImageFor(kind, kubernetes)?.image;
  if (image === undefined) throw new Error(`kind ${kind} has no image for ${kubernetes}`);
  return image;
}

const patch = (kind: string, apiVersion?: string) =>
  `- |\n  kind: ${kind}\n${apiVersion === undefined ? "" : `  apiVersion: ${apiVersion}\n`}`;

const patched = (...patches: string[]) => configOf(`kubeadmConfigPatches:\n${patches.join("")}`);

const cgroupProblem = (kubernetes: string) =>
  `Kubernetes ${kubernetes} does not run on cgroup v1, which the Docker daemon has: use \`kubernetes_version: 1.34\`, or a runner with cgroup v2 (every Ubuntu since 22.04)`;

describe("Kubernetes 1.35 and later on cgroup v1", () => {
  const on = (kubernetes: string, cgroupVersion: 1 | 2 | undefined, config = configOf()) =>
    findIncompatibilities({
      kindVersion: "v0.33.0",
      images: [imageOf("v0.33.0", kubernetes)],
      config,
      cgroupVersion,
    });

  it("are refused, with the version that works", () => {
    expect(on("1.35", 1)).toEqual([cgroupProblem("v1.35.8")]);
    expect(on("1.37", 1)).toEqual([cgroupProblem("v1.37.0")]);
  });

  it("are fine on cgroup v2, or where nobody knows", () => {
    expect(on("1.35", 2)).toEqual([]);
    expect(on("1.37", undefined)).toEqual([]);
  });

  it("are fine with a kubelet that is told to run there", () => {
    const config = configOf(
      "kubeadmConfigPatches:\n- |\n  kind: KubeletConfiguration\n  failCgroupV1: false\n",
    );
    expect(on("1.35", 1, config)).toEqual([]);
    const contrary = configOf(
      "kubeadmConfigPatches:\n- |\n  kind: KubeletConfiguration\n  failCgroupV1: true\n",
    );
    expect(on("1.35", 1, contrary)).toEqual([cgroupProblem("v1.35.8")]);
  });

  it("leave Kubernetes 1.34 alone", () => {
    expect(on("1.34", 1)).toEqual([]);
  });

  it("are known by the image's tag, too", () => {
    const refused = (image: string) =>
      findIncompatibilities({
        kindVersion: "v0.33.0",
        images: [image],
        config: configOf(),
        cgroupVersion: 1,
      });
    expect(refused("registry.example/kindest/node:v1.35.0")).toEqual([cgroupProblem("v1.35.0")]);
    expect(refused("registry.example/kindest/node:v1.34.99")).toEqual([]);
    expect(refused("registry.example/node:latest")).toEqual([]);
  });
});

describe("a node image that is too new for kind's `load`", () => {
  const on = (kindVersion: string, image: string) =>
    findIncompatibilities({ kindVersion, images: [image], config: configOf(), cgroupVersion: 2 });

  it("is refused with the kind that can, and the Kubernetes that this one has", () => {
    const image = imageOf("v0.32.0", "1.35");
    expect(on("v0.31.0", image)).toEqual([
      `kind v0.31.0 cannot load images into ${image}, whose containerd is too new for it: use \`version: v0.32.0\` or later, or \`kubernetes_version: 1.35\` with this kind`,
    ]);
  });

  it("is refused whatever its Kubernetes is, as the image's containerd counts", () => {
    expect(on("v0.30.0", imageOf("v0.33.0", "1.34"))).toHaveLength(1);
    expect(on("v0.30.0", imageOf("v0.30.0", "1.34"))).toEqual([]);
  });

  it("is refused by its tag where it is in no table: 1.36 came with that containerd", () => {
    expect(on("v0.31.0", "registry.example/node:v1.36.0")).toHaveLength(1);
    expect(on("v0.31.0", "registry.example/node:v1.35.9")).toEqual([]);
    expect(on("v0.31.0", "registry.example/node:latest")).toEqual([]);
  });

  it("is fine with kind v0.32 and later", () => {
    expect(on("v0.32.0", imageOf("v0.33.0", "1.37"))).toEqual([]);
    expect(on("v0.33.0", imageOf("v0.32.0", "1.35"))).toEqual([]);
  });

  it("is refused without a suggestion by a kind that nobody knows the images of", () => {
    const image = imageOf("v0.33.0", "1.34");
    expect(on("v0.19.0", image)).toEqual([
      `kind v0.19.0 cannot load images into ${image}, whose containerd is too new for it: use \`version: v0.32.0\` or later`,
    ]);
  });

  it("the other way round, an old image in a new kind, is fine", () => {
    expect(on("v0.33.0", imageOf("v0.26.0", "1.32"))).toEqual([]);
  });
});

describe("a patch of kubeadm's configuration", () => {
  const on = (kubernetes: string, ...patches: string[]) =>
    findIncompatibilities({
      kindVersion: "v0.33.0",
      images: [imageOf("v0.33.0", kubernetes)],
      config: patched(...patches),
      cgroupVersion: 2,
    });
  const beta3 = "kubeadm.k8s.io/v1beta3";
  const beta4 = "kubeadm.k8s.io/v1beta4";

  it.each([
    { kubernetes: "1.36", written: beta3, used: beta4, full: "v1.36.4" },
    { kubernetes: "1.37", written: beta3, used: beta4, full: "v1.37.0" },
    { kubernetes: "1.35", written: beta4, used: beta3, full: "v1.35.8" },
    { kubernetes: "1.34", written: beta4, used: beta3, full: "v1.34.11" },
  ])(
    "for $written is refused with Kubernetes $kubernetes, which gets $used",
    ({ kubernetes, written, used, full }) => {
      expect(on(kubernetes, patch("ClusterConfiguration", written))).toEqual([
        `the patch of ClusterConfiguration is for ${written}, and kind configures Kubernetes ${full} with ${used}: it would change nothing. Write it for ${used}, or leave its apiVersion out`,
      ]);
      expect(on(kubernetes, patch("ClusterConfiguration", used))).toEqual([]);
    },
  );

  it("is fine without a version: it fits any", () => {
    expect(on("1.37", patch("ClusterConfiguration"))).toEqual([]);
    expect(on("1.34", patch("ClusterConfiguration"))).toEqual([]);
  });

  it("is fine written for both, as configurations for several versions are", () => {
    const both = [patch("InitConfiguration", beta3), patch("InitConfiguration", beta4)];
    expect(on("1.34", ...both)).toEqual([]);
    expect(on("1.37", ...both)).toEqual([]);
  });

  it("is refused even when another patch, of something else, has the right version", () => {
    expect(on("1.37", patch("InitConfiguration", beta3), patch("ClusterConfiguration", beta4))).toHaveLength(
      1,
    );
  });

  it("of the kubelet or kube-proxy has versions of its own", () => {
    expect(
      on(
        "1.37",
        patch("KubeletConfiguration", "kubelet.config.k8s.io/v1beta1"),
        patch("KubeProxyConfiguration", "kubeproxy.config.k8s.io/v1alpha1"),
      ),
    ).toEqual([]);
  });

  it.each([
    { image: "node:v1.36.0", written: beta3, refused: true },
    { image: "node:v1.35.99", written: beta3, refused: false },
    { image: "node:v1.23.0", written: beta4, refused: true },
    // Before kubeadm's v1beta3, and where nobody knows.
    { image: "node:v1.22.17", written: beta4, refused: false },
    { image: "node:latest", written: beta4, refused: false },
  ])("for $written is refused with $image: $refused", ({ image, written, refused }) => {
    const problems = findIncompatibilities({
      kindVersion: "v0.33.0",
      images: [image],
      config: patched(patch("ClusterConfiguration", written)),
      cgroupVersion: 2,
    });
    expect(problems).toHaveLength(refused ? 1 : 0);
  });
});

describe("a cluster of several images", () => {
  it("tells each problem once, whichever nodes have it", () => {
    const image = imageOf("v0.33.0", "1.35");
    const problems = findIncompatibilities({
      kindVersion: "v0.33.0",
      images: [image, image, imageOf("v0.33.0", "1.36")],
      config: configOf(),
      cgroupVersion: 1,
    });
    expect(problems).toEqual([cgroupProblem("v1.35.8"), cgroupProblem("v1.36.4")]);
  });
});
