import { describe, expect, it } from "vitest";
import { artifactName } from "../../src/logs/artifact-name.ts";

const nameOf = (job: Partial<Parameters<typeof artifactName>[0]>) =>
  artifactName({ job: "test", cluster: "kind", matrix: "null", attempt: "1", ...job });

describe("artifactName", () => {
  it("contains the names of the job and of the cluster", () => {
    expect(nameOf({})).toBe("kind-logs-test-kind");
    expect(nameOf({ job: "e2e_tests", cluster: "shop" })).toBe("kind-logs-e2e_tests-shop");
  });

  it.each(["null", "", "{}"])("contains no values for the matrix %j", (matrix) => {
    expect(nameOf({ matrix })).toBe("kind-logs-test-kind");
  });

  it("contains the values of the matrix", () => {
    expect(nameOf({ matrix: JSON.stringify({ kubernetes: "1.34", ha: true, shard: 2 }) })).toBe(
      "kind-logs-test-kind-1.34-true-2",
    );
    expect(nameOf({ matrix: JSON.stringify({ on: { os: "ubuntu", arch: ["arm64"] } }) })).toBe(
      "kind-logs-test-kind-ubuntu-arm64",
    );
  });

  it("contains the number of the attempt from the second one on", () => {
    expect(nameOf({ attempt: "2" })).toBe("kind-logs-test-kind-attempt-2");
  });

  it("is unique among the jobs of a matrix", () => {
    const matrices = [
      { os: "ubuntu-24.04", kubernetes: "1.34" },
      { os: "ubuntu-24.04", kubernetes: "1.33" },
      // These differ only in characters that are replaced.
      { image: "a/b:c" },
      { image: "a:b/c" },
      { image: "a b c" },
      { image: "a\nb\nc" },
      { greeting: "ä" },
      { greeting: "ö" },
      // These differ only after the maximum length.
      { long: `${"x".repeat(300)}1` },
      { long: `${"x".repeat(300)}2` },
    ];
    const names = matrices.map((matrix) => nameOf({ matrix: JSON.stringify(matrix) }));
    expect(new Set(names).size).toBe(names.length);
  });

  it("is truncated if it is too long, and then ends with a hash", () => {
    const room = 100 - "kind-logs--kind".length;
    expect(nameOf({ job: "x".repeat(room) })).toBe(`kind-logs-${"x".repeat(room)}-kind`);
    expect(nameOf({ job: "x".repeat(room + 1) })).toMatch(/^kind-logs-x{80}-[0-9a-f]{8}$/);
  });

  it.each([
    { matrix: JSON.stringify({ image: 'reg.example/a:1"|<>*?\\\r\n' }) },
    { matrix: JSON.stringify({ words: "ünïcödé 日本語 🙂" }) },
    { matrix: JSON.stringify({ long: "x".repeat(5_000) }) },
    { matrix: "{ no JSON" },
    { job: "x".repeat(100), cluster: "c".repeat(49) },
  ])("contains only valid characters, and has a limited length: $matrix", (job) => {
    const name = nameOf(job);
    expect(name).toMatch(/^[A-Za-z0-9._-]+$/);
    expect(name.length).toBeLessThanOrEqual(100);
  });
});
