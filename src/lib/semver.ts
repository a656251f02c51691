import coerce from "semver/functions/coerce.js";
import compare from "semver/functions/compare.js";

/**
 * Compares two versions by their numbers: `v0.9.0` is before `v0.33.0`, a pre-release before its release. Missing parts are
 * 0 (`v0.27`, `1.48`). Text without a version, such as an empty string, is 0.0.0.
 *
 * @returns a negative number, 0 or a positive number, for `toSorted`
 */
export function compareVersions(a: string, b: string): number {
  return compare(parse(a), parse(b));
}

/** Whether a version is the minimum or later. Text without a version is 0.0.0. */
export const isAtLeast = (version: string, minimum: string): boolean =>
  compareVersions(version, minimum) >= 0;

const parse = (version: string) => coerce(version, { includePrerelease: true }) ?? "0.0.0";

/** Returns the minor release of a version: `v1.34` for `v1.34.11`. */
export const minorOf = (version: string): string => version.split(".").slice(0, 2).join(".");
