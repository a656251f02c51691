/** A value of GitHub's expression language. */
export type Value = null | boolean | number | string | readonly Value[] | { readonly [name: string]: Value };

/** `Array.isArray`, which TypeScript does not narrow for read-only arrays. */
export function isArray(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** Falsy are `false`, `0`, `''`, `null` and NaN, as in JavaScript. */
export function isTruthy(value: Value): boolean {
  return Boolean(value);
}

/** Primitives as JavaScript's `Number()` has it; arrays and objects are NaN. */
export function toNumber(value: Value): number {
  return typeof value === "object" && value !== null ? Number.NaN : Number(value);
}

/** What `${{ value }}` puts into a string. */
export function toText(value: Value): string {
  if (value === null) return "";
  if (isArray(value)) return "Array";
  if (typeof value === "object") return "Object";
  // The runner prints 15 significant digits, so that 0.1 + 0.2 style noise never shows.
  if (typeof value === "number" && Number.isFinite(value)) return String(Number(value.toPrecision(15)));
  return String(value);
}

/** `==`: different types are compared as numbers, strings without case, arrays and objects by identity. */
export function looselyEqual(left: Value, right: Value): boolean {
  const [a, b] = coerce(left, right);
  if (typeof a === "string" && typeof b === "string") return a.toUpperCase() === b.toUpperCase();
  return a === b;
}

/** `<`, with the same conversions as `==`; what has no order is not less. */
export function isLess(left: Value, right: Value): boolean {
  const [a, b] = coerce(left, right);
  if (typeof a === "string" && typeof b === "string") return a.toUpperCase() < b.toUpperCase();
  if (typeof a === "number" && typeof b === "number") return a < b;
  if (typeof a === "boolean" && typeof b === "boolean") return a < b;
  return false;
}

/** `value.key` and `value[key]`: names without case; what is not there is null, at any depth. */
export function property(value: Value, key: Value): Value {
  if (isArray(value)) {
    const index = Math.floor(toNumber(key));
    return value[index] ?? null;
  }
  if (typeof value !== "object" || value === null) return null;
  const wanted = toText(key).toUpperCase();
  const found = Object.entries(value).find(([name]) => name.toUpperCase() === wanted);
  return found?.[1] ?? null;
}

function coerce(left: Value, right: Value): [Value, Value] {
  if (typeof left === typeof right || !isPrimitive(left) || !isPrimitive(right)) return [left, right];
  return [toNumber(left), toNumber(right)];
}

function isPrimitive(value: Value): boolean {
  return value === null || typeof value !== "object";
}
