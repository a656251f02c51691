import type { Platform } from "../docker/images.ts";
import { configPlatform, fitness, formatPlatform } from "../oci/platform.ts";
import {
  type AnnotatedDescriptor,
  configSchema,
  dockerManifestListSchema,
  indexSchema,
  isConfig,
  isIndex,
  isManifest,
  layoutSchema,
  manifestSchema,
  maxImages,
} from "../oci/schemas.ts";
import type { ArchiveContents, ManifestBlob } from "./blob-reader.ts";
import { ArchiveError, adviseDockerSave, quote } from "./errors.ts";
import { checkLayerCount, findLayers } from "./layers.ts";
import type { ImageEntry } from "./select.ts";

/** An index of indexes of images is as deep as any tool goes. */
const maxIndexDepth = 8;

/**
 * Reads an OCI layout (OCI image-spec, image-layout.md), as buildx, skopeo, podman, buildah and, from version 25, Docker
 * write it.
 *
 * @returns undefined when the archive is none
 * @throws Refused when something is missing, damaged, or not as the format has it
 */
export async function readOciLayout(
  contents: ArchiveContents,
  node: Platform,
): Promise<ImageEntry[] | undefined> {
  const layout = await contents.blobs.readNamed("oci-layout", layoutSchema);
  if (layout === undefined) return undefined;
  const index = await contents.blobs.readNamed("index.json", indexSchema);
  if (index === undefined) throw new ArchiveError("it is an OCI layout without an index.json");
  const saved = await savedNames(contents);
  const targets = new Map<string, Omit<ImageEntry, "names">>();
  const candidates: ImageEntry[] = [];
  for (const entry of index.content.manifests.filter((one) => !isAttestation(one))) {
    const target = targets.get(entry.digest) ?? (await readTarget(entry, contents, node));
    targets.set(entry.digest, target);
    const given = nameOf(entry);
    const names = given === undefined ? (saved.get(target.image?.id ?? "") ?? []) : [given];
    candidates.push({ ...target, names });
  }
  return candidates;
}

/** What BuildKit (attestations) and containerd (referrers, such as signatures) add to an index about an image. */
const isAttestation = ({ annotations, platform }: AnnotatedDescriptor): boolean =>
  annotations?.["vnd.docker.reference.type"] !== undefined ||
  annotations?.["io.containerd.manifest.subject"] !== undefined ||
  (platform?.os === "unknown" && platform.architecture === "unknown");

/** A full name in `ref.name` has one of these; without them it is a tag alone (containerd, core/images/archive/reference.go). */
function nameOf({ annotations }: AnnotatedDescriptor): string | undefined {
  const name = annotations?.["org.opencontainers.image.ref.name"];
  return (
    annotations?.["io.containerd.image.name"] ?? (name !== undefined && /[/:@]/.test(name) ? name : undefined)
  );
}

/** The names that `docker save` gives images in its own list, by the digest of their config. */
async function savedNames({ blobs: documents }: ArchiveContents): Promise<Map<string, readonly string[]>> {
  const list = await documents.readNamed("manifest.json", dockerManifestListSchema);
  return new Map(
    (list?.content ?? []).map(({ Config, RepoTags }) => [
      `sha256:${/[0-9a-f]{64}/.exec(Config)?.[0] ?? ""}`,
      RepoTags,
    ]),
  );
}

/** A manifest that a target leads to. */
interface ManifestEntry {
  readonly manifest: AnnotatedDescriptor;
  /** The indexes on the way to it. */
  readonly indexes: readonly ManifestBlob[];
}

/** A lead, and how well it fits; with what was read to know. */
interface RatedManifest extends ManifestEntry {
  readonly platform: Platform;
  readonly read?: ManifestRead;
}

type ManifestRead = Awaited<ReturnType<typeof readManifest>>;

async function readTarget(
  target: AnnotatedDescriptor,
  contents: ArchiveContents,
  node: Platform,
): Promise<Omit<ImageEntry, "names">> {
  const rated: RatedManifest[] = [];
  const silent: ManifestEntry[] = [];
  for await (const lead of manifestEntries(target, contents)) {
    if (rated.length + silent.length === maxImages)
      throw new ArchiveError(`${target.digest} in it leads to more than ${maxImages} images`);
    // Without an index around it, containerd goes by the config, whatever index.json says.
    const platform = lead.indexes.length > 0 ? lead.manifest.platform : undefined;
    if (platform) rated.push({ ...lead, platform });
    else silent.push(lead);
  }
  if (!rated.some(({ platform }) => fitness(platform, node) > 0)) {
    for (const lead of silent) {
      const read = await readManifest(lead.manifest, contents);
      rated.push({ ...lead, platform: configPlatform(read.config.content, node), read });
    }
  }
  const platforms = rated.map(({ platform }) => platform);
  const fit = Math.max(0, ...platforms.map((platform) => fitness(platform, node)));
  const best = rated.find(({ platform }) => fit > 0 && fitness(platform, node) === fit);
  if (best === undefined) return { platforms, fitness: 0, image: undefined };
  const { manifest, config } = best.read ?? (await readManifest(best.manifest, contents));
  const layers = findLayers(manifest.content, contents.tar);
  checkLayerCount(layers, config.content, config.document.digest);
  const { digest, size, mediaType } = target;
  const image = {
    id: config.document.digest,
    platform: formatPlatform(configPlatform(config.content, node)),
    target: { digest, size, mediaType },
    manifests: [...best.indexes, manifest.document, config.document],
    layers,
  };
  return { platforms, fitness: fit, image };
}

async function* manifestEntries(
  reference: AnnotatedDescriptor,
  contents: ArchiveContents,
  indexes: readonly ManifestBlob[] = [],
  seen = new Set<string>(),
): AsyncGenerator<ManifestEntry> {
  const { digest, mediaType } = reference;
  if (isAttestation(reference)) return;
  if (isManifest(mediaType)) yield { manifest: reference, indexes };
  else if (isIndex(mediaType)) {
    if (seen.has(digest)) return;
    seen.add(digest);
    if (indexes.length === maxIndexDepth)
      throw new ArchiveError(`its image indexes are more than ${maxIndexDepth} deep`);
    const { document, content } = await contents.blobs.read(reference, indexSchema);
    for (const child of content.manifests)
      yield* manifestEntries(child, contents, [...indexes, document], seen);
  } else if (indexes.length === 0) {
    throw new ArchiveError(
      `${digest} in it is of the type ${quote(mediaType)}, which is not that of an image`,
      adviseDockerSave,
    );
  }
}

async function readManifest(reference: AnnotatedDescriptor, { blobs: documents }: ArchiveContents) {
  const manifest = await documents.read(reference, manifestSchema);
  const { config } = manifest.content;
  if (!isConfig(config.mediaType))
    throw new ArchiveError(
      `${reference.digest} in it is not an image: its config is of the type ${quote(config.mediaType)}`,
      adviseDockerSave,
    );
  return { manifest, config: await documents.read(config, configSchema) };
}
