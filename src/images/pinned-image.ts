import { hexOf } from "../oci/digest.ts";
import type { Platform } from "../oci/platform.ts";

/** An image reference with a digest. */
export interface PinnedImage {
  readonly reference: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string;
  readonly platform: Platform;
  /** Its name in the Docker daemon after it was restored: a restored image has no registry digest there. */
  readonly tag: string;
}

/** Parses a reference as a pinned image, if it has a digest. @param tag the name that other programs use for the image */
export function pinImage(reference: string, platform: Platform, tag?: string): PinnedImage | undefined {
  const digest = /@(sha256:[0-9a-f]{64})$/.exec(reference)?.[1];
  return digest === undefined ? undefined : { reference, digest, platform, tag: tag ?? restoredTag(digest) };
}

/** Returns the name of a restored image in the Docker daemon, unless other programs use another. */
export const restoredTag = (digest: string): string => `kind-action/restored:${hexOf(digest).slice(0, 16)}`;
