/** Docker's own limit for a repository without its registry: RepositoryNameTotalLengthMax. */
const longestRepository = 255;
/** Registry (253), repository (255), tag (128) and digest (71) with what stands between them: no name is longer. */
const longestReference = 1_024;

const domainLabel = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const registry = String.raw`(?:${domainLabel}(?:\.${domainLabel})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`;
const component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const grammar = new RegExp(
  String.raw`^((?:${registry}/)?(${component}(?:/${component})*))(?::(\w[\w.-]{0,127}))?(?:@(.+))?$`,
);
/** The algorithms that go-digest knows. */
const digest = /^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$/;

/**
 * The full name of an image as containerd and Kubernetes have it: `web` is docker.io/library/web:latest.
 * The rules are those of github.com/distribution/reference (ParseDockerRef), which Docker and containerd both use.
 *
 * @returns the name, or why it is none, without the name itself
 */
export function normalizeReference(reference: string): string | { problem: string } {
  if (reference === "") return { problem: "is empty" };
  if (reference.length > longestReference) return { problem: "is too long for the name of an image" };
  if (/^[0-9a-f]{64}$/.test(reference)) return { problem: "is an image's ID, not a name" };
  const { host, rest } = splitRegistry(reference);
  const read = grammar.exec(`${host}/${rest}`);
  if (read === null) {
    return /[A-Z]/.test(rest.replace(/[:@].*$/s, ""))
      ? { problem: "has upper case letters in its repository" }
      : { problem: "is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST" };
  }
  const [, name, repository = "", tag, hash] = read;
  if (repository.length > longestRepository) {
    return { problem: `has a repository of more than ${longestRepository} characters` };
  }
  if (hash !== undefined && !digest.test(hash)) return { problem: "has a digest that is none" };
  // A digest says more than a tag: with both, Docker and containerd drop the tag.
  return `${name}${hash === undefined ? `:${tag ?? "latest"}` : `@${hash}`}`;
}

/** What is before the first slash is a registry only if it looks like one: else all of it is on Docker Hub. */
function splitRegistry(reference: string): { host: string; rest: string } {
  const slash = reference.indexOf("/");
  const first = reference.slice(0, Math.max(slash, 0));
  const looksLikeRegistry = first === "localhost" || /[.:]/.test(first) || first !== first.toLowerCase();
  const host = !looksLikeRegistry || first === "index.docker.io" ? "docker.io" : first;
  const rest = looksLikeRegistry ? reference.slice(slash + 1) : reference;
  return { host, rest: host === "docker.io" && !rest.includes("/") ? `library/${rest}` : rest };
}
