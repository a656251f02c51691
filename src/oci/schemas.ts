import * as z from "zod";

/** A kind of document: what it is called in messages, and what of it is read. */
export interface OciSchema<T> {
  readonly name: string;
  readonly schema: z.ZodType<T>;
}

/** Docker makes at most 127 layers, and overlayfs mounts at most 500. */
const maxLayers = 1_000;
/** Images of an archive, platforms of an image, names of an image. */
export const maxImages = 1_000;

/** The length of a list is looked at before its elements: each wrong one would become an object of zod's. */
const list = <T>(element: z.ZodType<T>, most: number) =>
  z
    .array(z.unknown(), "is not a list")
    .max(most, `has more than ${most} elements`)
    .pipe(z.array(element))
    .nullish()
    .transform((elements) => elements ?? []);

const digest = z
  .string("is not a text")
  .regex(/^sha256:[0-9a-f]{64}$/, "is not `sha256:` and 64 hexadecimal digits");
const text = z.string("is not a text");
/** Parts of a platform: containerd's own rule for them (github.com/containerd/platforms). */
const word = text.regex(/^[\w.-]{1,64}$/, "is not a word");
/** Go writes what is not there as an empty text, and reads it so. */
const optional = (kind: z.ZodType<string>) =>
  z
    .preprocess((value) => (value === "" ? undefined : value), kind.nullish())
    .transform((value) => value ?? undefined);
const optionalText = optional(text);
const optionalWord = optional(word);

const descriptor = z.object(
  {
    mediaType: text,
    digest,
    size: z.int("is not a whole number").nonnegative("is negative"),
    urls: list(z.unknown(), maxImages),
    platform: z.object({ os: word, architecture: word, variant: optionalWord }, "is not an object").nullish(),
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
/** A descriptor as documents have it. */
export type AnnotatedDescriptor = z.output<typeof descriptor>;

const [ociIndex, dockerIndex] = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
];
const ociManifest = "application/vnd.oci.image.manifest.v1+json";
/** Docker's own manifest, which containerd writes for archives that have none. */
export const dockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
const ociConfig = "application/vnd.oci.image.config.v1+json";
/** Docker's config, with the same fields. */
export const dockerConfig = "application/vnd.docker.container.image.v1+json";
export const isConfig = (mediaType: string): boolean => [ociConfig, dockerConfig].includes(mediaType);
export const isIndex = (mediaType: string): boolean => [ociIndex, dockerIndex].includes(mediaType);
export const isManifest = (mediaType: string): boolean => [ociManifest, dockerManifest].includes(mediaType);

/**
 * One text must not be two things, an index for one reader and a manifest for another (CVE-2021-41190): containerd
 * refuses it, too.
 */
const absent = z.undefined("does not belong there").optional();

/** An image index (OCI image-spec, image-index.md) or Docker's manifest list. */
export const indexSchema = {
  name: "image index",
  schema: z.object(
    {
      mediaType: optionalText.refine(
        (type) => type === undefined || isIndex(type),
        "is not the type of an index",
      ),
      manifests: list(descriptor, maxImages),
      config: absent,
      layers: absent,
    },
    "it is not an object",
  ),
};
/** An image manifest (OCI image-spec, manifest.md) or Docker's of schema version 2. */
export const manifestSchema = {
  name: "image manifest",
  schema: z.object(
    {
      mediaType: optionalText.refine(
        (type) => type === undefined || isManifest(type),
        "is not the type of a manifest",
      ),
      config: descriptor,
      layers: list(descriptor, maxLayers),
      manifests: absent,
    },
    "it is not an object",
  ),
};
export type Manifest = z.output<typeof manifestSchema.schema>;

/** An image's config (OCI image-spec, config.md; Docker's is the same). */
export const configSchema = {
  name: "image config",
  schema: z.object(
    {
      os: optionalWord,
      architecture: optionalWord,
      variant: optionalWord,
      rootfs: z
        .object({ diff_ids: list(digest, maxLayers) }, "is not an object")
        .nullish()
        .transform((rootfs) => rootfs?.diff_ids ?? []),
    },
    "it is not an object",
  ),
};
export type Config = z.output<typeof configSchema.schema>;

/** The file that makes an archive an OCI layout (OCI image-spec, image-layout.md). */
export const layoutSchema = {
  name: "oci-layout file",
  schema: z.object(
    { imageLayoutVersion: z.literal("1.0.0", "is not 1.0.0, the only version there is") },
    "it is not an object",
  ),
};
const dockerManifestEntry = z.object(
  { Config: text, RepoTags: list(text, maxImages), Layers: list(text, maxLayers) },
  "is not an object",
);
export type DockerManifestEntry = z.output<typeof dockerManifestEntry>;
/** manifest.json of `docker save` (moby, image/spec/v1.2.md). */
export const dockerManifestListSchema = {
  name: "list of images",
  schema: z
    .array(z.unknown(), "it is not a list")
    .max(maxImages, `it has more than ${maxImages} elements`)
    .pipe(z.array(dockerManifestEntry)),
};
