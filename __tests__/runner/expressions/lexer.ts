export type Token =
  | { readonly kind: "name" | "symbol"; readonly text: string; readonly position: number }
  | { readonly kind: "string"; readonly text: string; readonly value: string; readonly position: number }
  | { readonly kind: "number"; readonly text: string; readonly value: number; readonly position: number };

/** An expression that is not one, in the runner's words. */
export class ExpressionError extends Error {
  override readonly name = "ExpressionError";
}

const pattern = new RegExp(
  [
    /(?<space>\s+)/,
    /(?<string>'(?:[^']|'')*')/,
    /(?<number>[-+]?(?:0x[0-9a-fA-F]+|0o[0-7]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?))/,
    /(?<name>[A-Za-z_][A-Za-z0-9_-]*)/,
    /(?<symbol>&&|\|\||==|!=|<=|>=|[<>!()[\],.*])/,
  ]
    .map((part) => part.source)
    .join("|"),
  "y",
);

/** Splits an expression into tokens; strings lose their quotes, `''` becomes one quote. */
export function tokenise(expression: string): Token[] {
  const tokens: Token[] = [];
  let position = 0;
  while (position < expression.length) {
    pattern.lastIndex = position;
    const match = pattern.exec(expression);
    if (match === null) throw unexpected(expression.slice(position, position + 1), position, expression);
    const text = match[0];
    const { string, number, name, symbol } = match.groups ?? {};
    if (string !== undefined) {
      tokens.push({ kind: "string", text, value: string.slice(1, -1).replaceAll("''", "'"), position });
    } else if (number !== undefined) {
      tokens.push({ kind: "number", text, value: Number(number), position });
    } else if (name !== undefined) {
      tokens.push({ kind: "name", text, position });
    } else if (symbol !== undefined) {
      tokens.push({ kind: "symbol", text, position });
    }
    position += text.length;
  }
  return tokens;
}

/** The runner counts positions from 1. */
export function unexpected(symbol: string, position: number, expression: string): ExpressionError {
  return new ExpressionError(
    `Unexpected symbol: '${symbol}'. Located at position ${position + 1} within expression: ${expression}`,
  );
}
