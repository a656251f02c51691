import { describe, expect, it } from "vitest";
import type { Platform } from "../../src/docker/images.ts";
import { configPlatform, fitness, formatPlatform } from "../../src/oci/platform.ts";

const platform = (text: string): Platform => {
  const [os = "", architecture = "", variant] = text.split("/");
  return { os, architecture, variant };
};

describe("an image runs on a node", () => {
  it.each([
    ["linux/amd64", "linux/amd64"],
    ["linux/amd64/v1", "linux/amd64"],
    ["linux/x86_64", "linux/amd64"],
    ["linux/arm64", "linux/arm64/v8"],
    ["linux/arm64/v8", "linux/arm64"],
    ["linux/aarch64", "linux/arm64"],
    ["linux/amd64", "linux/amd64/v3"],
    ["linux/arm/v7", "linux/arm/v7"],
  ])("of its platform: %s on %s", (image, node) => {
    expect(fitness(platform(image), platform(node))).toBeGreaterThan(0);
  });

  it.each([
    ["linux/arm64", "linux/amd64"],
    ["windows/amd64", "linux/amd64"],
    ["linux/amd64/v3", "linux/amd64"],
    ["linux/arm/v6", "linux/arm/v7"],
    ["linux/arm64/v9", "linux/arm64"],
  ])("of another platform not: %s on %s", (image, node) => {
    expect(fitness(platform(image), platform(node))).toBe(0);
  });

  it("the better, the more exactly its platform is the node's", () => {
    const on = (image: string) => fitness(platform(image), platform("linux/arm64/v8"));
    expect(on("linux/arm64/v8")).toBeGreaterThan(on("linux/arm64"));
    const later = (image: string) => fitness(platform(image), platform("linux/amd64/v3"));
    expect(later("linux/amd64/v3")).toBeGreaterThan(later("linux/amd64"));
  });

  it("if it does not say what it is for", () => {
    const node = platform("linux/arm64");
    expect(configPlatform({ os: "linux" }, node)).toBe(node);
    expect(configPlatform({}, node)).toBe(node);
  });

  it("of a platform that people write with slashes", () => {
    expect(formatPlatform(platform("linux/arm64/v8"))).toBe("linux/arm64/v8");
    expect(formatPlatform({ os: "linux", architecture: "amd64", variant: "" })).toBe("linux/amd64");
  });
});
