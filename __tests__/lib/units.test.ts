import { describe, expect, it } from "vitest";
import { formatBytes, formatSeconds, formatTimeout, secondsSince } from "../../src/lib/units.ts";

describe("formatBytes", () => {
  it.each([
    [0, "0.0 kB"],
    [800, "0.8 kB"],
    [999_000, "999.0 kB"],
    [1_000_000, "1.0 MB"],
    [26_300_000, "26.3 MB"],
    [1_400_000_000, "1.4 GB"],
    [1_400_000_000_000, "1400.0 GB"],
  ])("formats %s as %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe("formatSeconds", () => {
  it.each([
    [0, "0.0 s"],
    [4.16, "4.2 s"],
    [61, "61.0 s"],
  ])("formats %s as %s", (seconds, text) => {
    expect(formatSeconds(seconds)).toBe(text);
  });
});

describe("formatTimeout", () => {
  it.each([
    [200, "0.2 s"],
    [1_000, "1 s"],
    [1_549, "1.5 s"],
    [90_000, "90 s"],
  ])("formats %s ms as %s", (timeoutMs, text) => {
    expect(formatTimeout(timeoutMs)).toBe(text);
  });
});

describe("secondsSince", () => {
  it("counts seconds, with three decimals", () => {
    const seconds = secondsSince(performance.now() - 5_000);
    expect(seconds).toBeGreaterThanOrEqual(5);
    expect(seconds * 1_000).toBeCloseTo(Math.round(seconds * 1_000), 6);
  });
});
