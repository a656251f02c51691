import { quote } from "../lib/quote.ts";
import { maxImages } from "../oci/limits.ts";
import { isConfig, isIndex, isManifest } from "../oci/media-types.ts";
import type { Platform } from "../oci/platform.ts";
import { configPlatform, formatPlatform, platformMatch } from "../oci/platform.ts";
import {
  type AnnotatedDescriptor,
  configSchema,
  dockerManifestListSchema,
  indexSchema,
  layoutSchema,
  manifestSchema,
} from "../oci/schemas.ts";
import type { ArchiveContents, ManifestBlob } from "./blob-reader.ts";
import { ArchiveError, adviseDockerSave } from "./errors.ts";
import { checkLayerCount, findLayers } from "./layers.ts";
import type { ImageEntry } from "./select.ts";

/** Maximum nesting of indexes. Tools write at most an index of indexes. */
const maxIndexDepth = 8;

/**
 * Reads an OCI layout (OCI image-spec, image-layout.md), which buildx, skopeo, podman, buildah and Docker 25 and later write.
 *
 * @returns undefined when the archive is not an OCI layout
 * @throws ArchiveError when the archive is incomplete, corrupt or invalid
 */
export async function readOciLayout(
  contents: ArchiveContents,
  node: Platform,
): Promise<ImageEntry[] | undefined> {
  const layout = await contents.blobs.readFile("oci-layout", layoutSchema);
  if (layout === undefined) return undefined;
  const index = await contents.blobs.readFile("index.json", indexSchema);
  if (index === undefined) throw new ArchiveError("the archive is an OCI layout without an index.json");
  const dockerNames = await readDockerNames(contents);
  const targets = new Map<string, Omit<ImageEntry, "names">>();
  const entries: ImageEntry[] = [];
  for (const descriptor of index.content.manifests.filter((each) => !isAttestation(each))) {
    const target = targets.get(descriptor.digest) ?? (await readTarget(descriptor, contents, node));
    targets.set(descriptor.digest, target);
    const name = nameOf(descriptor);
    const names = name === undefined ? (dockerNames.get(target.image?.id ?? "") ?? []) : [name];
    entries.push({ ...target, names });
  }
  return entries;
}

/** Whether an entry of an index is an attestation of BuildKit or a referrer of containerd, such as a signature. */
const isAttestation = ({ annotations, platform }: AnnotatedDescriptor): boolean =>
  annotations?.["vnd.docker.reference.type"] !== undefined ||
  annotations?.["io.containerd.manifest.subject"] !== undefined ||
  (platform?.os === "unknown" && platform.architecture === "unknown");

/** `ref.name` is a full name if it has one of `/:@`, otherwise only a tag (containerd, core/images/archive/reference.go). */
function nameOf({ annotations }: AnnotatedDescriptor): string | undefined {
  const name = annotations?.["org.opencontainers.image.ref.name"];
  return (
    annotations?.["io.containerd.image.name"] ?? (name !== undefined && /[/:@]/.test(name) ? name : undefined)
  );
}

/** Returns the names in the manifest.json of `docker save`, by config digest. */
async function readDockerNames({ blobs }: ArchiveContents): Promise<Map<string, readonly string[]>> {
  const list = await blobs.readFile("manifest.json", dockerManifestListSchema);
  return new Map(
    (list?.content ?? []).map(({ Config, RepoTags }) => [
      `sha256:${/[0-9a-f]{64}/.exec(Config)?.[0] ?? ""}`,
      RepoTags,
    ]),
  );
}

/** A manifest of a target. */
interface ManifestEntry {
  readonly manifest: AnnotatedDescriptor;
  /** The indexes that lead to it, the outermost first. */
  readonly indexes: readonly ManifestBlob[];
}

/** A manifest with its platform. */
interface RatedManifest extends ManifestEntry {
  readonly platform: Platform;
  /** The manifest and config, if they had to be read for the platform. */
  readonly read?: ManifestRead;
}

type ManifestRead = Awaited<ReturnType<typeof readManifest>>;

async function readTarget(
  target: AnnotatedDescriptor,
  contents: ArchiveContents,
  node: Platform,
): Promise<Omit<ImageEntry, "names">> {
  const rated: RatedManifest[] = [];
  const withoutPlatform: ManifestEntry[] = [];
  for await (const entry of manifestEntries(target, contents)) {
    if (rated.length + withoutPlatform.length === maxImages)
      throw new ArchiveError(`${target.digest} refers to more than ${maxImages} images`);
    // For a manifest in index.json itself, containerd uses the platform of the config, not that in index.json.
    const platform = entry.indexes.length > 0 ? entry.manifest.platform : undefined;
    if (platform) rated.push({ ...entry, platform });
    else withoutPlatform.push(entry);
  }
  if (!rated.some(({ platform }) => platformMatch(platform, node) > 0)) {
    for (const entry of withoutPlatform) {
      const read = await readManifest(entry.manifest, contents);
      rated.push({ ...entry, platform: configPlatform(read.config.content, node), read });
    }
  }
  const platforms = rated.map(({ platform }) => platform);
  const match = Math.max(0, ...platforms.map((platform) => platformMatch(platform, node)));
  const best = rated.find(({ platform }) => match > 0 && platformMatch(platform, node) === match);
  if (best === undefined) return { platforms, match: 0, image: undefined };
  const { manifest, config } = best.read ?? (await readManifest(best.manifest, contents));
  const layers = findLayers(manifest.content, contents.tar);
  checkLayerCount(layers, config.content, config.blob.digest);
  const { digest, size, mediaType } = target;
  const image = {
    id: config.blob.digest,
    platform: formatPlatform(configPlatform(config.content, node)),
    target: { digest, size, mediaType },
    manifests: [...best.indexes, manifest.blob, config.blob],
    layers,
  };
  return { platforms, match, image };
}

/** Yields the manifests of a target: itself, or those of an index and its nested indexes. */
async function* manifestEntries(
  descriptor: AnnotatedDescriptor,
  contents: ArchiveContents,
  indexes: readonly ManifestBlob[] = [],
  seen = new Set<string>(),
): AsyncGenerator<ManifestEntry> {
  const { digest, mediaType } = descriptor;
  if (isAttestation(descriptor)) return;
  if (isManifest(mediaType)) yield { manifest: descriptor, indexes };
  else if (isIndex(mediaType)) {
    if (seen.has(digest)) return;
    seen.add(digest);
    if (indexes.length === maxIndexDepth)
      throw new ArchiveError(`the image indexes are nested more than ${maxIndexDepth} levels deep`);
    const { blob, content } = await contents.blobs.read(descriptor, indexSchema);
    for (const child of content.manifests) yield* manifestEntries(child, contents, [...indexes, blob], seen);
  } else if (indexes.length === 0) {
    throw new ArchiveError(
      `${digest} has the media type ${quote(mediaType)}, which is not that of an image`,
      adviseDockerSave,
    );
  }
}

async function readManifest(descriptor: AnnotatedDescriptor, { blobs }: ArchiveContents) {
  const manifest = await blobs.read(descriptor, manifestSchema);
  const { config } = manifest.content;
  if (!isConfig(config.mediaType))
    throw new ArchiveError(
      `${descriptor.digest} is not an image: its config has the media type ${quote(config.mediaType)}`,
      adviseDockerSave,
    );
  return { manifest, config: await blobs.read(config, configSchema) };
}
