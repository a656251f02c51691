import { createHash } from "node:crypto";
import type { Platform } from "../docker/images.ts";
import { configPlatform, fitness, formatPlatform } from "../oci/platform.ts";
import {
  configSchema,
  type DockerManifestEntry,
  dockerConfig,
  dockerManifest,
  dockerManifestListSchema,
} from "../oci/schemas.ts";
import { type ArchiveContents, digestOf, type ManifestBlob } from "./blob-reader.ts";
import { compressionOf, signatureBytes } from "./decompress.ts";
import { ArchiveError, adviseDockerSave, quote } from "./errors.ts";
import { checkLayerCount, dockerLayer } from "./layers.ts";
import type { RandomAccessFile } from "./open-file.ts";
import type { Layer } from "./read-archive.ts";
import type { ImageEntry } from "./select.ts";
import type { TarContent, TarIndex } from "./tar-index.ts";

/**
 * Reads an archive of `docker save`, with layers in folders of their own or as blobs, and those of the tools that write
 * its format (go-containerregistry, kaniko, skopeo, podman): moby, image/spec/v1.2.md. It has no manifests: they are made
 * as containerd's importer makes them (core/images/archive/importer.go), byte for byte, so that a node that was loaded in
 * another way has the same ones.
 *
 * @throws Refused when something is missing, damaged, or not as the format has it
 */
export async function readDockerArchive(contents: ArchiveContents, node: Platform): Promise<ImageEntry[]> {
  const list = await contents.blobs.readNamed("manifest.json", dockerManifestListSchema);
  if (list === undefined) throw new ArchiveError(whatItIs(contents.tar), adviseDockerSave);
  const layers = layerReader(contents);
  const candidates: ImageEntry[] = [];
  for (const saved of list.content) candidates.push(await readSaved(saved, contents, layers, node));
  return candidates;
}

async function readSaved(
  { Config: configFile, RepoTags: names, Layers: files }: DockerManifestEntry,
  { blobs: documents }: ArchiveContents,
  readLayer: LayerReader,
  node: Platform,
): Promise<ImageEntry> {
  const read = await documents.readNamed(configFile, configSchema);
  if (read === undefined) throw new ArchiveError(`the image config ${quote(configFile)} is not in it`);
  const config = describe(read.bytes, dockerConfig);
  const claimed = digestInName(configFile);
  if (claimed !== undefined && claimed !== config.digest)
    throw new ArchiveError(`it is damaged: the image config ${quote(configFile)} hashes to ${config.digest}`);
  checkLayerCount(files, read.content, config.digest);
  const platform = configPlatform(read.content, node);
  const fit = fitness(platform, node);
  if (fit === 0) return { names, platforms: [platform], fitness: fit, image: undefined };
  const layers: Layer[] = [];
  for (const [index, file] of files.entries()) {
    layers.push(await readLayer(file, read.content.rootfs[index] ?? ""));
  }
  const manifest = describe(manifestOf(config, layers), dockerManifest);
  documents.count(manifest.size);
  const image = {
    id: config.digest,
    platform: formatPlatform(platform),
    target: { digest: manifest.digest, size: manifest.size, mediaType: manifest.mediaType },
    manifests: [manifest, config],
    layers,
  };
  return { names, platforms: [platform], fitness: fit, image };
}

function whatItIs(tar: TarIndex): string {
  if (tar.find("repositories") !== undefined)
    return "it has no manifest.json: it was saved by a Docker older than 1.10";
  if (tar.find("index.json") !== undefined)
    return "it has an index.json, but no oci-layout file and no manifest.json";
  return "it is a tar archive, but not of an image: it has neither a manifest.json nor an oci-layout file";
}

const describe = (bytes: Buffer, mediaType: string): ManifestBlob => ({
  digest: digestOf(bytes),
  size: bytes.length,
  mediaType,
  bytes,
});

/** Two layouts have a file's digest as its name: `blobs/sha256/HEX` and, for configs, `sha256:HEX`. */
const digestInName = (file: string): string | undefined => {
  const hex = /^(?:\.\/)?(?:blobs\/sha256\/|sha256:)([0-9a-f]{64})$/.exec(file)?.[1];
  return hex && `sha256:${hex}`;
};

/** The order of the keys is that of containerd's structures; Go's encoding/json writes no spaces either. */
function manifestOf(config: ManifestBlob, layers: readonly Layer[]): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: dockerManifest,
      config: { mediaType: config.mediaType, digest: config.digest, size: config.size },
      layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    }),
  );
}

/** Reads a layer by its name. @param diffId what it hashes to uncompressed */
type LayerReader = (name: string, diffId: string) => Promise<Layer>;

/** Looks into every layer once: images of one archive share them. */
function layerReader({ file, tar }: ArchiveContents): LayerReader {
  /** By the offset of a layer: the digest of a compressed one, undefined for what its config tells the digest of. */
  const hashes = new Map<number, string | undefined>();
  return async (name, diffId) => {
    const content = tar.find(name);
    if (content === undefined) throw new ArchiveError(`the layer ${quote(name)} is not in it`);
    const { offset, size } = content;
    if (!hashes.has(offset)) {
      const head = await file.bytes(offset, Math.min(size, signatureBytes));
      hashes.set(offset, compressionOf(head) && (await hash(file, content)));
    }
    const digest = hashes.get(offset);
    // containerd's importer has this type for zstd, too: it looks at the bytes before it unpacks.
    if (digest !== undefined) return { digest, size, mediaType: `${dockerLayer}.gzip`, offset };
    const claimed = digestInName(name);
    if (claimed !== undefined && claimed !== diffId)
      throw new ArchiveError(`it is damaged: the layer ${quote(name)} should hash to ${diffId}`);
    return { digest: diffId, size, mediaType: dockerLayer, offset };
  };
}

async function hash(file: RandomAccessFile, { offset, size }: TarContent): Promise<string> {
  const sum = createHash("sha256");
  for await (const chunk of file.stream(offset, offset + size)) sum.update(chunk);
  return `sha256:${sum.digest("hex")}`;
}
