/** A way in which a server lets itself be convinced (RFC 9110, 11.6.1). */
export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** By their names, in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** A parameter, quoted or not, or a scheme: what is not followed by `=`. */
const part = /([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?/g;

/** Reads a `WWW-Authenticate` header, several of them with commas between as Node gives them. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  for (const [text, name = "", quoted, plain] of header.matchAll(part)) {
    if (text === name) challenges.push({ scheme: name.toLowerCase(), parameters: new Map() });
    else
      challenges.at(-1)?.parameters.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, "$1") ?? plain ?? "");
  }
  return challenges;
}
