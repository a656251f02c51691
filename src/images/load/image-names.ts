import type { MissingImage } from "./plan-node.ts";

/**
 * Returns the names that an image gets in a node. An image from an OCI layout has the digest of its registry, and gets a name
 * with it, for pods that use the digest. The manifest of an image from an archive in Docker's format is in no registry.
 */
export function imageNames({ names, content: { target } }: MissingImage): string[] {
  if (!target.mediaType.startsWith("application/vnd.oci.")) return [...names];
  const repositories = names.map((name) => name.replace(/[:@][^/]*$/, ""));
  return [...new Set([...names, ...repositories.map((repository) => `${repository}@${target.digest}`)])];
}
