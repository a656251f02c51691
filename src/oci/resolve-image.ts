import * as z from "zod";
import { errorMessage } from "../lib/errors.ts";
import { quote } from "../lib/quote.ts";
import { digestOf } from "./digest.ts";
import { maxManifestBytes } from "./limits.ts";
import { isConfig, isManifest, manifestTypes } from "./media-types.ts";
import { configPlatform, formatPlatform, formatPlatforms, type Platform, platformMatch } from "./platform.ts";
import { normalizeReference } from "./reference.ts";
import { RegistryClient, registryUrl } from "./registry-client.ts";
import {
  type AnnotatedDescriptor,
  configSchema,
  indexSchema,
  manifestSchema,
  type OciSchema,
  parseBlob,
} from "./schemas.ts";

/** The identity of an image on one platform. */
export interface ResolvedImage {
  /** Digest of its config. */
  readonly configDigest: string;
  /** Digests of its uncompressed layers, the lowest first. */
  readonly diffIds: readonly string[];
}

/** The blob that is needed next. */
export interface BlobRequest {
  /** The registry endpoint that serves it. */
  readonly endpoint: "manifests" | "blobs";
  readonly digest: string;
}

/**
 * Verifies a manifest chain from an untrusted source. A blob is parsed only after its digest has been verified.
 *
 * @param digest of the index or manifest
 * @param chain the texts of the index (if any), of the platform's manifest and of its config, in this order
 * @throws Error when the chain is not exactly that of the image
 */
export function verifyManifestChain(digest: string, platform: Platform, chain: unknown): ResolvedImage {
  const texts = z.array(z.string()).max(3).safeParse(chain);
  if (!texts.success)
    throw new Error(`The manifest chain of ${digest} is not an array of at most three strings.`);
  const walk = walkManifestChain(digest, platform);
  let step = walk.next();
  for (const text of texts.data) {
    if (step.done === true) throw new Error(`The manifest chain of ${digest} has an unexpected extra entry.`);
    step = walk.next(text);
  }
  if (step.done !== true) throw new Error(`The manifest chain of ${digest} lacks ${step.value.digest}.`);
  return step.value;
}

/**
 * Yields a request for each blob of a manifest chain, and expects the text of the blob.
 *
 * @throws Error when a blob does not match its descriptor, or there is no image for the platform
 */
export function* walkManifestChain(
  digest: string,
  platform: Platform,
): Generator<BlobRequest, ResolvedImage, string> {
  const first = yield* requestBlob("manifests", { digest });
  const chosen = isIndexText(first)
    ? chooseManifest(parse(first, indexSchema, digest).manifests, platform, digest)
    : undefined;
  const text = chosen === undefined ? first : yield* requestBlob("manifests", chosen);
  const name = chosen?.digest ?? digest;
  const manifest = parse(text, manifestSchema, name);
  if (!isConfig(manifest.config.mediaType))
    throw new Error(
      `${name} is not an image: its config has the media type ${quote(manifest.config.mediaType)}.`,
    );
  const configDigest = manifest.config.digest;
  const config = parse(yield* requestBlob("blobs", manifest.config), configSchema, configDigest);
  const imagePlatform = configPlatform(config, platform);
  // The platform in an index takes precedence over the config, as in containerd.
  if (chosen === undefined && platformMatch(imagePlatform, platform) === 0)
    throw new Error(`${name} is for ${formatPlatform(imagePlatform)}, not for ${formatPlatform(platform)}.`);
  if (manifest.layers.length !== config.rootfs.length)
    throw new Error(
      `${name} has ${manifest.layers.length} layers in its manifest and ${config.rootfs.length} in its config.`,
    );
  return { configDigest, diffIds: config.rootfs };
}

function* requestBlob(
  endpoint: BlobRequest["endpoint"],
  { digest, size }: { digest: string; size?: number },
): Generator<BlobRequest, string, string> {
  if (size !== undefined && size > maxManifestBytes) throw tooLarge(digest);
  const text = yield { endpoint, digest };
  if (text.length > maxManifestBytes) throw tooLarge(digest);
  const bytes = Buffer.from(text);
  const actual = digestOf(bytes);
  if (actual !== digest) throw new Error(`The content of ${digest} has the digest ${actual}.`);
  if (size !== undefined && bytes.length !== size)
    throw new Error(`${digest} has ${bytes.length} bytes; its descriptor says ${size}.`);
  return text;
}

const tooLarge = (digest: string) => new Error(`${digest} is larger than ${maxManifestBytes} bytes.`);

/** The field `mediaType` of an index is optional. */
function isIndexText(text: string): boolean {
  try {
    return z.object({ manifests: z.array(z.unknown()) }).safeParse(JSON.parse(text)).success;
  } catch {
    return false;
  }
}

function parse<T>(text: string, schema: OciSchema<T>, digest: string): T {
  const parsed = parseBlob(text, schema);
  if ("problem" in parsed) throw new Error(`${digest} ${parsed.problem}.`);
  return parsed.content;
}

/** Nested indexes are ignored: no image that is pulled by digest needs one. */
function chooseManifest(
  descriptors: readonly AnnotatedDescriptor[],
  platform: Platform,
  digest: string,
): AnnotatedDescriptor {
  const rated = descriptors.flatMap((descriptor) =>
    descriptor.platform && isManifest(descriptor.mediaType)
      ? [{ descriptor, platform: descriptor.platform, match: platformMatch(descriptor.platform, platform) }]
      : [],
  );
  const bestMatch = Math.max(0, ...rated.map(({ match }) => match));
  const best = rated.find(({ match }) => match > 0 && match === bestMatch);
  if (best !== undefined) return best.descriptor;
  throw new Error(
    `${digest} has no image for ${formatPlatform(platform)}. Available platforms: ${formatPlatforms(rated.map((each) => each.platform))}.`,
  );
}

/** An image with the manifest chain that proves its identity. */
export interface FetchedImage extends ResolvedImage {
  /** The texts of its index (if any), manifest and config. */
  readonly chain: readonly string[];
}

/** The part of a registry client that {@link fetchManifestChain} uses. */
export type ImageRegistry = Pick<RegistryClient, "get">;

/** Registry, repository and digest of a normalized reference. */
const digestReference = /^([^/]+)\/(.+)@(sha256:[0-9a-f]{64})$/;

/**
 * Fetches the manifest chain of an image from its registry, some kilobytes, and verifies the digest of each blob.
 *
 * @param reference with a digest; a tag beside it is ignored
 * @param registry client to use instead of an anonymous one for the reference's registry
 * @throws Error when the registry does not respond, or its response is not an image for the platform
 */
export async function fetchManifestChain(
  reference: string,
  platform: Platform,
  registry?: ImageRegistry,
): Promise<FetchedImage> {
  const name = normalizeReference(reference);
  const [, host, repository, digest] = (typeof name === "string" && digestReference.exec(name)) || [];
  if (host === undefined || repository === undefined || digest === undefined)
    throw new Error(`${JSON.stringify(reference)} is not an image reference with a SHA-256 digest.`);
  try {
    const client = registry ?? new RegistryClient(registryUrl(host));
    const walk = walkManifestChain(digest, platform);
    const chain: string[] = [];
    let step = walk.next();
    while (step.done !== true) {
      const text = await fetchBlob(client, repository, step.value);
      chain.push(text);
      step = walk.next(text);
    }
    return { ...step.value, chain };
  } catch (error) {
    throw new Error(`Could not fetch the manifests of ${reference}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

async function fetchBlob(
  registry: ImageRegistry,
  repository: string,
  { endpoint, digest }: BlobRequest,
): Promise<string> {
  const accept = endpoint === "manifests" ? manifestTypes : [];
  const { status, body } = await registry.get(`/v2/${repository}/${endpoint}/${digest}`, accept);
  if (status === 200) return body.toString();
  const reason = reasons[status];
  throw new Error(
    `the registry responded to the request for ${digest} with status ${status}${reason === undefined ? "" : ` (${reason})`}.`,
  );
}

const reasons: Readonly<Record<number, string>> = {
  401: "login required",
  403: "access denied",
  404: "not found",
  429: "too many requests",
};
