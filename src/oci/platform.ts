import { maxListedPlatforms } from "./limits.ts";

/** The platform of an image or a node, with the names of GOOS and GOARCH (`linux`, `amd64`). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** `v8` for arm64, `v7` for arm; usually undefined. */
  readonly variant?: string | undefined;
}

/** Formats a platform: `linux/amd64`, `linux/arm64/v8`. */
export const formatPlatform = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, ...(variant ? [variant] : [])].join("/");

/** Formats the unique platforms of a list for a message, at most {@link maxListedPlatforms}; `none` for an empty list. */
export function formatPlatforms(platforms: readonly Platform[]): string {
  const unique = [...new Set(platforms.map(formatPlatform))];
  const shown = unique.length > maxListedPlatforms ? [...unique.slice(0, maxListedPlatforms), "…"] : unique;
  return shown.join(", ") || "none";
}

/** Returns the platform of an image config; without OS or architecture, that of the node. */
export const configPlatform = (
  { os, architecture, variant }: { [part in keyof Platform]?: string | undefined },
  node: Platform,
): Platform => (os === undefined || architecture === undefined ? node : { os, architecture, variant });

/**
 * Ranks how well the platform of an image matches that of a node, by the rules of containerd (github.com/containerd/platforms
 * 1.0.0-rc.5, `Only`): amd64 also runs 386, arm64 also runs arm/v8 and below, and a variant also runs earlier ones.
 *
 * @returns 0 if the image does not run on the node; a higher number is a better match
 */
export function platformMatch(image: Platform, node: Platform): number {
  const { os, architecture, variant } = normalize(image);
  const accepted = acceptedPlatforms(normalize(node));
  const index = accepted.findIndex(
    (platform) =>
      platform.os === os && platform.architecture === architecture && platform.variant === variant,
  );
  return index < 0 ? 0 : accepted.length - index;
}

interface NormalPlatform extends Platform {
  readonly variant: string;
}

/** Replaces aliases of architectures and variants, as `Normalize` of containerd/platforms does. */
function normalize({ os, architecture, variant = "" }: Platform): NormalPlatform {
  const [normalArchitecture, normalVariant] = normalizeArchitecture(
    architecture.toLowerCase(),
    variant.toLowerCase(),
  );
  return { os: os.toLowerCase(), architecture: normalArchitecture, variant: normalVariant };
}

function normalizeArchitecture(architecture: string, variant: string): [string, string] {
  switch (architecture) {
    case "i386":
      return ["386", ""];
    case "x86_64":
    case "x86-64":
    case "amd64":
      return ["amd64", variant === "v1" ? "" : variant];
    case "aarch64":
    case "arm64":
      return [
        "arm64",
        { "8": "", v8: "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9" }[variant] ?? variant,
      ];
    case "armhf":
      return ["arm", "v7"];
    case "armel":
      return ["arm", "v6"];
    case "arm":
      return ["arm", variant === "" ? "v7" : variant.replace(/^(?=[5-8]$)/, "v")];
    default:
      return [architecture, variant];
  }
}

/** Returns the platforms that a node runs, the best match first. */
function acceptedPlatforms(node: NormalPlatform): NormalPlatform[] {
  const { os, architecture, variant } = node;
  const withVariants = (name: string, variants: readonly string[]) =>
    variants.map((each) => normalize({ os, architecture: name, variant: each }));
  switch (architecture) {
    case "amd64":
      return [node, ...withVariants("amd64", earlier(variant, 1)), ...withVariants("386", [""])];
    case "arm":
      return [node, ...withVariants("arm", earlier(variant, 5))];
    case "arm64": {
      const variants = arm64Variants(variant);
      if (variants.length === 0) return [];
      return [...withVariants("arm64", variants), ...withVariants("arm", ["v8", ...earlier("v8", 5)])];
    }
    default:
      return [node];
  }
}

/** Returns the variants before `v4`: `v3`, `v2` … down to `v` and a lowest number. */
function earlier(variant: string, lowest: number): string[] {
  const version = /^v?(\d+)$/.exec(variant)?.[1];
  const count = version === undefined ? 0 : Math.max(0, Number(version) - lowest);
  return Array.from({ length: count }, (_, index) => `v${Number(version) - 1 - index}`);
}

/**
 * Returns the variants that an arm64 node runs; none for an unknown variant. Armv9.x is a superset of Armv8.(x+5) (Arm
 * Architecture Reference Manual), up to Armv8.9.
 */
function arm64Variants(variant: string): string[] {
  const [, major, minor = "0"] = /^v([89])(?:\.([0-9]))?$/.exec(variant || "v8") ?? [];
  const minors = (version: number, from: number) =>
    Array.from({ length: from + 1 }, (_, index) => `v${version}${index === from ? "" : `.${from - index}`}`);
  if (major === "8") return minors(8, Number(minor));
  if (major === "9" && Number(minor) <= 7)
    return [...minors(9, Number(minor)), ...minors(8, Math.min(9, Number(minor) + 5))];
  return [];
}
