import { createHash } from "node:crypto";
import { quote } from "../lib/quote.ts";
import { digestOf } from "../oci/digest.ts";
import { dockerConfig, dockerLayer, dockerManifest } from "../oci/media-types.ts";
import type { Platform } from "../oci/platform.ts";
import { configPlatform, formatPlatform, platformMatch } from "../oci/platform.ts";
import { configSchema, type DockerManifestEntry, dockerManifestListSchema } from "../oci/schemas.ts";
import type { ArchiveContents, ManifestBlob } from "./blob-reader.ts";
import { compressionOf, signatureBytes } from "./decompress.ts";
import { ArchiveError, adviseDockerSave } from "./errors.ts";
import type { Layer } from "./image-archive.ts";
import { checkLayerCount } from "./layers.ts";
import type { RandomAccessFile } from "./open-file.ts";
import type { ImageEntry } from "./select.ts";
import type { TarContent, TarIndex } from "./tar-index.ts";

/**
 * Reads an archive of `docker save`, with layers in folders or as blobs, or of another tool that writes this format
 * (go-containerregistry, kaniko, skopeo, podman): moby, image/spec/v1.2.md. The format has no manifests: they are generated
 * byte for byte like those of containerd's importer (core/images/archive/importer.go), so that they are the same in a node
 * that got the image with `ctr images import`.
 *
 * @throws ArchiveError when the archive is incomplete, corrupt or invalid
 */
export async function readDockerArchive(contents: ArchiveContents, node: Platform): Promise<ImageEntry[]> {
  const list = await contents.blobs.readFile("manifest.json", dockerManifestListSchema);
  if (list === undefined) throw new ArchiveError(describeArchive(contents.tar), adviseDockerSave);
  const readLayer = createLayerReader(contents);
  const entries: ImageEntry[] = [];
  for (const entry of list.content) entries.push(await readEntry(entry, contents, readLayer, node));
  return entries;
}

async function readEntry(
  { Config: configFile, RepoTags: names, Layers: files }: DockerManifestEntry,
  { blobs }: ArchiveContents,
  readLayer: LayerReader,
  node: Platform,
): Promise<ImageEntry> {
  const read = await blobs.readFile(configFile, configSchema);
  if (read === undefined)
    throw new ArchiveError(`the archive does not contain the image config ${quote(configFile)}`);
  const config = toManifestBlob(read.bytes, dockerConfig);
  const expectedDigest = digestInName(configFile);
  if (expectedDigest !== undefined && expectedDigest !== config.digest)
    throw new ArchiveError(
      `the archive is corrupt: the image config ${quote(configFile)} has the digest ${config.digest}`,
    );
  checkLayerCount(files, read.content, config.digest);
  const platform = configPlatform(read.content, node);
  const match = platformMatch(platform, node);
  if (match === 0) return { names, platforms: [platform], match, image: undefined };
  const layers: Layer[] = [];
  for (const [index, file] of files.entries()) {
    layers.push(await readLayer(file, read.content.rootfs[index] ?? ""));
  }
  const manifest = toManifestBlob(generateManifest(config, layers), dockerManifest);
  blobs.count(manifest.size);
  const image = {
    id: config.digest,
    platform: formatPlatform(platform),
    target: { digest: manifest.digest, size: manifest.size, mediaType: manifest.mediaType },
    manifests: [manifest, config],
    layers,
  };
  return { names, platforms: [platform], match, image };
}

/** Returns why an archive without a manifest.json is not one of `docker save`. */
function describeArchive(tar: TarIndex): string {
  if (tar.find("repositories") !== undefined)
    return "the archive has no manifest.json: it was saved by a Docker version older than 1.10";
  if (tar.find("index.json") !== undefined)
    return "the archive has an index.json, but neither an oci-layout file nor a manifest.json";
  return "the file is a tar archive, but not an image archive: it has neither a manifest.json nor an oci-layout file";
}

const toManifestBlob = (bytes: Buffer, mediaType: string): ManifestBlob => ({
  digest: digestOf(bytes),
  size: bytes.length,
  mediaType,
  bytes,
});

/** Returns the digest in the name of a file: `blobs/sha256/HEX` or, for configs, `sha256:HEX`. */
const digestInName = (file: string): string | undefined => {
  const hex = /^(?:\.\/)?(?:blobs\/sha256\/|sha256:)([0-9a-f]{64})$/.exec(file)?.[1];
  return hex && `sha256:${hex}`;
};

/** The order of keys is that of the fields in containerd's structs. Go's encoding/json does not write spaces either. */
function generateManifest(config: ManifestBlob, layers: readonly Layer[]): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: dockerManifest,
      config: { mediaType: config.mediaType, digest: config.digest, size: config.size },
      layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    }),
  );
}

/** Finds a layer by its name in the archive. @param diffId digest of the uncompressed layer */
type LayerReader = (name: string, diffId: string) => Promise<Layer>;

/** Creates a reader that reads every layer once: the images of an archive share layers. */
function createLayerReader({ file, tar }: ArchiveContents): LayerReader {
  /** By offset: the digest of a compressed layer; undefined for an uncompressed one, whose digest is the diff ID. */
  const digests = new Map<number, string | undefined>();
  return async (name, diffId) => {
    const content = tar.find(name);
    if (content === undefined)
      throw new ArchiveError(`the archive does not contain the layer ${quote(name)}`);
    const { offset, size } = content;
    if (!digests.has(offset)) {
      const head = await file.bytes(offset, Math.min(size, signatureBytes));
      digests.set(offset, compressionOf(head) && (await hashContent(file, content)));
    }
    const digest = digests.get(offset);
    // containerd's importer sets this media type for zstd too, and detects the compression when it unpacks.
    if (digest !== undefined) return { digest, size, mediaType: `${dockerLayer}.gzip`, offset };
    const expectedDigest = digestInName(name);
    if (expectedDigest !== undefined && expectedDigest !== diffId)
      throw new ArchiveError(
        `the archive is corrupt: the layer ${quote(name)} should have the digest ${diffId}`,
      );
    return { digest: diffId, size, mediaType: dockerLayer, offset };
  };
}

async function hashContent(file: RandomAccessFile, { offset, size }: TarContent): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of file.stream(offset, offset + size)) hash.update(chunk);
  return `sha256:${hash.digest("hex")}`;
}
