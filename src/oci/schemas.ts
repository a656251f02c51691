import * as z from "zod";
import { digestPattern } from "./digest.ts";
import { maxImages, maxLayers } from "./limits.ts";
import { isIndex, isManifest } from "./media-types.ts";

/** The schema of a JSON blob, with the name of such a blob in messages. */
export interface OciSchema<T> {
  readonly name: string;
  readonly schema: z.ZodType<T>;
}

/** Checks the length before the elements: each invalid element would become an issue object of zod. */
const list = <T>(element: z.ZodType<T>, maxLength: number) =>
  z
    .array(z.unknown(), "is not an array")
    .max(maxLength, `has more than ${maxLength} elements`)
    .pipe(z.array(element))
    .nullish()
    .transform((elements) => elements ?? []);

const digest = z.string("is not a string").regex(digestPattern, "is not `sha256:` and 64 hexadecimal digits");
const text = z.string("is not a string");
/** A component of a platform, by the rule of github.com/containerd/platforms. */
const platformPart = text.regex(/^[\w.-]{1,64}$/, "is not a valid platform component");
/** Go encodes a missing string as an empty one, and vice versa. */
const optional = (schema: z.ZodType<string>) =>
  z
    .preprocess((value) => (value === "" ? undefined : value), schema.nullish())
    .transform((value) => value ?? undefined);
const optionalText = optional(text);
const optionalPlatformPart = optional(platformPart);

const descriptor = z.object(
  {
    mediaType: text,
    digest,
    size: z.int("is not an integer").nonnegative("is negative"),
    urls: list(z.unknown(), maxImages),
    platform: z
      .object(
        { os: platformPart, architecture: platformPart, variant: optionalPlatformPart },
        "is not an object",
      )
      .nullish(),
    annotations: z
      .object(
        {
          "io.containerd.image.name": optionalText,
          "org.opencontainers.image.ref.name": optionalText,
          "vnd.docker.reference.type": optionalText,
          "io.containerd.manifest.subject": optionalText,
        },
        "is not an object",
      )
      .nullish()
      .transform((annotations) => annotations ?? undefined),
  },
  "is not an object",
);
/** A descriptor in an index or manifest. */
export type AnnotatedDescriptor = z.output<typeof descriptor>;

/**
 * A field that a blob must not have: one blob must not be an index for one reader and a manifest for another
 * (CVE-2021-41190). containerd rejects it too.
 */
const absent = z.undefined("is not allowed here").optional();

/** An image index (OCI image-spec, image-index.md) or Docker's manifest list. */
export const indexSchema = {
  name: "image index",
  schema: z.object(
    {
      mediaType: optionalText.refine(
        (type) => type === undefined || isIndex(type),
        "is not the media type of an index",
      ),
      manifests: list(descriptor, maxImages),
      config: absent,
      layers: absent,
    },
    "it is not an object",
  ),
};
/** An image manifest (OCI image-spec, manifest.md) or Docker's image manifest of schema version 2. */
export const manifestSchema = {
  name: "image manifest",
  schema: z.object(
    {
      mediaType: optionalText.refine(
        (type) => type === undefined || isManifest(type),
        "is not the media type of a manifest",
      ),
      config: descriptor,
      layers: list(descriptor, maxLayers),
      manifests: absent,
    },
    "it is not an object",
  ),
};
export type Manifest = z.output<typeof manifestSchema.schema>;

/** An image config (OCI image-spec, config.md; Docker's has the same fields). */
export const configSchema = {
  name: "image config",
  schema: z.object(
    {
      os: optionalPlatformPart,
      architecture: optionalPlatformPart,
      variant: optionalPlatformPart,
      rootfs: z
        .object({ diff_ids: list(digest, maxLayers) }, "is not an object")
        .nullish()
        .transform((rootfs) => rootfs?.diff_ids ?? []),
    },
    "it is not an object",
  ),
};
export type Config = z.output<typeof configSchema.schema>;

/** The file `oci-layout`, which identifies an OCI layout (OCI image-spec, image-layout.md). */
export const layoutSchema = {
  name: "oci-layout file",
  schema: z.object(
    { imageLayoutVersion: z.literal("1.0.0", "is not 1.0.0, the only supported version") },
    "it is not an object",
  ),
};
const dockerManifestEntry = z.object(
  { Config: text, RepoTags: list(text, maxImages), Layers: list(text, maxLayers) },
  "is not an object",
);
export type DockerManifestEntry = z.output<typeof dockerManifestEntry>;
/** The manifest.json of `docker save` (moby, image/spec/v1.2.md). */
export const dockerManifestListSchema = {
  name: "list of images",
  schema: z
    .array(z.unknown(), "it is not an array")
    .max(maxImages, `it has more than ${maxImages} elements`)
    .pipe(z.array(dockerManifestEntry)),
};

/**
 * Parses the JSON text of a blob.
 *
 * @returns the validated content, or a clause that follows the name of the invalid blob
 */
export function parseBlob<T>(
  text: string,
  { name, schema }: OciSchema<T>,
): { content: T } | { problem: string } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { problem: "is not JSON" };
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return { content: parsed.data };
  const [issue] = parsed.error.issues;
  const path = issue === undefined || issue.path.length === 0 ? "" : `\`${issue.path.join(".")}\` `;
  return { problem: `is not a valid ${name}: ${path}${issue?.message ?? ""}` };
}
