import { evaluate, type Scope } from "./evaluate.ts";
import { ExpressionError } from "./lexer.ts";
import { toText } from "./value.ts";

/** An expression in a text. A `}}` inside a string literal does not end it. */
const placeholder = /\$\{\{((?:[^'}]|'(?:[^']|'')*'|\}(?!\}))*)\}\}/g;

/** Replaces every `${{ expression }}` of a text by its value. */
export function interpolate(text: string, scope: Scope): string {
  const filled = text.replace(placeholder, (_, expression: string) =>
    toText(evaluate(expression.trim(), scope)),
  );
  if (text.replace(placeholder, "").includes("${{")) {
    throw new ExpressionError(
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is GitHub's syntax that is quoted
      "The expression is not closed. An unescaped ${{ sequence was found, but the closing }} sequence was not found.",
    );
  }
  return filled;
}
