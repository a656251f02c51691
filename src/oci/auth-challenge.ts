/** An authentication challenge of a server (RFC 9110, 11.6.1). */
export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** By name, in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** A parameter, quoted or not; or a scheme, which is not followed by `=`. */
const token = /([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?/g;

/** Parses a `WWW-Authenticate` header. Node joins several headers with commas. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  for (const [match, name = "", quoted, unquoted] of header.matchAll(token)) {
    if (match === name) challenges.push({ scheme: name.toLowerCase(), parameters: new Map() });
    else
      challenges
        .at(-1)
        ?.parameters.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, "$1") ?? unquoted ?? "");
  }
  return challenges;
}
