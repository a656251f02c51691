import type { MissingImage } from "./plan-node.ts";

/**
 * Returns the names that an image gets in a node. The manifest of an image from an OCI layout is the one in its registry, so the
 * image also gets a name with its digest, for pods that refer to it by digest. Docker's format has no such manifest.
 */
export function imageNames({ names, content: { target } }: MissingImage): string[] {
  if (!target.mediaType.startsWith("application/vnd.oci.")) return [...names];
  const repositories = names.map((name) => name.replace(/[:@][^/]*$/, ""));
  return [...new Set([...names, ...repositories.map((repository) => `${repository}@${target.digest}`)])];
}
