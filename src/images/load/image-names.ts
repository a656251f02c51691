import type { MissingImage } from "./plan-node.ts";

/**
 * The names of an image. One that keeps its registry's digest is there for pods that name it by that, too: an OCI layout
 * does, what is made of an archive in Docker's format has a manifest of its own.
 */
export function imageNames({ names, content: { target } }: MissingImage): string[] {
  if (!target.mediaType.startsWith("application/vnd.oci.")) return [...names];
  const repositories = names.map((name) => name.replace(/[:@][^/]*$/, ""));
  return [...new Set([...names, ...repositories.map((repository) => `${repository}@${target.digest}`)])];
}
