import { describe, expect, it } from "vitest";
import {
  configPlatform,
  formatPlatform,
  formatPlatforms,
  type Platform,
  platformMatch,
} from "../../src/oci/platform.ts";

const platform = (text: string): Platform => {
  const [os = "", architecture = "", variant] = text.split("/");
  return { os, architecture, variant };
};

/** `v8.2`, `v8.1`, `v8` for 8 and 2, without the `v8` that is the default of arm64. */
const arm64 = (version: number, minor: number): string[] =>
  Array.from({ length: minor + 1 }, (_, index) => minor - index).map((each) =>
    each > 0 ? `arm64/v${version}.${each}` : version === 8 ? "arm64" : `arm64/v${version}`,
  );

const images = [
  ...["amd64", "amd64/v2", "amd64/v3", "amd64/v4", "amd64/x", "386"],
  ...[...arm64(8, 9), ...arm64(9, 7), "arm64/v8.10", "arm64/x"],
  ...["arm/v4", "arm/v5", "arm/v6", "arm/v7", "arm/v8", "arm/x", "riscv64", "s390x", "ppc64le"],
].map((name) => `linux/${name}`);
const otherOs = ["windows/amd64", "darwin/arm64"];

const arm8 = ["arm/v8", "arm/v7", "arm/v6", "arm/v5"];
const v8 = (minor: number) => [...arm64(8, minor), ...arm8];
const v9 = (minor: number, v8minor: number) => [...arm64(9, minor), ...v8(v8minor)];

/** Nodes, and the images that containerd runs on them, the best match first: `Only` of containerd/platforms v1.0.0-rc.5. */
const table: [node: string, images: string[]][] = [
  ["linux/amd64", ["amd64", "386"]],
  ["linux/amd64/v1", ["amd64", "386"]],
  ["linux/x86_64", ["amd64", "386"]],
  ["linux/x86-64", ["amd64", "386"]],
  ["LINUX/AMD64", ["amd64", "386"]],
  ["linux/amd64/v2", ["amd64/v2", "amd64", "386"]],
  ["linux/amd64/v3", ["amd64/v3", "amd64/v2", "amd64", "386"]],
  ["linux/amd64/3", ["amd64/v2", "amd64", "386"]],
  ["linux/amd64/v4", ["amd64/v4", "amd64/v3", "amd64/v2", "amd64", "386"]],
  ["linux/amd64/x", ["amd64/x", "386"]],
  ["linux/386", ["386"]],
  ["linux/i386", ["386"]],
  ["linux/arm64", v8(0)],
  ["linux/aarch64", v8(0)],
  ["linux/arm64/8", v8(0)],
  ["linux/arm64/v8", v8(0)],
  ["linux/arm64/v8.0", v8(0)],
  ["linux/arm64/v8.2", v8(2)],
  ["linux/arm64/v8.9", v8(9)],
  ["linux/arm64/v8.10", []],
  ["linux/arm64/9", v9(0, 5)],
  ["linux/arm64/v9", v9(0, 5)],
  ["linux/arm64/v9.0", v9(0, 5)],
  ["linux/arm64/v9.3", v9(3, 8)],
  ["linux/arm64/v9.5", v9(5, 9)],
  ["linux/arm64/v9.7", v9(7, 9)],
  ["linux/arm64/v9.8", []],
  ["linux/arm64/x", []],
  ["linux/arm", ["arm/v7", "arm/v6", "arm/v5"]],
  ["linux/arm/7", ["arm/v7", "arm/v6", "arm/v5"]],
  ["linux/arm/v5", ["arm/v5"]],
  ["linux/arm/v6", ["arm/v6", "arm/v5"]],
  ["linux/arm/v7", ["arm/v7", "arm/v6", "arm/v5"]],
  ["linux/arm/v8", arm8],
  ["linux/armhf", ["arm/v7", "arm/v6", "arm/v5"]],
  ["linux/armel", ["arm/v6", "arm/v5"]],
  ["linux/arm/v4", ["arm/v4"]],
  ["linux/arm/x", ["arm/x"]],
  ["linux/riscv64", ["riscv64"]],
  ["linux/s390x", ["s390x"]],
  ["linux/ppc64le", ["ppc64le"]],
];

describe("platformMatch", () => {
  it.each(table)("ranks images on a node of %s as containerd does", (node, expected) => {
    const ranked = [...images, ...otherOs]
      .map((name) => ({ name, match: platformMatch(platform(name), platform(node)) }))
      .filter(({ match }) => match > 0)
      .toSorted((a, b) => b.match - a.match);
    expect(ranked.map(({ name }) => name.replace("linux/", ""))).toEqual(expected);
    expect(new Set(ranked.map(({ match }) => match)).size).toBe(expected.length);
  });

  it.each([
    ["linux/amd64/v1", "linux/amd64"],
    ["linux/x86_64", "linux/amd64"],
    ["linux/x86-64", "linux/amd64"],
    ["linux/i386", "linux/386"],
    ["linux/aarch64", "linux/arm64"],
    ["linux/arm64/v8", "linux/arm64"],
    ["linux/arm64/8", "linux/arm64"],
    ["linux/arm64/v8.0", "linux/arm64"],
    ["linux/arm64/9", "linux/arm64/v9"],
    ["linux/arm64/9.0", "linux/arm64/v9"],
    ["linux/arm64/v9.0", "linux/arm64/v9"],
    ["linux/arm", "linux/arm/v7"],
    ["linux/arm/5", "linux/arm/v5"],
    ["linux/arm/6", "linux/arm/v6"],
    ["linux/arm/7", "linux/arm/v7"],
    ["linux/arm/8", "linux/arm/v8"],
    ["linux/armhf", "linux/arm/v7"],
    ["linux/armel", "linux/arm/v6"],
    ["Linux/ARM64/V8", "linux/arm64"],
  ])("takes the image platform %s for %s", (alias, name) => {
    const nodes = ["linux/amd64/v4", "linux/386", "linux/arm64/v9.7", "linux/arm/v8", name].map(platform);
    const matches = (image: string) => nodes.map((node) => platformMatch(platform(image), node));
    expect(matches(alias)).toEqual(matches(name));
    expect(Math.max(...matches(alias))).toBeGreaterThan(0);
  });
});

describe("configPlatform", () => {
  it("is the platform of the config", () => {
    const config = { os: "linux", architecture: "arm64", variant: "v8" };
    expect(configPlatform(config, platform("linux/amd64"))).toEqual(config);
  });

  it("is the platform of the node if the config has no OS or architecture", () => {
    const node = platform("linux/arm64");
    expect(configPlatform({ os: "linux" }, node)).toBe(node);
    expect(configPlatform({ architecture: "amd64" }, node)).toBe(node);
    expect(configPlatform({}, node)).toBe(node);
  });
});

describe("formatPlatform", () => {
  it("separates the parts with slashes, and omits an empty variant", () => {
    expect(formatPlatform(platform("linux/arm64/v8"))).toBe("linux/arm64/v8");
    expect(formatPlatform({ os: "linux", architecture: "amd64", variant: "" })).toBe("linux/amd64");
  });
});

describe("formatPlatforms", () => {
  it("lists each platform once", () => {
    const list = ["linux/amd64", "linux/arm64/v8", "linux/amd64"].map(platform);
    expect(formatPlatforms(list)).toBe("linux/amd64, linux/arm64/v8");
    expect(formatPlatforms([])).toBe("none");
  });

  it("truncates a list of more than ten", () => {
    const list = Array.from({ length: 12 }, (_, index) => platform(`linux/a${index}`));
    expect(formatPlatforms(list.slice(0, 10))).toMatch(/linux\/a9$/);
    expect(formatPlatforms(list)).toMatch(/linux\/a9, …$/);
  });
});
