import type { Platform } from "../docker/images.ts";
import { fitness, platformOf, platformText } from "../oci/platform.ts";
import {
  configKind,
  indexKind,
  isConfig,
  isIndex,
  isManifest,
  layoutKind,
  manifestKind,
  mostImages,
  type Reference,
  savedImagesKind,
} from "../oci/schemas.ts";
import type { Contents, Document } from "./blob-reader.ts";
import { quoted, Refused, saveIt } from "./errors.ts";
import { checkCount, findLayers } from "./layers.ts";
import type { Candidate } from "./select.ts";

/** An index of indexes of images is as deep as any tool goes. */
const deepest = 8;

/**
 * Reads an OCI layout (OCI image-spec, image-layout.md), as buildx, skopeo, podman, buildah and, from version 25, Docker
 * write it.
 *
 * @returns undefined when the archive is none
 * @throws Refused when something is missing, damaged, or not as the format has it
 */
export async function readOciArchive(contents: Contents, node: Platform): Promise<Candidate[] | undefined> {
  const layout = await contents.documents.named("oci-layout", layoutKind);
  if (layout === undefined) return undefined;
  const index = await contents.documents.named("index.json", indexKind);
  if (index === undefined) throw new Refused("it is an OCI layout without an index.json");
  const saved = await savedNames(contents);
  const targets = new Map<string, Omit<Candidate, "names">>();
  const candidates: Candidate[] = [];
  for (const entry of index.content.manifests.filter((one) => !isAbout(one))) {
    const target = targets.get(entry.digest) ?? (await readTarget(entry, contents, node));
    targets.set(entry.digest, target);
    const given = nameOf(entry);
    const names = given === undefined ? (saved.get(target.image?.id ?? "") ?? []) : [given];
    candidates.push({ ...target, names });
  }
  return candidates;
}

/** What BuildKit (attestations) and containerd (referrers, such as signatures) add to an index about an image. */
const isAbout = ({ annotations, platform }: Reference): boolean =>
  annotations?.["vnd.docker.reference.type"] !== undefined ||
  annotations?.["io.containerd.manifest.subject"] !== undefined ||
  (platform?.os === "unknown" && platform.architecture === "unknown");

/** A full name in `ref.name` has one of these; without them it is a tag alone (containerd, core/images/archive/reference.go). */
function nameOf({ annotations }: Reference): string | undefined {
  const name = annotations?.["org.opencontainers.image.ref.name"];
  return (
    annotations?.["io.containerd.image.name"] ?? (name !== undefined && /[/:@]/.test(name) ? name : undefined)
  );
}

/** The names that `docker save` gives images in its own list, by the digest of their config. */
async function savedNames({ documents }: Contents): Promise<Map<string, readonly string[]>> {
  const list = await documents.named("manifest.json", savedImagesKind);
  return new Map(
    (list?.content ?? []).map(({ Config, RepoTags }) => [
      `sha256:${/[0-9a-f]{64}/.exec(Config)?.[0] ?? ""}`,
      RepoTags,
    ]),
  );
}

/** A manifest that a target leads to. */
interface Lead {
  readonly manifest: Reference;
  /** The indexes on the way to it. */
  readonly indexes: readonly Document[];
}

/** A lead, and how well it fits; with what was read to know. */
interface Rated extends Lead {
  readonly platform: Platform;
  readonly read?: ManifestRead;
}

type ManifestRead = Awaited<ReturnType<typeof readManifest>>;

async function readTarget(
  target: Reference,
  contents: Contents,
  node: Platform,
): Promise<Omit<Candidate, "names">> {
  const rated: Rated[] = [];
  const silent: Lead[] = [];
  for await (const lead of leadsOf(target, contents)) {
    if (rated.length + silent.length === mostImages)
      throw new Refused(`${target.digest} in it leads to more than ${mostImages} images`);
    // Without an index around it, containerd goes by the config, whatever index.json says.
    const platform = lead.indexes.length > 0 ? lead.manifest.platform : undefined;
    if (platform) rated.push({ ...lead, platform });
    else silent.push(lead);
  }
  if (!rated.some(({ platform }) => fitness(platform, node) > 0)) {
    for (const lead of silent) {
      const read = await readManifest(lead.manifest, contents);
      rated.push({ ...lead, platform: platformOf(read.config.content, node), read });
    }
  }
  const platforms = rated.map(({ platform }) => platform);
  const fit = Math.max(0, ...platforms.map((platform) => fitness(platform, node)));
  const best = rated.find(({ platform }) => fit > 0 && fitness(platform, node) === fit);
  if (best === undefined) return { platforms, fitness: 0, image: undefined };
  const { manifest, config } = best.read ?? (await readManifest(best.manifest, contents));
  const layers = findLayers(manifest.content, contents.tar);
  checkCount(layers, config.content, config.document.digest);
  const { digest, size, mediaType } = target;
  const image = {
    id: config.document.digest,
    platform: platformText(platformOf(config.content, node)),
    target: { digest, size, mediaType },
    documents: [...best.indexes, manifest.document, config.document],
    layers,
  };
  return { platforms, fitness: fit, image };
}

async function* leadsOf(
  reference: Reference,
  contents: Contents,
  indexes: readonly Document[] = [],
  seen = new Set<string>(),
): AsyncGenerator<Lead> {
  const { digest, mediaType } = reference;
  if (isAbout(reference)) return;
  if (isManifest(mediaType)) yield { manifest: reference, indexes };
  else if (isIndex(mediaType)) {
    if (seen.has(digest)) return;
    seen.add(digest);
    if (indexes.length === deepest) throw new Refused(`its image indexes are more than ${deepest} deep`);
    const { document, content } = await contents.documents.read(reference, indexKind);
    for (const child of content.manifests) yield* leadsOf(child, contents, [...indexes, document], seen);
  } else if (indexes.length === 0) {
    throw new Refused(
      `${digest} in it is of the type ${quoted(mediaType)}, which is not that of an image`,
      saveIt,
    );
  }
}

async function readManifest(reference: Reference, { documents }: Contents) {
  const manifest = await documents.read(reference, manifestKind);
  const { config } = manifest.content;
  if (!isConfig(config.mediaType))
    throw new Refused(
      `${reference.digest} in it is not an image: its config is of the type ${quoted(config.mediaType)}`,
      saveIt,
    );
  return { manifest, config: await documents.read(config, configKind) };
}
