/** Docker's limit for a repository without its registry, in characters: RepositoryNameTotalLengthMax. */
const maxRepositoryLength = 255;
/** In characters: registry (253), repository (255), tag (128), digest (71) and their separators are shorter. */
const maxReferenceLength = 1_024;

const domainLabel = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const registry = String.raw`(?:${domainLabel}(?:\.${domainLabel})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`;
const component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const grammar = new RegExp(
  String.raw`^((?:${registry}/)?(${component}(?:/${component})*))(?::(\w[\w.-]{0,127}))?(?:@(.+))?$`,
);
/** The algorithms of go-digest. */
const digestFormat = /^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$/;

/**
 * Returns the full name of an image, as containerd and Kubernetes use it: docker.io/library/web:latest for `web`.
 * The rules are those of github.com/distribution/reference (ParseDockerRef), which Docker and containerd both use.
 *
 * @returns the name, or a clause that follows the invalid reference
 */
export function normalizeReference(reference: string): string | { problem: string } {
  if (reference === "") return { problem: "is empty" };
  if (reference.length > maxReferenceLength) return { problem: "is too long for an image name" };
  if (/^[0-9a-f]{64}$/.test(reference)) return { problem: "is an image ID, not a name" };
  const { host, rest } = splitRegistry(reference);
  const match = grammar.exec(`${host}/${rest}`);
  if (match === null) {
    return /[A-Z]/.test(rest.replace(/[:@].*$/s, ""))
      ? { problem: "has uppercase letters in its repository" }
      : { problem: "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST" };
  }
  const [, name, repository = "", tag, digest] = match;
  if (repository.length > maxRepositoryLength) {
    return { problem: `has a repository longer than ${maxRepositoryLength} characters` };
  }
  if (digest !== undefined && !digestFormat.test(digest)) return { problem: "has an invalid digest" };
  // With a digest, Docker and containerd drop the tag.
  return `${name}${digest === undefined ? `:${tag ?? "latest"}` : `@${digest}`}`;
}

/** Splits at the first slash if the part before it looks like a registry; otherwise the registry is Docker Hub. */
function splitRegistry(reference: string): { host: string; rest: string } {
  const slash = reference.indexOf("/");
  const first = reference.slice(0, Math.max(slash, 0));
  const looksLikeRegistry = first === "localhost" || /[.:]/.test(first) || first !== first.toLowerCase();
  const host = !looksLikeRegistry || first === "index.docker.io" ? "docker.io" : first;
  const rest = looksLikeRegistry ? reference.slice(slash + 1) : reference;
  return { host, rest: host === "docker.io" && !rest.includes("/") ? `library/${rest}` : rest };
}
