import { ExpressionError, type Token, tokenise, unexpected } from "./lexer.ts";
import type { Value } from "./value.ts";

export type BinaryOperator = "||" | "&&" | "==" | "!=" | "<" | "<=" | ">" | ">=";

/** The syntax tree of an expression. */
export type Expression =
  | { readonly kind: "literal"; readonly value: Value }
  | { readonly kind: "context"; readonly name: string }
  | { readonly kind: "index"; readonly object: Expression; readonly key: Expression }
  | { readonly kind: "call"; readonly name: string; readonly args: readonly Expression[] }
  | { readonly kind: "not"; readonly operand: Expression }
  | {
      readonly kind: "binary";
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    };

/** The names that an expression may use at its place. The runner rejects any other before it evaluates. */
export interface KnownNames {
  isContext(name: string): boolean;
  isFunction(name: string): boolean;
}

/** From the loosest binding to the tightest. */
const precedence: readonly (readonly BinaryOperator[])[] = [
  ["||"],
  ["&&"],
  ["==", "!="],
  ["<", "<=", ">", ">="],
];

const keywords = new Map<string, Value>([
  ["true", true],
  ["false", false],
  ["null", null],
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
]);

/** Parses what stands between `${{` and `}}`. */
export function parse(expression: string, known: KnownNames): Expression {
  const parser = new Parser(expression, known);
  return parser.parse();
}

class Parser {
  readonly #source: string;
  readonly #known: KnownNames;
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(source: string, known: KnownNames) {
    this.#source = source;
    this.#known = known;
    this.#tokens = tokenise(source);
  }

  parse(): Expression {
    const expression = this.#binary(0);
    const rest = this.#tokens[this.#next];
    if (rest !== undefined) throw unexpected(rest.text, rest.position, this.#source);
    return expression;
  }

  #binary(level: number): Expression {
    const operators = precedence[level];
    if (operators === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    for (;;) {
      const operator = operators.find((candidate) => this.#accept(candidate));
      if (operator === undefined) return left;
      left = { kind: "binary", operator, left, right: this.#binary(level + 1) };
    }
  }

  #unary(): Expression {
    if (this.#accept("!")) return { kind: "not", operand: this.#unary() };
    return this.#postfix(this.#primary());
  }

  #postfix(object: Expression): Expression {
    if (this.#accept(".")) {
      const name = this.#take();
      if (name.text === "*") throw new ExpressionError("Object filters (*) are not supported here");
      if (name.kind !== "name") throw unexpected(name.text, name.position, this.#source);
      return this.#postfix({ kind: "index", object, key: { kind: "literal", value: name.text } });
    }
    if (this.#accept("[")) {
      const key = this.#binary(0);
      this.#expect("]");
      return this.#postfix({ kind: "index", object, key });
    }
    return object;
  }

  #primary(): Expression {
    if (this.#accept("(")) {
      const inner = this.#binary(0);
      this.#expect(")");
      return inner;
    }
    const token = this.#take();
    if (token.kind === "string" || token.kind === "number") return { kind: "literal", value: token.value };
    if (token.kind !== "name") throw unexpected(token.text, token.position, this.#source);
    const keyword = keywords.get(token.text);
    if (keyword !== undefined) return { kind: "literal", value: keyword };
    if (this.#accept("(")) return this.#call(token);
    if (!this.#known.isContext(token.text)) throw this.#unrecognised("named-value", token);
    return { kind: "context", name: token.text };
  }

  #call(name: Token): Expression {
    if (!this.#known.isFunction(name.text)) throw this.#unrecognised("function", name);
    const args: Expression[] = [];
    while (!this.#accept(")")) {
      if (args.length > 0) this.#expect(",");
      args.push(this.#binary(0));
    }
    return { kind: "call", name: name.text, args };
  }

  #unrecognised(what: string, token: Token): ExpressionError {
    return new ExpressionError(
      `Unrecognized ${what}: '${token.text}'. Located at position ${token.position + 1} within expression: ${this.#source}`,
    );
  }

  #accept(symbol: string): boolean {
    const token = this.#tokens[this.#next];
    if (token?.kind !== "symbol" || token.text !== symbol) return false;
    this.#next++;
    return true;
  }

  #expect(symbol: string): void {
    if (this.#accept(symbol)) return;
    const token = this.#take();
    throw unexpected(token.text, token.position, this.#source);
  }

  #take(): Token {
    const token = this.#tokens[this.#next];
    if (token === undefined) throw new ExpressionError(`Unexpected end of expression: ${this.#source}`);
    this.#next++;
    return token;
  }
}
