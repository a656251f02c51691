import { describe, expect, it } from "vitest";
import { artifactName } from "../../src/logs/artifact-name.ts";

const nameOf = (on: Partial<Parameters<typeof artifactName>[0]>) =>
  artifactName({ job: "test", cluster: "kind", matrix: "null", attempt: "1", ...on });

describe("the name of the logs", () => {
  it("is the job's and the cluster's", () => {
    expect(nameOf({})).toBe("kind-logs-test-kind");
    expect(nameOf({ job: "e2e_tests", cluster: "shop" })).toBe("kind-logs-e2e_tests-shop");
  });

  it.each(["null", "", "{}"])("has nothing of a matrix where there is none: %j", (matrix) => {
    expect(nameOf({ matrix })).toBe("kind-logs-test-kind");
  });

  it("has the values of the matrix", () => {
    expect(nameOf({ matrix: JSON.stringify({ kubernetes: "1.34", ha: true, shard: 2 }) })).toBe(
      "kind-logs-test-kind-1.34-true-2",
    );
    expect(nameOf({ matrix: JSON.stringify({ on: { os: "ubuntu", arch: ["arm64"] } }) })).toBe(
      "kind-logs-test-kind-ubuntu-arm64",
    );
  });

  it("has the attempt from the second on: the first one's logs stay", () => {
    expect(nameOf({ attempt: "2" })).toBe("kind-logs-test-kind-attempt-2");
  });

  it("differs between the jobs of a matrix, whatever its values are", () => {
    const matrices = [
      { os: "ubuntu-24.04", kubernetes: "1.34" },
      { os: "ubuntu-24.04", kubernetes: "1.33" },
      // The same but for what a name may not hold.
      { image: "a/b:c" },
      { image: "a:b/c" },
      { image: "a b c" },
      { image: "a\nb\nc" },
      { greeting: "ä" },
      { greeting: "ö" },
      // The same for longer than a name.
      { long: `${"x".repeat(300)}1` },
      { long: `${"x".repeat(300)}2` },
    ];
    const names = matrices.map((matrix) => nameOf({ matrix: JSON.stringify(matrix) }));
    expect(new Set(names).size).toBe(names.length);
  });

  it("is cut only where it is too long, and still begins as it would", () => {
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
  ])("is one that the artifact service takes: $matrix", (on) => {
    const name = nameOf(on);
    expect(name).toMatch(/^[A-Za-z0-9._-]+$/);
    expect(name.length).toBeLessThanOrEqual(100);
  });
});
