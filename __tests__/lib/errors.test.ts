import { describe, expect, it } from "vitest";
import { InvalidInputsError } from "../../src/lib/errors.ts";

describe("what is wrong with the inputs", () => {
  it("is told with the input's name, what was given, and what would be right", () => {
    const error = new InvalidInputsError([
      { input: "wait", value: "5", reason: "wants a duration with its unit" },
    ]);
    expect(error.message).toBe('wait "5": wants a duration with its unit');
  });

  it("is told all at once, each on a line of its own", () => {
    const problems = [
      { input: "wait", value: "5", reason: "wants a duration" },
      { input: "runner", value: "", reason: "has no Docker" },
    ];
    const error = new InvalidInputsError(problems);
    expect(error.message).toBe(
      '2 problems, nothing was made:\n- wait "5": wants a duration\n- runner: has no Docker',
    );
    expect(error.problems).toEqual(problems);
  });

  it("does not repeat a whole configuration, nor a value that never ends", () => {
    const inline = new InvalidInputsError([
      { input: "config", value: "kind: Cluster\nfoo: 1\n", reason: "line 2: foo" },
    ]);
    expect(inline.message).toBe("config (given inline): line 2: foo");
    const told = (length: number) =>
      new InvalidInputsError([{ input: "cluster_name", value: "x".repeat(length), reason: "is too long" }])
        .message;
    expect(told(120)).toMatch(/^cluster_name "x{120}": is too long$/);
    expect(told(121)).toMatch(/^cluster_name "x{119}…": is too long$/);
  });

  it("shows a value with what cannot be seen in it", () => {
    const error = new InvalidInputsError([{ input: "cluster_name", value: 'a\t"b"', reason: "no" }]);
    expect(error.message).toBe('cluster_name "a\\t\\"b\\"": no');
  });
});
