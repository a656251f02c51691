import { describe, expect, it } from "vitest";
import { kindChecksums, kubectlChecksums, nodeImages } from "../../src/versions/release-table.ts";
import {
  knownChecksum,
  knownNodeImage,
  kubernetesVersionOf,
  loadBalancerOf,
  looksLikeKubernetes,
  newestKind,
  newestKubectlOf,
  nodeImageFor,
  nodeImagesOf,
} from "../../src/versions/releases.ts";

const newest = "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5";

describe("the release table", () => {
  const sums = [kindChecksums, kubectlChecksums].flatMap((table) =>
    Object.entries(table).flatMap(([version, byArchitecture]) =>
      Object.entries(byArchitecture).map(([architecture, sum]) => ({ version, architecture, sum })),
    ),
  );

  it("contains valid SHA-256 checksums, and none twice", () => {
    for (const { version, architecture, sum } of sums)
      expect(sum, `${version} ${architecture}`).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(sums.map(({ sum }) => sum)).size).toBe(sums.length);
  });

  it("contains a checksum for amd64 of each version, and for arm64 of each kind", () => {
    for (const table of [kindChecksums, kubectlChecksums])
      for (const [version, byArchitecture] of Object.entries(table))
        expect(byArchitecture.amd64, version).toBeDefined();
    for (const [version, byArchitecture] of Object.entries(kindChecksums))
      expect(byArchitecture.arm64, version).toBeDefined();
  });

  it("contains versions in the format of kind and Kubernetes", () => {
    for (const version of Object.keys(kindChecksums)) expect(version).toMatch(/^v0\.\d+\.\d+$/);
    for (const version of Object.keys(kubectlChecksums)) expect(version).toMatch(/^v1\.\d+\.\d+$/);
  });

  it("contains node images with digests, by minor release of kind", () => {
    for (const { kind, kubernetes, image } of nodeImages) {
      expect(image).toMatch(/^kindest\/node:v1\.\d+\.\d+@sha256:[0-9a-f]{64}$/);
      expect(kubernetes).toMatch(/^v1\.\d+\.\d+$/);
      expect(kind).toMatch(/^v0\.\d+$/);
    }
  });

  it("contains one node image for each Kubernetes version of a kind release", () => {
    const names = nodeImages.map(({ kind, kubernetes }) => `${kind} ${kubernetes}`);
    expect(new Set(names).size).toBe(names.length);
  });

  it("contains node images for each kind release", () => {
    for (const version of Object.keys(kindChecksums)) expect(nodeImagesOf(version), version).not.toEqual([]);
  });

  it("contains the checksum of kubectl for each node image of the newest kind release", () => {
    for (const { kubernetes } of nodeImagesOf(newestKind))
      for (const architecture of ["amd64", "arm64"] as const)
        expect(knownChecksum("kubectl", kubernetes, architecture), kubernetes).toBeDefined();
  });
});

describe("knownChecksum", () => {
  it("returns the checksum of a tool by version and architecture", () => {
    expect(knownChecksum("kind", "v0.33.0", "amd64")).toBe(
      "aee6151561422756b764a4ae28e7f44cda5af5a9eead3cc9985112b1de8d8e0d",
    );
    expect(knownChecksum("kind", "v0.33.0", "arm64")).toBe(
      "20022bee6cfcd5086cb7234d218e3454e6090022f2a8f55d1fa7fcf42c3867a2",
    );
    expect(knownChecksum("kubectl", "v1.36.3", "amd64")).toBe(
      "ebbd080e7c2e275093b55915722043257eb24004363e20acb3c4d71919f88336",
    );
  });

  it("returns undefined for a version that is not in the table", () => {
    expect(knownChecksum("kind", "v0.99.0", "amd64")).toBeUndefined();
    expect(knownChecksum("kubectl", "v0.33.0", "amd64")).toBeUndefined();
  });
});

describe("newestKind", () => {
  it("is the newest release in the table", () => {
    expect(newestKind).toBe("v0.33.0");
  });
});

describe("newestKubectlOf", () => {
  it("returns the newest patch release of a minor release, by number", () => {
    expect(newestKubectlOf("v1.34")).toBe("v1.34.11");
    expect(newestKubectlOf("v1.3")).toBeUndefined();
    expect(newestKubectlOf("v1.99")).toBeUndefined();
  });
});

describe("nodeImagesOf", () => {
  it("returns the default node image first, and then older Kubernetes versions", () => {
    expect(nodeImagesOf("v0.33.0").map(({ kubernetes }) => kubernetes)).toEqual([
      "v1.37.0",
      "v1.36.4",
      "v1.35.8",
      "v1.34.11",
    ]);
    expect(nodeImagesOf("v0.33.0")[0]?.image).toBe(newest);
  });

  it("returns the node images of the minor release", () => {
    expect(nodeImagesOf("v0.33.9")).toEqual(nodeImagesOf("v0.33.0"));
    expect(nodeImagesOf("v0.3.0")).toEqual([]);
  });
});

describe("nodeImageFor", () => {
  it.each([
    ["1.34", "v1.34.11"],
    ["v1.34", "v1.34.11"],
    ["1.34.11", "v1.34.11"],
    ["v1.34.11", "v1.34.11"],
    ["stable", "v1.37.0"],
    ["1.34.4", undefined],
    ["1.3", undefined],
    ["1.21", undefined],
  ])("returns for %s the node image of %s", (version, kubernetes) => {
    expect(nodeImageFor("v0.33.0", version)?.kubernetes).toBe(kubernetes);
  });

  it("returns different images for different kind releases with the same Kubernetes version", () => {
    expect(nodeImageFor("v0.26.0", "1.32.0")?.image).not.toBe(nodeImageFor("v0.25.0", "1.32.0")?.image);
  });
});

describe("loadBalancerOf", () => {
  it("returns the tag of the newest kind release, and a reference with its digest", () => {
    const image = loadBalancerOf(newestKind);
    expect(image?.tag).toMatch(/^docker\.io\/envoyproxy\/envoy:v\d+\.\d+\.\d+$/);
    // kind finds the image by its tag, after a pull by the reference.
    expect(image?.reference.replace(/@sha256:[0-9a-f]{64}$/, "")).toBe(image?.tag);
  });

  it.each([
    ["v0.32.0", true],
    ["v0.32.9", true],
    ["v0.33.0", true],
    // Older releases use another image.
    ["v0.31.0", false],
    ["v0.9.0", false],
    // The images of these releases are unknown.
    ["v0.100.0", false],
    ["v1.0.0", false],
  ])("supports kind %s: %s", (version, known) => {
    expect(loadBalancerOf(version) !== undefined).toBe(known);
  });
});

describe("knownNodeImage and kubernetesVersionOf", () => {
  it("find an image by its digest, with any name", () => {
    expect(knownNodeImage(newest)).toMatchObject({ kind: "v0.33", kubernetes: "v1.37.0" });
    const digest = newest.split("@")[1];
    expect(kubernetesVersionOf(`mirror.example/node@${digest}`)).toBe("v1.37.0");
    expect(kubernetesVersionOf(`kindest/node:v1.20.0@${digest}`)).toBe("v1.37.0");
  });

  it("do not find an image by its name", () => {
    expect(knownNodeImage("kindest/node:v1.37.0")).toBeUndefined();
    expect(knownNodeImage(`kindest/node:v1.37.0@sha256:${"0".repeat(64)}`)).toBeUndefined();
  });

  it.each([
    ["kindest/node:v1.34.4", "v1.34.4"],
    [`localhost:5000/node:v1.34.4@sha256:${"0".repeat(64)}`, "v1.34.4"],
    ["kindest/node:latest", undefined],
    ["kindest/node", undefined],
    ["node:v1.34.4-custom", undefined],
  ])("read the version from the tag of an unknown image: %s", (image, version) => {
    expect(kubernetesVersionOf(image)).toBe(version);
  });
});

describe("looksLikeKubernetes", () => {
  it.each([
    ["v1.34.0", true],
    ["1.34", true],
    ["v0.33.0", false],
    ["1", false],
    ["v1.34.0-rc.1", false],
    ["latest", false],
  ])("returns for %s: %s", (version, expected) => {
    expect(looksLikeKubernetes(version)).toBe(expected);
  });
});
