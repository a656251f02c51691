import { describe, expect, it } from "vitest";
import { describeFileError, errorMessage, InvalidInputsError } from "../../src/lib/errors.ts";

describe("InvalidInputsError", () => {
  it("names the input, its value and the reason", () => {
    const error = new InvalidInputsError([
      { input: "wait", value: "5", reason: "must be a duration with a unit" },
    ]);
    expect(error.message).toBe('wait "5": must be a duration with a unit');
  });

  it("lists all problems, one a line", () => {
    const problems = [
      { input: "wait", value: "5", reason: "must be a duration" },
      { input: "runner", value: "", reason: "has no Docker" },
    ];
    const error = new InvalidInputsError(problems);
    expect(error.message).toBe(
      '2 problems; nothing was created:\n- wait "5": must be a duration\n- runner: has no Docker',
    );
    expect(error.problems).toEqual(problems);
  });

  it("omits a value of several lines, and truncates a long one", () => {
    const inline = new InvalidInputsError([
      { input: "config", value: "kind: Cluster\nfoo: 1\n", reason: "line 2: foo" },
    ]);
    expect(inline.message).toBe("config (inline): line 2: foo");
    const message = (length: number) =>
      new InvalidInputsError([{ input: "cluster_name", value: "x".repeat(length), reason: "is too long" }])
        .message;
    expect(message(120)).toMatch(/^cluster_name "x{120}": is too long$/);
    expect(message(121)).toMatch(/^cluster_name "x{119}…": is too long$/);
  });

  it("escapes control characters in a value", () => {
    const error = new InvalidInputsError([{ input: "cluster_name", value: 'a\t"b"', reason: "no" }]);
    expect(error.message).toBe('cluster_name "a\\t\\"b\\"": no');
  });
});

describe("errorMessage", () => {
  it.each<[unknown, string]>([
    [new Error("refused"), "refused"],
    ["refused", "refused"],
    [undefined, "undefined"],
  ])("returns the message of %j", (error, message) => {
    expect(errorMessage(error)).toBe(message);
  });
});

describe("describeFileError", () => {
  it.each([
    ["ENOENT", "does not exist"],
    ["EISDIR", "is a directory"],
    ["EACCES", "is not readable by this user"],
    ["EIO", "could not be read: i/o error"],
  ])("describes %s: %s", (code, reason) => {
    expect(describeFileError(Object.assign(new Error("i/o error"), { code }))).toBe(reason);
  });
});
