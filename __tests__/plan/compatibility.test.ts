import { describe, expect, it } from "vitest";
import { findIncompatibilities } from "../../src/plan/compatibility.ts";
import { nodeImageFor } from "../../src/versions/releases.ts";
import { configOf } from "../fixtures/cluster-config.ts";

/** Returns the node image of a kind release. */
function imageOf(kind: string, kubernetes: string): string {
  const image = nodeImageFor(kind, kubernetes)?.image;
  if (image === undefined) throw new Error(`kind ${kind} has no image for ${kubernetes}`);
  return image;
}

const patch = (kind: string, apiVersion?: string) =>
  `- |\n  kind: ${kind}\n${apiVersion === undefined ? "" : `  apiVersion: ${apiVersion}\n`}`;

const patched = (...patches: string[]) => configOf(`kubeadmConfigPatches:\n${patches.join("")}`);

const cgroupProblem = (kubernetes: string) =>
  `Kubernetes ${kubernetes} does not run on cgroup v1, which the Docker daemon has: use \`kubernetes_version: 1.34\`, or a runner with cgroup v2 (Ubuntu 22.04 or later)`;

describe("findIncompatibilities for Kubernetes 1.35 and later on cgroup v1", () => {
  const find = (kubernetes: string, cgroupVersion: 1 | 2 | undefined, config = configOf()) =>
    findIncompatibilities({
      kindVersion: "v0.33.0",
      images: [imageOf("v0.33.0", kubernetes)],
      config,
      cgroupVersion,
    });

  it("rejects it, with a version that works", () => {
    expect(find("1.35", 1)).toEqual([cgroupProblem("v1.35.8")]);
    expect(find("1.37", 1)).toEqual([cgroupProblem("v1.37.0")]);
  });

  it("accepts it on cgroup v2 or an unknown version", () => {
    expect(find("1.35", 2)).toEqual([]);
    expect(find("1.37", undefined)).toEqual([]);
  });

  it("accepts it if a patch sets failCgroupV1 to false", () => {
    const config = configOf(
      "kubeadmConfigPatches:\n- |\n  kind: KubeletConfiguration\n  failCgroupV1: false\n",
    );
    expect(find("1.35", 1, config)).toEqual([]);
    const enabled = configOf(
      "kubeadmConfigPatches:\n- |\n  kind: KubeletConfiguration\n  failCgroupV1: true\n",
    );
    expect(find("1.35", 1, enabled)).toEqual([cgroupProblem("v1.35.8")]);
  });

  it("accepts Kubernetes 1.34", () => {
    expect(find("1.34", 1)).toEqual([]);
  });

  it("reads the version of other images from their tags", () => {
    const reasonsFor = (image: string) =>
      findIncompatibilities({
        kindVersion: "v0.33.0",
        images: [image],
        config: configOf(),
        cgroupVersion: 1,
      });
    expect(reasonsFor("registry.example/kindest/node:v1.35.0")).toEqual([cgroupProblem("v1.35.0")]);
    expect(reasonsFor("registry.example/kindest/node:v1.34.99")).toEqual([]);
    expect(reasonsFor("registry.example/node:latest")).toEqual([]);
  });
});

describe("findIncompatibilities for a node image that is too new for `kind load`", () => {
  const find = (kindVersion: string, image: string) =>
    findIncompatibilities({ kindVersion, images: [image], config: configOf(), cgroupVersion: 2 });

  it("rejects it, with a kind release and a Kubernetes version that work", () => {
    const image = imageOf("v0.32.0", "1.35");
    expect(find("v0.31.0", image)).toEqual([
      `kind v0.31.0 cannot load images into ${image}, because it does not support the containerd version of this image: use \`version: v0.32.0\` or later, or \`kubernetes_version: 1.35\` with kind v0.31.0`,
    ]);
  });

  it("rejects it for any Kubernetes version, because of its containerd", () => {
    expect(find("v0.30.0", imageOf("v0.33.0", "1.34"))).toHaveLength(1);
    expect(find("v0.30.0", imageOf("v0.30.0", "1.34"))).toEqual([]);
  });

  it("rejects an unknown image by its tag, because 1.36 was released with that containerd", () => {
    expect(find("v0.31.0", "registry.example/node:v1.36.0")).toHaveLength(1);
    expect(find("v0.31.0", "registry.example/node:v1.35.9")).toEqual([]);
    expect(find("v0.31.0", "registry.example/node:latest")).toEqual([]);
  });

  it("accepts it with kind v0.32 and later", () => {
    expect(find("v0.32.0", imageOf("v0.33.0", "1.37"))).toEqual([]);
    expect(find("v0.33.0", imageOf("v0.32.0", "1.35"))).toEqual([]);
  });

  it("suggests no Kubernetes version for an unknown kind release", () => {
    const image = imageOf("v0.33.0", "1.34");
    expect(find("v0.19.0", image)).toEqual([
      `kind v0.19.0 cannot load images into ${image}, because it does not support the containerd version of this image: use \`version: v0.32.0\` or later`,
    ]);
  });

  it("accepts an old image with a new kind release", () => {
    expect(find("v0.33.0", imageOf("v0.26.0", "1.32"))).toEqual([]);
  });
});

describe("findIncompatibilities for a kubeadm patch", () => {
  const find = (kubernetes: string, ...patches: string[]) =>
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
    "rejects $written with Kubernetes $kubernetes, which uses $used",
    ({ kubernetes, written, used, full }) => {
      expect(find(kubernetes, patch("ClusterConfiguration", written))).toEqual([
        `the patch for ClusterConfiguration has apiVersion ${written}, but kind configures Kubernetes ${full} with ${used}, so the patch has no effect: change its apiVersion to ${used}, or remove the apiVersion`,
      ]);
      expect(find(kubernetes, patch("ClusterConfiguration", used))).toEqual([]);
    },
  );

  it("accepts a patch without an apiVersion", () => {
    expect(find("1.37", patch("ClusterConfiguration"))).toEqual([]);
    expect(find("1.34", patch("ClusterConfiguration"))).toEqual([]);
  });

  it("accepts patches for both versions", () => {
    const both = [patch("InitConfiguration", beta3), patch("InitConfiguration", beta4)];
    expect(find("1.34", ...both)).toEqual([]);
    expect(find("1.37", ...both)).toEqual([]);
  });

  it("rejects it even if a patch for another kind has the right version", () => {
    expect(
      find("1.37", patch("InitConfiguration", beta3), patch("ClusterConfiguration", beta4)),
    ).toHaveLength(1);
  });

  it("ignores patches for the kubelet and kube-proxy", () => {
    expect(
      find(
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
    // Before kubeadm's v1beta3, and for unknown versions.
    { image: "node:v1.22.17", written: beta4, refused: false },
    { image: "node:latest", written: beta4, refused: false },
  ])("rejects $written with $image: $refused", ({ image, written, refused }) => {
    const problems = findIncompatibilities({
      kindVersion: "v0.33.0",
      images: [image],
      config: patched(patch("ClusterConfiguration", written)),
      cgroupVersion: 2,
    });
    expect(problems).toHaveLength(refused ? 1 : 0);
  });
});

describe("findIncompatibilities for several images", () => {
  it("reports each problem once", () => {
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
