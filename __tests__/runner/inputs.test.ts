// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${{ }} is GitHub's syntax
import { expect, test } from "vitest";
import { stepInputs } from "./inputs.ts";

const scope = { contexts: { job: { status: "failure" } } };
const declared = {
  cluster_name: { default: "kind" },
  "Two Words": { default: "" },
  "hyphen-ated": { default: "5" },
  job_status: { default: "${{ job.status }}" },
};

test("variables are upper case, with _ for a space and hyphens as they are", () => {
  expect(stepInputs(declared, {}, scope)).toEqual({
    env: {
      INPUT_CLUSTER_NAME: "kind",
      INPUT_TWO_WORDS: "",
      "INPUT_HYPHEN-ATED": "5",
      INPUT_JOB_STATUS: "failure",
    },
    warnings: [],
  });
});

test("a given value replaces the default, empty or not, whatever the case of the name", () => {
  const { env } = stepInputs(declared, { Cluster_Name: "a\nb", "hyphen-ated": "" }, scope);
  expect(env).toMatchObject({ INPUT_CLUSTER_NAME: "a\nb", "INPUT_HYPHEN-ATED": "" });
});

test("a given value is not an expression", () => {
  const { env } = stepInputs(declared, { cluster_name: "${{ job.status }}" }, scope);
  expect(env.INPUT_CLUSTER_NAME).toBe("${{ job.status }}");
});

test("an input that was not declared is passed, with a warning", () => {
  const { env, warnings } = stepInputs(declared, { cluster: "a", wait: "1m" }, scope);
  expect(env).toMatchObject({ INPUT_CLUSTER: "a", INPUT_WAIT: "1m" });
  expect(warnings).toEqual([
    "Unexpected input(s) 'cluster', 'wait', valid inputs are ['cluster_name', 'Two Words', 'hyphen-ated', 'job_status']",
  ]);
});

test("a deprecated input gives a warning when it is used", () => {
  const old = { old: { default: "1", deprecationMessage: "use new" } };
  expect(stepInputs(old, {}, scope).warnings).toEqual([]);
  expect(stepInputs(old, { old: "2" }, scope).warnings).toEqual([
    "Input 'old' has been deprecated with message: use new",
  ]);
});

test("a default may not use what the runner does not give it", () => {
  expect(() => stepInputs({ a: { default: "${{ env.HOME }}" } }, {}, scope)).toThrow(
    "Unrecognized named-value: 'env'",
  );
});
