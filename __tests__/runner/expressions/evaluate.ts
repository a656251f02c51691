import { type FunctionTable, generalFunctions } from "./functions.ts";
import { ExpressionError } from "./lexer.ts";
import { type BinaryOperator, type Expression, parse } from "./parser.ts";
import { isLess, isTruthy, looselyEqual, property, type Value } from "./value.ts";

/** The contexts an expression may read, and the functions it may call beyond the general ones. */
export interface Scope {
  readonly contexts: Readonly<Record<string, Value>>;
  readonly functions?: FunctionTable;
}

/** The value of an expression: what stands between `${{` and `}}`, or the whole of an `if`. */
export function evaluate(expression: string, scope: Scope): Value {
  const functions = new Map([...generalFunctions, ...(scope.functions ?? [])]);
  const contexts = new Map(
    Object.entries(scope.contexts).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const tree = parse(expression, {
    isContext: (name) => contexts.has(name.toLowerCase()),
    isFunction: (name) => functions.has(name.toLowerCase()),
  });
  return compute(tree);

  function compute(node: Expression): Value {
    switch (node.kind) {
      case "literal":
        return node.value;
      case "context":
        return contexts.get(node.name.toLowerCase()) ?? null;
      case "index":
        return property(compute(node.object), compute(node.key));
      case "call":
        return call(node.name, node.args.map(compute));
      case "not":
        return !isTruthy(compute(node.operand));
      case "binary":
        return binary(node.operator, compute(node.left), () => compute(node.right));
    }
  }

  function call(name: string, args: readonly Value[]): Value {
    const target = functions.get(name.toLowerCase());
    if (target === undefined || args.length < target.min || args.length > target.max) {
      throw new ExpressionError(`Wrong number of parameters for '${name}': ${args.length}`);
    }
    return target.call(args);
  }
}

/** `&&` and `||` give one of their operands, not a boolean, and look at the right one only when they must. */
function binary(operator: BinaryOperator, left: Value, right: () => Value): Value {
  switch (operator) {
    case "||":
      return isTruthy(left) ? left : right();
    case "&&":
      return isTruthy(left) ? right() : left;
    case "==":
      return looselyEqual(left, right());
    case "!=":
      return !looselyEqual(left, right());
    case "<":
      return isLess(left, right());
    case ">":
      return isLess(right(), left);
    case "<=": {
      const other = right();
      return isLess(left, other) || looselyEqual(left, other);
    }
    case ">=": {
      const other = right();
      return isLess(other, left) || looselyEqual(left, other);
    }
  }
}
