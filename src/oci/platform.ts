import type { Platform } from "../docker/images.ts";

/** As people write it: `linux/amd64`, `linux/arm64/v8`. */
export const formatPlatform = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, ...(variant ? [variant] : [])].join("/");

/** What a config says it is for. One that does not say is taken to be for the nodes. */
export const configPlatform = (
  { os, architecture, variant }: { [part in keyof Platform]?: string | undefined },
  node: Platform,
): Platform => (os === undefined || architecture === undefined ? node : { os, architecture, variant });

/**
 * How well an image for one platform runs on a node of another, by containerd's rules (github.com/containerd/platforms).
 *
 * @returns 0: not at all; the higher, the better
 */
export function fitness(image: Platform, node: Platform): 0 | 1 | 2 | 3 {
  if (image.os !== node.os) return 0;
  if (architectureOf(image) !== architectureOf(node)) return 0;
  if ((image.variant || undefined) === (node.variant || undefined)) return 3;
  if (variantOf(image) === variantOf(node)) return 2;
  // A node of a later variant runs what was built for any: amd64/v3 runs amd64.
  return variantOf(image) === undefined ? 1 : 0;
}

/** What uname and some builders say, in Go's words. */
const synonyms: ReadonlyMap<string, string> = new Map([
  ["x86_64", "amd64"],
  ["aarch64", "arm64"],
]);

const architectureOf = ({ architecture }: Platform) => synonyms.get(architecture) ?? architecture;

/** The first variant of an architecture is the same as none. */
function variantOf(platform: Platform): string | undefined {
  const first = { amd64: "v1", arm64: "v8" }[architectureOf(platform)];
  return platform.variant === first ? undefined : platform.variant || undefined;
}
