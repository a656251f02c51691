import { data, Evaluator, Lexer, Parser } from "@actions/expressions";
import type { FunctionDefinition } from "@actions/expressions/funcs/info";
import { truthy } from "@actions/expressions/result";

export type JobStatus = "success" | "failure" | "cancelled";

/** What expressions can read, by the name of the context: JSON. */
export type Contexts = Readonly<Record<string, unknown>>;

/** An expression in a text. A `}}` inside a string literal does not end it. */
const placeholder = /\$\{\{((?:[^'}]|'(?:[^']|'')*'|\}(?!\}))*)\}\}/g;

/**
 * Replaces each `${{ expression }}` of a text by its value.
 *
 * @throws ExpressionError for a syntax error, a context that is not there, or an unknown function
 */
export function interpolate(text: string, contexts: Contexts): string {
  return text.replace(placeholder, (_, expression: string) =>
    evaluate(expression, contexts, []).coerceString(),
  );
}

/** Whether a condition (`post-if`) is true in a job with that status. @throws as `interpolate` does */
export function holds(condition: string, contexts: Contexts, status: JobStatus): boolean {
  const statusFunction = (name: string, value: boolean): FunctionDefinition => ({
    name,
    minArgs: 0,
    maxArgs: 0,
    call: () => new data.BooleanData(value),
  });
  return truthy(
    evaluate(condition, contexts, [
      statusFunction("always", true),
      statusFunction("success", status === "success"),
      statusFunction("failure", status === "failure"),
      statusFunction("cancelled", status === "cancelled"),
    ]),
  );
}

function evaluate(
  expression: string,
  contexts: Contexts,
  functions: FunctionDefinition[],
): data.ExpressionData {
  const dictionary: unknown = JSON.parse(JSON.stringify(contexts), data.reviver);
  if (!(dictionary instanceof data.Dictionary)) throw new Error("The contexts are no object");
  const { tokens } = new Lexer(expression).lex();
  const tree = new Parser(tokens, Object.keys(contexts), functions).parse();
  const byName = new Map(functions.map((definition) => [definition.name, definition]));
  return new Evaluator(tree, dictionary, byName).evaluate();
}
