// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${{ }} is GitHub's syntax
import { expect, test } from "vitest";
import { holds, interpolate } from "./expressions.ts";

const contexts = { job: { status: "failure" }, matrix: null, github: { repository: "org/repo" } };

test.each([
  ["plain {{ text }}", "plain {{ text }}"],
  ["${{ job.status }} of ${{github.repository}}", "failure of org/repo"],
  ["${{ toJSON(matrix) }}", "null"],
  ["${{ github.nothing || '}}' }}", "}}"],
])("interpolate: %s is '%s'", (text, value) => {
  expect(interpolate(text, contexts)).toBe(value);
});

test.each(["${{ env.HOME }}", "${{ success() }}", "${{ job. }}"])("interpolate: %s is an error", (text) => {
  expect(() => interpolate(text, contexts)).toThrow();
});

test.each([
  ["always()", true],
  ["failure() && github.repository == 'ORG/repo'", true],
  ["success() || cancelled()", false],
])("holds: %s is %s in a job that failed", (condition, value) => {
  expect(holds(condition, contexts, "failure")).toBe(value);
});
