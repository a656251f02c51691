import { describe, expect, it } from "vitest";
import { kindChecksums, kubectlChecksums, nodeImages } from "../../src/versions/release-table.ts";
import {
  compareVersions,
  knownChecksum,
  knownNodeImage,
  kubernetesVersionOf,
  loadBalancerOf,
  looksLikeKubernetes,
  minorOf,
  newestKind,
  newestKubectlOf,
  nodeImageFor,
  nodeImagesOf,
} from "../../src/versions/releases.ts";

const newest = "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5";

describe("the table of releases", () => {
  const sums = [kindChecksums, kubectlChecksums].flatMap((table) =>
    Object.entries(table).flatMap(([version, byArchitecture]) =>
      Object.entries(byArchitecture).map(([architecture, sum]) => ({ version, architecture, sum })),
    ),
  );

  it("has a whole SHA-256 sum everywhere, and none for two programs", () => {
    for (const { version, architecture, sum } of sums)
      expect(sum, `${version} ${architecture}`).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(sums.map(({ sum }) => sum)).size).toBe(sums.length);
  });

  it("has every version's sum for amd64, and the newest kinds' for arm64 as well", () => {
    for (const table of [kindChecksums, kubectlChecksums])
      for (const [version, byArchitecture] of Object.entries(table))
        expect(byArchitecture.amd64, version).toBeDefined();
    for (const [version, byArchitecture] of Object.entries(kindChecksums))
      expect(byArchitecture.arm64, version).toBeDefined();
  });

  it("names versions as kind and Kubernetes do", () => {
    for (const version of Object.keys(kindChecksums)) expect(version).toMatch(/^v0\.\d+\.\d+$/);
    for (const version of Object.keys(kubectlChecksums)) expect(version).toMatch(/^v1\.\d+\.\d+$/);
  });

  it("has every node image by digest, under a minor release of kind", () => {
    for (const { kind, kubernetes, image } of nodeImages) {
      expect(image).toMatch(/^kindest\/node:v1\.\d+\.\d+@sha256:[0-9a-f]{64}$/);
      expect(kubernetes).toMatch(/^v1\.\d+\.\d+$/);
      expect(kind).toMatch(/^v0\.\d+$/);
    }
  });

  it("has each Kubernetes version of a kind once", () => {
    const names = nodeImages.map(({ kind, kubernetes }) => `${kind} ${kubernetes}`);
    expect(new Set(names).size).toBe(names.length);
  });

  it("has node images for every kind it has the sum of", () => {
    for (const version of Object.keys(kindChecksums)) expect(nodeImagesOf(version), version).not.toEqual([]);
  });

  it("has a kubectl by hash for every Kubernetes of the newest kind", () => {
    for (const { kubernetes } of nodeImagesOf(newestKind))
      for (const architecture of ["amd64", "arm64"] as const)
        expect(knownChecksum("kubectl", kubernetes, architecture), kubernetes).toBeDefined();
  });
});

describe("the sum of a tool", () => {
  it("is known by tool, version and architecture", () => {
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

  it("is not known of a version outside of the table", () => {
    expect(knownChecksum("kind", "v0.99.0", "amd64")).toBeUndefined();
    expect(knownChecksum("kubectl", "v0.33.0", "amd64")).toBeUndefined();
  });
});

describe("the newest", () => {
  it("kind is the one that the action takes by itself", () => {
    expect(newestKind).toBe("v0.33.0");
  });

  it("kubectl of a minor release is its last patch, by number", () => {
    expect(newestKubectlOf("v1.34")).toBe("v1.34.11");
    expect(newestKubectlOf("v1.3")).toBeUndefined();
    expect(newestKubectlOf("v1.99")).toBeUndefined();
  });
});

describe("the node images of a kind", () => {
  it("begin with the one that it uses by itself, and go back in time", () => {
    expect(nodeImagesOf("v0.33.0").map(({ kubernetes }) => kubernetes)).toEqual([
      "v1.37.0",
      "v1.36.4",
      "v1.35.8",
      "v1.34.11",
    ]);
    expect(nodeImagesOf("v0.33.0")[0]?.image).toBe(newest);
  });

  it("are those of its minor release", () => {
    expect(nodeImagesOf("v0.33.9")).toEqual(nodeImagesOf("v0.33.0"));
    expect(nodeImagesOf("v0.3.0")).toEqual([]);
  });

  it.each([
    ["1.34", "v1.34.11"],
    ["v1.34", "v1.34.11"],
    ["1.34.11", "v1.34.11"],
    ["v1.34.11", "v1.34.11"],
    ["stable", "v1.37.0"],
    ["1.34.4", undefined],
    ["1.3", undefined],
    ["1.21", undefined],
  ])("have for %s: %s", (wanted, kubernetes) => {
    expect(nodeImageFor("v0.33.0", wanted)?.kubernetes).toBe(kubernetes);
  });

  it("of the same Kubernetes are another kind's other images", () => {
    expect(nodeImageFor("v0.26.0", "1.32.0")?.image).not.toBe(nodeImageFor("v0.25.0", "1.32.0")?.image);
  });
});

describe("what a kind puts before several control planes", () => {
  it("is known of the newest: the name that it asks for, and the image by its digest", () => {
    const image = loadBalancerOf(newestKind);
    expect(image?.tag).toMatch(/^docker\.io\/envoyproxy\/envoy:v\d+\.\d+\.\d+$/);
    // The same name with the digest behind it: what is pulled by the one is what kind finds by the other.
    expect(image?.reference.replace(/@sha256:[0-9a-f]{64}$/, "")).toBe(image?.tag);
  });

  it.each([
    ["v0.32.0", true],
    ["v0.32.9", true],
    ["v0.33.0", true],
    // Those had another one.
    ["v0.31.0", false],
    ["v0.9.0", false],
    // Of these nobody here knows it.
    ["v0.100.0", false],
    ["v1.0.0", false],
  ])("is known of %s: %s", (version, known) => {
    expect(loadBalancerOf(version) !== undefined).toBe(known);
  });
});

describe("an image", () => {
  it("is known by its digest, whatever it is called", () => {
    expect(knownNodeImage(newest)).toMatchObject({ kind: "v0.33", kubernetes: "v1.37.0" });
    const digest = newest.split("@")[1];
    expect(kubernetesVersionOf(`mirror.example/node@${digest}`)).toBe("v1.37.0");
    expect(kubernetesVersionOf(`kindest/node:v1.20.0@${digest}`)).toBe("v1.37.0");
  });

  it("is not known by a name alone", () => {
    expect(knownNodeImage("kindest/node:v1.37.0")).toBeUndefined();
    expect(knownNodeImage(`kindest/node:v1.37.0@sha256:${"0".repeat(64)}`)).toBeUndefined();
  });

  it.each([
    ["kindest/node:v1.34.4", "v1.34.4"],
    [`localhost:5000/node:v1.34.4@sha256:${"0".repeat(64)}`, "v1.34.4"],
    ["kindest/node:latest", undefined],
    ["kindest/node", undefined],
    ["node:v1.34.4-custom", undefined],
  ])("in no table has the Kubernetes version of a tag that looks like one: %s", (image, version) => {
    expect(kubernetesVersionOf(image)).toBe(version);
  });
});

describe("versions", () => {
  it("are ordered by their numbers, a pre-release before its release", () => {
    const ordered = ["v0.9.0", "v0.33.0-alpha", "v0.33.0-beta", "v0.33.0", "v0.33.1", "v0.100.0", "v1.2.3"];
    expect(ordered.toReversed().toSorted(compareVersions)).toEqual(ordered);
    for (const [a, b] of [
      ["0.33.0", "v0.33.0"],
      ["v0.33.0-alpha", "v0.33.0-alpha"],
      ["v0.33.0", "v0.33"],
    ] as const)
      expect(compareVersions(a, b), `${a} ${b}`).toBe(0);
  });

  it("have a minor release", () => {
    expect(minorOf("v1.34.11")).toBe("v1.34");
    expect(minorOf("v0.33.0")).toBe("v0.33");
  });

  it.each([
    ["v1.34.0", true],
    ["1.34", true],
    ["v0.33.0", false],
    ["1", false],
    ["v1.34.0-rc.1", false],
    ["latest", false],
  ])("look like Kubernetes' when they begin with 1: %s %s", (version, does) => {
    expect(looksLikeKubernetes(version)).toBe(does);
  });
});
