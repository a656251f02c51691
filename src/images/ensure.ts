import {
  type PinnedImage,
  type RestoredImage,
  restoredTag,
  restoreImage,
} from "../cache/entries/node-image.ts";
import type { CacheStore } from "../cache/transport/store.ts";
import type { Endpoint } from "../docker/endpoint.ts";
import type { Engine } from "../docker/engine.ts";
import type { Platform } from "../docker/images.ts";
import type { Log } from "../lib/log.ts";
import type { RunProgram } from "../lib/subprocess.ts";
import type { State } from "../runner/state.ts";
import { pullIfMissing } from "./pull.ts";

/** An image that the Docker daemon is to have. */
export interface ImageRequest {
  readonly reference: string;
  /** What others call it, where they do not use the reference. */
  readonly tag?: string | undefined;
}

/** An image that the Docker daemon has, and how it came there. */
export interface EnsuredImage {
  readonly reference: string;
  /** What the daemon has it under. */
  readonly name: string;
  readonly from: "daemon" | "cache" | "registry";
  readonly seconds: number;
  /** What came of the cache; none where it was not asked. */
  readonly restored: RestoredImage | undefined;
}

/**
 * Sees to it that the Docker daemon has an image: out of the cache where that can be, else pulled.
 *
 * @param on.cache none where images do not come from there
 * @throws when it cannot be pulled
 */
export async function ensureImage(
  { reference, tag }: ImageRequest,
  on: {
    readonly engine: Engine;
    readonly endpoint: Endpoint;
    readonly run: RunProgram;
    readonly platform: Platform;
    readonly cache: { readonly store: CacheStore; readonly onlyIfFaster: boolean } | undefined;
    /** Of what the daemon has only while an image comes out of the cache. */
    readonly labels: Readonly<Record<string, string>>;
  },
  log: Log,
): Promise<EnsuredImage> {
  const began = performance.now();
  const seconds = () => Math.round(performance.now() - began) / 1000;
  const pinned = pinImage(reference, on.platform, tag);
  const there = await findExistingName({ reference, tag }, pinned, on.engine);
  if (there !== undefined) {
    log.line(`${there} is there already.`);
    return { reference, name: there, from: "daemon", seconds: seconds(), restored: undefined };
  }
  const restored =
    on.cache &&
    pinned &&
    (await restoreImage(
      on.cache.store,
      on.engine,
      pinned,
      { onlyIfFaster: on.cache.onlyIfFaster, labels: on.labels },
      log,
    ));
  if (pinned !== undefined && restored?.outcome === "hit") {
    const took = seconds();
    log.line(`${reference} came out of the cache in ${took} s; pulling it once took ${restored.pulled} s.`);
    return { reference, name: pinned.tag, from: "cache", seconds: took, restored };
  }
  const pulling = performance.now();
  await pullIfMissing(reference, on, log);
  if (tag !== undefined) await on.engine.images.tag(reference, tag);
  const took = Math.round(performance.now() - pulling) / 1000;
  return { reference, name: tag ?? reference, from: "registry", seconds: took, restored };
}

/**
 * The name under which the daemon has an image: the one that others use, which one that it has otherwise gets; or that of
 * an earlier run, which had it out of the cache.
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

/** An image as the cache knows it, if it is named by its digest. */
export function pinImage(
  reference: string,
  platform: Platform,
  tag?: string | undefined,
): PinnedImage | undefined {
  const digest = /@(sha256:[0-9a-f]{64})$/.exec(reference)?.[1];
  return digest === undefined ? undefined : { reference, digest, platform, tag: tag ?? restoredTag(digest) };
}

/** What post is to keep of the images that were obtained, as the state has it. */
export const savedImages = (images: readonly EnsuredImage[], architecture: string): State["images"] =>
  images
    .filter(({ reference, from }) => from !== "daemon" && reference.includes("@sha256:"))
    .map(({ reference, name, from, seconds }) => ({
      reference,
      architecture,
      restored: from === "cache",
      seconds,
      ...(name !== reference && from === "registry" && { tag: name }),
    }));
