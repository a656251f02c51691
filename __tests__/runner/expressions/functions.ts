import { z } from "zod";
import { ExpressionError } from "./lexer.ts";
import { isArray, looselyEqual, toText, type Value } from "./value.ts";

/** A function of the expression language: how many arguments it takes, and what it makes of them. */
export interface ExpressionFunction {
  readonly min: number;
  readonly max: number;
  call(args: readonly Value[]): Value;
}

/** By name, in lower case: function names have no case. */
export type FunctionTable = ReadonlyMap<string, ExpressionFunction>;

/** What every expression may call. (`hashFiles` is left out: the harness has no use for it.) */
export const generalFunctions: FunctionTable = new Map<string, ExpressionFunction>([
  ["contains", { min: 2, max: 2, call: ([search = null, item = null]) => contains(search, item) }],
  [
    "startswith",
    { min: 2, max: 2, call: ([text = null, start = null]) => folded(text).startsWith(folded(start)) },
  ],
  ["endswith", { min: 2, max: 2, call: ([text = null, end = null]) => folded(text).endsWith(folded(end)) }],
  ["format", { min: 1, max: 255, call: ([template = null, ...args]) => format(toText(template), args) }],
  ["join", { min: 1, max: 2, call: ([list = null, separator = ","]) => join(list, toText(separator)) }],
  ["tojson", { min: 1, max: 1, call: ([value = null]) => JSON.stringify(value, null, 2) }],
  ["fromjson", { min: 1, max: 1, call: ([text = null]) => z.json().parse(JSON.parse(toText(text))) }],
]);

function contains(search: Value, item: Value): boolean {
  if (isArray(search)) return search.some((element) => looselyEqual(element, item));
  return folded(search).includes(folded(item));
}

function format(template: string, args: readonly Value[]): string {
  return template.replace(/\{\{|\}\}|\{(\d+)\}|[{}]/g, (match, index?: string) => {
    if (match === "{{" || match === "}}") return match.charAt(0);
    const arg = index === undefined ? undefined : args[Number(index)];
    if (arg === undefined) throw new ExpressionError(`The following format string is invalid: ${template}`);
    return toText(arg);
  });
}

function join(list: Value, separator: string): string {
  return isArray(list) ? list.map(toText).join(separator) : toText(list);
}

function folded(value: Value): string {
  return toText(value).toUpperCase();
}
