import * as z from "zod";
import { digestOf } from "../archive/blob-reader.ts";
import { quote } from "../archive/errors.ts";
import type { Platform } from "../docker/images.ts";
import { errorMessage } from "../lib/errors.ts";
import { configPlatform, fitness, formatPlatform } from "./platform.ts";
import { normalizeReference } from "./reference.ts";
import { RegistryClient, registryUrl } from "./registry-client.ts";
import {
  type AnnotatedDescriptor,
  configSchema,
  dockerManifest,
  indexSchema,
  isConfig,
  isManifest,
  manifestSchema,
  type OciSchema,
} from "./schemas.ts";

/** What an image that is named by its digest turns out to be on one platform. */
export interface ResolvedImage {
  /** Of its config. */
  readonly configDigest: string;
  /** What its layers hash to, uncompressed, the lowest first. */
  readonly diffIds: readonly string[];
}

/** The document that is needed next. */
export interface BlobRequest {
  /** Where registries have it. */
  readonly from: "manifests" | "blobs";
  readonly digest: string;
}

/** What registries have to accept of a manifest (OCI distribution-spec, "Pushing Manifests"). */
const mostOfDocument = 4 * 1024 ** 2;
/** Platforms that are named when none of them fits. */
const mostShown = 10;

/**
 * Looks from a digest that is trusted through documents that are not: from the index, if there is one, to the platform's
 * manifest and its config. Nothing of a document is looked at before it has the digest that it was asked by.
 *
 * @param documents texts, in this order, and no others: whatever somebody else has kept
 * @throws why they are not those of the image
 */
export function verifyManifestChain(digest: string, platform: Platform, documents: unknown): ResolvedImage {
  const texts = z.array(z.string()).max(3).safeParse(documents);
  if (!texts.success) throw new Error(`What should be the documents of ${digest} is no list of three texts.`);
  const way = walkManifestChain(digest, platform);
  let step = way.next();
  for (const text of texts.data) {
    if (step.done === true) throw new Error(`There is one document too many among those of ${digest}.`);
    step = way.next(text);
  }
  if (step.done !== true) throw new Error(`${step.value.digest} is not among the documents of ${digest}.`);
  return step.value;
}

/**
 * Asks for one document after the other, and is given its text.
 *
 * @throws when it is not what was asked for, or leads to no image for the platform
 */
export function* walkManifestChain(
  digest: string,
  platform: Platform,
): Generator<BlobRequest, ResolvedImage, string> {
  const first = yield* document("manifests", { digest });
  const chosen = isIndexDocument(first)
    ? choose(read(first, indexSchema, digest).manifests, platform, digest)
    : undefined;
  const source = chosen === undefined ? first : yield* document("manifests", chosen);
  const name = chosen?.digest ?? digest;
  const manifest = read(source, manifestSchema, name);
  if (!isConfig(manifest.config.mediaType))
    throw new Error(
      `${name} is not an image: its config is of the type ${quote(manifest.config.mediaType)}.`,
    );
  const configDigest = manifest.config.digest;
  const config = read(yield* document("blobs", manifest.config), configSchema, configDigest);
  const made = configPlatform(config, platform);
  // Where an index names the platform, that counts, as for containerd.
  if (chosen === undefined && fitness(made, platform) === 0)
    throw new Error(`${name} is for ${formatPlatform(made)}, not for ${formatPlatform(platform)}.`);
  if (manifest.layers.length !== config.rootfs.length)
    throw new Error(
      `${name} has ${manifest.layers.length} layers, and ${config.rootfs.length} according to its config.`,
    );
  return { configDigest, diffIds: config.rootfs };
}

function* document(
  from: BlobRequest["from"],
  { digest, size }: { digest: string; size?: number },
): Generator<BlobRequest, unknown, string> {
  if (size !== undefined && size > mostOfDocument) throw tooLarge(digest);
  const text = yield { from, digest };
  if (text.length > mostOfDocument) throw tooLarge(digest);
  const bytes = Buffer.from(text);
  const actual = digestOf(bytes);
  if (actual !== digest) throw new Error(`What should be ${digest} hashes to ${actual}.`);
  if (size !== undefined && bytes.length !== size)
    throw new Error(`${digest} has ${bytes.length} bytes, and should have ${size}.`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${digest} is not JSON.`, { cause: error });
  }
}

const tooLarge = (digest: string) =>
  new Error(`${digest} has more than the ${mostOfDocument} bytes that are read of a document.`);

/** The type of an index need not be in it. */
const isIndexDocument = (json: unknown): boolean =>
  z.object({ manifests: z.array(z.unknown()) }).safeParse(json).success;

function read<T>(json: unknown, kind: OciSchema<T>, digest: string): T {
  const parsed = kind.schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = issue === undefined || issue.path.length === 0 ? "" : `\`${issue.path.join(".")}\` `;
  throw new Error(`${digest} is no ${kind.name}: ${place}${issue?.message ?? ""}.`);
}

/** An index in an index is passed over: no image that is to be had by its digest needs one. */
function choose(
  listed: readonly AnnotatedDescriptor[],
  wanted: Platform,
  digest: string,
): AnnotatedDescriptor {
  const rated = listed.flatMap((reference) =>
    reference.platform && isManifest(reference.mediaType)
      ? [{ reference, platform: reference.platform, fit: fitness(reference.platform, wanted) }]
      : [],
  );
  const most = Math.max(0, ...rated.map(({ fit }) => fit));
  const best = rated.find(({ fit }) => fit > 0 && fit === most);
  if (best !== undefined) return best.reference;
  const platforms = [...new Set(rated.map(({ platform }) => formatPlatform(platform)))];
  const shown = platforms.length > mostShown ? [...platforms.slice(0, mostShown), "…"] : platforms;
  throw new Error(
    `${digest} lists no image for ${formatPlatform(wanted)}, but for ${shown.join(", ") || "no platform at all"}.`,
  );
}

/** An image with what shows that it is the one of its digest. */
export interface FetchedImage extends ResolvedImage {
  /** The texts of its index, if it has one, of its manifest and of its config. */
  readonly chain: readonly string[];
}

/** What can be asked of its registry. */
export type ImageRegistry = Pick<RegistryClient, "get">;

const manifestTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  dockerManifest,
];
/** What is behind a name of an image that says its digest. */
const pinned = /^([^/]+)\/(.+)@(sha256:[0-9a-f]{64})$/;

/**
 * Gets the documents of an image from its registry: some kilobytes, each of which has the digest that it was asked by.
 *
 * @param reference with its digest; a tag beside it does not count
 * @param registry where it is asked for instead, or with a login
 * @throws when the registry does not answer, or not with the documents of an image for the platform
 */
export async function fetchManifestChain(
  reference: string,
  platform: Platform,
  registry?: ImageRegistry,
): Promise<FetchedImage> {
  const name = normalizeReference(reference);
  const [, host, repository, digest] = (typeof name === "string" && pinned.exec(name)) || [];
  if (host === undefined || repository === undefined || digest === undefined)
    throw new Error(`${JSON.stringify(reference)} is not the name of an image with its SHA-256 digest.`);
  try {
    const asked = registry ?? new RegistryClient(registryUrl(host));
    const way = walkManifestChain(digest, platform);
    const documents: string[] = [];
    let step = way.next();
    while (step.done !== true) {
      const text = await ask(asked, repository, step.value);
      documents.push(text);
      step = way.next(text);
    }
    return { ...step.value, chain: documents };
  } catch (error) {
    throw new Error(`The documents of ${reference} cannot be had: ${errorMessage(error)}`, { cause: error });
  }
}

async function ask(
  registry: ImageRegistry,
  repository: string,
  { from, digest }: BlobRequest,
): Promise<string> {
  const accepted = from === "manifests" ? manifestTypes : [];
  const { status, body } = await registry.get(`/v2/${repository}/${from}/${digest}`, accepted);
  if (status === 200) return body.toString();
  const why = reasons[status] ?? "it should have it";
  throw new Error(`the registry answers with status ${status} when asked for ${digest}: ${why}.`);
}

const reasons: Readonly<Record<number, string>> = {
  401: "it wants a login",
  403: "it wants another login",
  404: "it does not have it",
  429: "it has been asked too often",
};
