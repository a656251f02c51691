import { resolve } from "node:path";
import type { Problem } from "../../lib/errors.ts";

/** Reads inputs, and collects their problems, so that all of them are reported at once. */
export class InputReader {
  readonly problems: Problem[] = [];
  /** The folder that relative paths refer to. */
  readonly workspace: string;
  readonly #input: (name: string) => string;

  /** @param input returns the value of an input, or an empty string if it is not set (core.getInput) */
  constructor(input: (name: string) => string, workspace: string) {
    this.#input = input;
    this.workspace = workspace;
  }

  /**
   * Adds a problem.
   *
   * @param reason a clause without its subject, which is the input
   * @param value the invalid part of the input
   */
  problem(input: string, reason: string, value = this.#input(input)): void {
    this.problems.push({ input, value, reason });
  }

  /** Returns the value of an input, or an empty string if it is not set. */
  text(name: string): string {
    return this.#input(name);
  }

  /** Returns the value of an input, or undefined if it is not set. */
  optional(name: string): string | undefined {
    return this.#input(name) || undefined;
  }

  /** Returns the trimmed lines of an input, without empty lines. */
  lines(name: string): string[] {
    return this.#input(name)
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
  }

  /** Returns the value of an input if it matches a pattern. @param rule the reason of the problem if it does not */
  matching(name: string, pattern: RegExp, rule: string): string | undefined {
    const value = this.optional(name);
    if (value === undefined || pattern.test(value)) return value;
    this.problem(name, rule);
    return undefined;
  }

  /** Reads an input with a fixed set of values; the first is the default. */
  oneOf<const T extends readonly [string, ...string[]]>(name: string, allowed: T): T[number] {
    const value = this.#input(name) || allowed[0];
    const found = allowed.find((choice) => choice === value);
    if (found === undefined) this.problem(name, `must be one of ${allowed.join(", ")}`);
    return found ?? allowed[0];
  }

  /** Reads a boolean of the YAML core schema, as core.getBooleanInput does. */
  boolean(name: string, fallback = false): boolean {
    const value = this.#input(name);
    if (value === "") return fallback;
    if (/^(true|True|TRUE)$/.test(value)) return true;
    if (!/^(false|False|FALSE)$/.test(value)) this.problem(name, "must be true or false");
    return false;
  }

  /** Reads a duration in the format of Go, such as `1m30s`. @returns milliseconds */
  duration(name: string, fallbackMs: number): number {
    const value = this.#input(name);
    if (value === "") return fallbackMs;
    if (value === "0") return 0;
    const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
    if (!/^(\d+(\.\d+)?(h|ms|m|s))+$/.test(value)) {
      this.problem(name, "must be a duration with a unit, such as 5m, 90s or 1m30s (0s does not wait)");
      return fallbackMs;
    }
    const parts = value.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g);
    return [...parts].reduce((sum, [, amount, unit]) => sum + Number(amount) * (units[unit ?? ""] ?? 0), 0);
  }

  /** Reads a size in decimal units, as Docker prints them. @returns bytes */
  size(name: string, fallback: number): number {
    const value = this.#input(name);
    if (value === "") return fallback;
    const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)\s*(MB|GB)$/.exec(value) ?? [];
    if (amount !== undefined) return Number(amount) * (unit === "GB" ? 1e9 : 1e6);
    this.problem(name, "must be a size with a unit, such as 500MB or 2GB");
    return fallback;
  }

  /** Reads a path, and resolves it against the workspace. */
  path(name: string): string | undefined {
    const value = this.optional(name);
    return value === undefined ? undefined : resolve(this.workspace, value);
  }
}
