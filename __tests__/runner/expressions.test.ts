// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${{ }} is GitHub's syntax
import { describe, expect, test } from "vitest";
import { statusFunctions } from "./contexts.ts";
import { evaluate } from "./expressions/evaluate.ts";
import { interpolate } from "./expressions/template.ts";
import { toText, type Value } from "./expressions/value.ts";

const contexts: Record<string, Value> = {
  github: { repository: "org/repo", event: { repository: { default_branch: "main" } }, run_id: "42" },
  job: { status: "failure" },
  matrix: { version: "1.34", nodes: [1, 2, 3], experimental: false },
  runner: { os: "Linux" },
};
const scope = { contexts };

describe("evaluate", () => {
  test.each<[expression: string, value: Value]>([
    // Literals
    ["'it''s'", "it's"],
    ["''", ""],
    ["42", 42],
    ["-1.5e3", -1500],
    ["0xff", 255],
    ["0o17", 15],
    [".5", 0.5],
    ["true", true],
    ["null", null],

    // Contexts: names without case, and null for what is not there
    ["github.repository", "org/repo"],
    ["GitHub.Repository", "org/repo"],
    ["github.event.repository.default_branch", "main"],
    ["github['event']['repository'].default_branch", "main"],
    ["github[format('run{0}', '_id')]", "42"],
    ["github.nothing.at.all", null],
    ["matrix.nodes[1]", 2],
    ["matrix.nodes[9]", null],
    ["matrix.nodes['1']", 2],
    ["job.status.length", null],

    // Equality: strings without case, other types as numbers
    ["job.status == 'FAILURE'", true],
    ["'1' == 1", true],
    ["'0x10' == 16", true],
    ["'' == 0", true],
    ["null == ''", true],
    ["null == 0", true],
    ["null == false", true],
    ["true == 1", true],
    ["true == 'true'", false],
    ["'a' == 0", false],
    ["NaN == NaN", false],
    ["matrix == matrix", true],
    ["matrix.nodes == github", false],
    ["matrix != null", true],
    ["runner.os != 'linux'", false],

    // Order
    ["2 < 10", true],
    ["'2' < '10'", false],
    ["'2' < 10", true],
    ["'B' > 'a'", true],
    ["1 >= true", true],
    ["'x' <= 1", false],

    // Logic gives operands, not booleans
    ["'' || 'default'", "default"],
    ["'given' || 'default'", "given"],
    ["matrix.experimental && 'yes' || 'no'", "no"],
    ["runner.os == 'Linux' && 'yes' || 'no'", "yes"],
    ["0 && 'never'", 0],
    ["!''", true],
    ["!!'0'", true],
    ["!github.event", false],

    // Precedence
    ["true || false && false", true],
    ["(true || false) && false", false],
    ["!false == true", true],
    ["1 < 2 == true", true],

    // Functions
    ["format('{0} of {1}, {{{0}}}', 1, 'x')", "1 of x, {1}"],
    ["contains(github.repository, 'ORG')", true],
    ["contains(matrix.nodes, '3')", true],
    ["startsWith(matrix.version, '1.')", true],
    ["endsWith(github.repository, '/REPO')", true],
    ["join(matrix.nodes, '-')", "1-2-3"],
    ["join(matrix.nodes)", "1,2,3"],
    ["toJSON(matrix.nodes)", "[\n  1,\n  2,\n  3\n]"],
    ["tojson('a\"b')", '"a\\"b"'],
    ["fromJSON('{\"a\": [true]}').a[0]", true],
  ])("%s is %j", (expression, value) => {
    expect(evaluate(expression, scope)).toEqual(value);
  });

  test("the right operand is evaluated only where it decides", () => {
    expect(evaluate("true || format('{1}', 'missing')", scope)).toBe(true);
    expect(() => evaluate("false || format('{1}', 'missing')", scope)).toThrow(
      "The following format string is invalid: {1}",
    );
  });

  test.each([
    ["success", true, false, false],
    ["failure", false, true, false],
    ["cancelled", false, false, true],
  ] as const)("with a job that is %s", (status, success, failure, cancelled) => {
    const functions = statusFunctions(status);
    const values = ["success()", "failure()", "cancelled()", "always()"].map((call) =>
      evaluate(call, { contexts, functions }),
    );
    expect(values).toEqual([success, failure, cancelled, true]);
  });

  test.each([
    ["env.HOME", "Unrecognized named-value: 'env'. Located at position 1 within expression: env.HOME"],
    ["true || secrets.X", "Unrecognized named-value: 'secrets'"],
    ["1 == nope()", "Unrecognized function: 'nope'. Located at position 6"],
    ["success()", "Unrecognized function: 'success'"],
    ["toJSON()", "Wrong number of parameters for 'toJSON'"],
    ["github.", "Unexpected end of expression: github."],
    ["github repository", "Unexpected symbol: 'repository'. Located at position 8"],
    ["'open", "Unexpected symbol: '''"],
    ['"double"', "Unexpected symbol: '\"'"],
    ["(1", "Unexpected end of expression"],
    ["matrix.*", "Object filters (*) are not supported here"],
    ["", "Unexpected end of expression"],
  ])("%s is rejected", (expression, message) => {
    expect(() => evaluate(expression, scope)).toThrow(message);
  });
});

describe("interpolate", () => {
  test.each([
    ["plain text", "plain text"],
    ["${{ job.status }}", "failure"],
    ["${{matrix.version}}/${{ runner.os }}!", "1.34/Linux!"],
    ["${{ github.nothing }}", ""],
    ["${{ matrix.experimental }}", "false"],
    ["${{ matrix.nodes }} and ${{ matrix }}", "Array and Object"],
    ["${{ '}}' }}", "}}"],
    ["${{ format('{{{0}}}', 1) }}", "{1}"],
    ["$notme {{ norme }}", "$notme {{ norme }}"],
  ])("%s becomes %s", (text, filled) => {
    expect(interpolate(text, scope)).toBe(filled);
  });

  test("an expression that is not closed is an error", () => {
    expect(() => interpolate("${{ job.status }", scope)).toThrow("The expression is not closed");
  });
});

test.each<[Value, string]>([
  [null, ""],
  [true, "true"],
  [1.5, "1.5"],
  [0.1 + 0.2, "0.3"],
  [Number.NaN, "NaN"],
])("%j prints as '%s'", (value, text) => {
  expect(toText(value)).toBe(text);
});
