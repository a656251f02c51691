import { describe, expect, it } from "vitest";
import { compareVersions, isAtLeast, minorOf } from "../../src/lib/semver.ts";

describe("compareVersions", () => {
  it("orders versions by their numbers, a pre-release before its release", () => {
    const ordered = ["v0.9.0", "v0.33.0-alpha", "v0.33.0-beta", "v0.33.0", "v0.33.1", "v0.100.0", "v1.2.3"];
    expect(ordered.toReversed().toSorted(compareVersions)).toEqual(ordered);
  });

  it.each([
    ["0.33.0", "v0.33.0"],
    ["v0.33.0-alpha", "v0.33.0-alpha"],
    ["v0.33.0", "v0.33"],
    ["", "0.0.0"],
    ["latest", "v0.0.0"],
    ["", "latest"],
  ])("takes %j and %j for the same version", (a, b) => {
    expect(compareVersions(a, b)).toBe(0);
  });

  it.each(["", "latest", "-", "v"])("orders %j, which is not a version, before all versions", (text) => {
    expect(compareVersions(text, "v0.0.1")).toBeLessThan(0);
    expect(compareVersions("v0.0.1", text)).toBeGreaterThan(0);
  });
});

describe("isAtLeast", () => {
  // Versions of Docker's API.
  it.each([
    ["1.48", "1.48", true],
    ["1.49", "1.48", true],
    ["1.100", "1.48", true],
    ["1.9", "1.48", false],
    ["1.47", "1.48", false],
    ["2.0", "1.48", true],
    ["0.99", "1.48", false],
    ["", "1.48", false],
    ["unknown", "1.48", false],
    ["", "", true],
  ])("compares %j with the minimum %j: %s", (version, minimum, expected) => {
    expect(isAtLeast(version, minimum)).toBe(expected);
  });
});

describe("minorOf", () => {
  it.each([
    ["v1.34.11", "v1.34"],
    ["v0.33.0", "v0.33"],
    ["v1.34", "v1.34"],
  ])("returns the minor release of %s: %s", (version, minor) => {
    expect(minorOf(version)).toBe(minor);
  });
});
