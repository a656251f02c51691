import type { Engine } from "../docker/engine.ts";
import type { Log } from "../lib/log.ts";
import type { RunProgram } from "../lib/subprocess.ts";
import { secondsSince } from "../lib/units.ts";
import type { Platform } from "../oci/platform.ts";
import { type PinnedImage, pinImage } from "./pinned-image.ts";
import { pullIfMissing } from "./pull.ts";

/** An image that the Docker daemon must have. */
export interface ImageRequest {
  readonly reference: string;
  /** The name that other programs use for it, if not the reference. */
  readonly tag?: string | undefined;
}

/** An image that the Docker daemon has, and its source. */
export interface EnsuredImage {
  readonly reference: string;
  /** Its name in the daemon. */
  readonly name: string;
  readonly from: "daemon" | "cache" | "registry";
  /** The time that restoring or pulling it took. */
  readonly seconds: number;
}

/** The sources of images. */
export interface ImageSource {
  readonly engine: Engine;
  readonly runProgram: RunProgram;
  /** The platform of the nodes. */
  readonly platform: Platform;
  /** Restores an image from the cache. @returns whether the daemon has it now */
  readonly restore: (image: PinnedImage, log: Log) => Promise<boolean>;
}

/**
 * Ensures that the Docker daemon has an image: restores it from the cache if possible, else pulls it.
 *
 * @throws Error when it cannot be pulled
 */
export async function ensureImage(
  { reference, tag }: ImageRequest,
  source: ImageSource,
  log: Log,
): Promise<EnsuredImage> {
  const { engine, platform } = source;
  const startMs = performance.now();
  const pinned = pinImage(reference, platform, tag);
  const existing = await findExistingName({ reference, tag }, pinned, engine);
  if (existing !== undefined) {
    log.line(`${existing} is already in the Docker daemon.`);
    return { reference, name: existing, from: "daemon", seconds: secondsSince(startMs) };
  }
  if (pinned !== undefined && (await source.restore(pinned, log)))
    return { reference, name: pinned.tag, from: "cache", seconds: secondsSince(startMs) };
  const pullStartMs = performance.now();
  await pullIfMissing(reference, source, log);
  if (tag !== undefined) await engine.images.tag(reference, tag);
  return { reference, name: tag ?? reference, from: "registry", seconds: secondsSince(pullStartMs) };
}

/**
 * Returns the name under which the daemon has an image, if it does: the tag of the request, which is added if necessary; or
 * the name that an earlier run gave it when it restored it from the cache.
 */
async function findExistingName(
  { reference, tag }: ImageRequest,
  pinned: PinnedImage | undefined,
  engine: Engine,
): Promise<string | undefined> {
  if (tag !== undefined && (await engine.images.findId(tag)) !== undefined) return tag;
  if ((await engine.images.findId(reference)) !== undefined) {
    if (tag !== undefined) await engine.images.tag(reference, tag);
    return tag ?? reference;
  }
  return pinned !== undefined && (await engine.images.findId(pinned.tag)) !== undefined
    ? pinned.tag
    : undefined;
}
