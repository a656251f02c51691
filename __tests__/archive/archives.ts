import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { type Member, noise, tar } from "./tar-files.ts";

export const digestOf = (content: Buffer): string =>
  `sha256:${createHash("sha256").update(content).digest("hex")}`;

export const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** A generated image, for archives of all layouts. */
export interface Sample {
  /** Uncompressed, the lowest first. */
  readonly layers: readonly Buffer[];
  readonly config: Buffer;
  /** The digest of the config. */
  readonly id: string;
}

/** @param platform `os/architecture` or `os/architecture/variant`; if empty, the config has none */
export function sample(seed: string, { layers = 2, platform = "linux/amd64", bytes = 3_000 } = {}): Sample {
  const tars = Array.from({ length: layers }, (_, index) =>
    tar([{ name: "file", content: noise(`${seed}/${index}`, bytes) }]),
  );
  return imageOf(tars, platform);
}

export function imageOf(layers: readonly Buffer[], platform = "linux/amd64"): Sample {
  const [os, architecture, variant] = platform.split("/");
  const config = json({
    ...(architecture === undefined
      ? {}
      : { os, architecture, ...(variant === undefined ? {} : { variant }) }),
    config: { Env: ["PATH=/bin"] },
    rootfs: { type: "layers", diff_ids: layers.map(digestOf) },
  });
  return { layers, config, id: digestOf(config) };
}

/** An image with its tags in `docker save`. */
export interface Saved {
  readonly image: Sample;
  readonly tags: readonly string[] | null;
}

const hex = (digest: string) => digest.replace("sha256:", "");

/** `docker save` before Docker 25: a folder for each layer of each image; repeated layers are links. */
export function dockerSaveOld(
  saved: readonly Saved[],
  repeated: "symlink" | "hardlink" = "symlink",
): Member[] {
  const first = new Map<string, string>();
  const members: Member[] = [];
  const list = saved.map(({ image, tags }) => ({
    Config: `${hex(image.id)}.json`,
    RepoTags: tags,
    Layers: image.layers.map((layer, index) => {
      const folder = hex(digestOf(Buffer.from(`${image.id}/${index}`)));
      const known = first.get(digestOf(layer));
      first.set(digestOf(layer), known ?? folder);
      members.push(
        { name: `${folder}/`, kind: "folder" },
        { name: `${folder}/VERSION`, content: Buffer.from("1.0") },
        { name: `${folder}/json`, content: json({ id: folder }) },
        known === undefined
          ? { name: `${folder}/layer.tar`, content: layer }
          : {
              name: `${folder}/layer.tar`,
              kind: repeated,
              target: `${repeated === "symlink" ? "../" : ""}${known}/layer.tar`,
            },
      );
      return `${folder}/layer.tar`;
    }),
  }));
  for (const { image } of saved) members.push({ name: `${hex(image.id)}.json`, content: image.config });
  return [
    ...members,
    { name: "manifest.json", content: json(list) },
    { name: "repositories", content: json({ web: { "1": "0" } }) },
  ];
}

/** Tarballs of go-containerregistry (crane, ko, kaniko): compressed layers named by their hash. */
export function goContainerRegistry(
  saved: readonly Saved[],
  compression: "gzip" | "zstd" = "gzip",
): Member[] {
  const list = saved.map(({ image, tags }) => ({
    Config: image.id,
    RepoTags: tags,
    Layers: image.layers.map((layer) => `${hex(digestOf(compressed(layer, compression)))}.tar.gz`),
  }));
  return [
    ...saved.flatMap(({ image }) => [
      { name: image.id, content: image.config },
      ...image.layers.map((layer) => {
        const content = compressed(layer, compression);
        return { name: `${hex(digestOf(content))}.tar.gz`, content };
      }),
    ]),
    { name: "manifest.json", content: json(list) },
  ];
}

export const compressed = (layer: Buffer, compression: "none" | "gzip" | "zstd"): Buffer =>
  compression === "gzip" ? gzipSync(layer) : compression === "zstd" ? zstdCompressSync(layer) : layer;

/** A blob with its descriptor. */
export interface Blob {
  readonly content: Buffer;
  readonly descriptor: { readonly mediaType: string; readonly digest: string; readonly size: number };
}

export function blob(value: unknown, mediaType: string): Blob {
  const content = Buffer.isBuffer(value) ? value : json(value);
  return { content, descriptor: { mediaType, digest: digestOf(content), size: content.length } };
}

export const mediaTypes = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  none: "application/vnd.oci.image.layer.v1.tar",
  gzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  zstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar",
};

/** The OCI blobs of an image: `blobs` has all of them, the manifest last. */
export function ociImage(image: Sample, compression: "none" | "gzip" | "zstd" = "gzip") {
  const layers = image.layers.map((layer) => blob(compressed(layer, compression), mediaTypes[compression]));
  const config = blob(image.config, mediaTypes.config);
  const manifest = blob(
    {
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      config: config.descriptor,
      layers: layers.map(({ descriptor }) => descriptor),
    },
    mediaTypes.manifest,
  );
  return { layers, config, manifest, blobs: [...layers, config, manifest] };
}

/** An index of manifests. @param entries with platforms, and further fields of the descriptor */
export function ociIndex(entries: readonly { of: Blob; platform?: string; more?: object }[]): Blob {
  const manifests = entries.map(({ of, platform, more }) => {
    const [os, architecture, variant] = platform?.split("/") ?? [];
    return {
      ...of.descriptor,
      ...(os === undefined ? {} : { platform: { os, architecture, variant } }),
      ...more,
    };
  });
  return blob({ schemaVersion: 2, mediaType: mediaTypes.index, manifests }, mediaTypes.index);
}

/** The name in a descriptor of index.json, as containerd and buildx write it. */
export const named = (name: string) => ({
  annotations: { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": "1" },
});
/** The name in a descriptor of index.json, as skopeo and podman write it. */
export const refNamed = (name: string) => ({ annotations: { "org.opencontainers.image.ref.name": name } });

/** An OCI layout: `oci-layout`, `index.json`, and blobs. */
export const ociLayout = (manifests: readonly object[], blobs: readonly Blob[]): Member[] => [
  { name: "blobs/", kind: "folder" },
  { name: "blobs/sha256/", kind: "folder" },
  ...[...new Map(blobs.map((each) => [each.descriptor.digest, each])).values()].map(
    ({ content, descriptor }) => ({
      name: `blobs/sha256/${hex(descriptor.digest)}`,
      content,
    }),
  ),
  { name: "index.json", content: json({ schemaVersion: 2, mediaType: mediaTypes.index, manifests }) },
  { name: "oci-layout", content: json({ imageLayoutVersion: "1.0.0" }) },
];

/** `docker save` since Docker 25: an OCI layout with the manifest.json of older versions. */
export function dockerSaveNew(saved: readonly Saved[]): Member[] {
  const images = saved.map(({ image, tags }) => ({ ...ociImage(image, "none"), tags }));
  const path = ({ descriptor }: Blob) => `blobs/sha256/${hex(descriptor.digest)}`;
  const list = images.map(({ config, layers, tags }) => ({
    Config: path(config),
    RepoTags: tags,
    Layers: layers.map(path),
  }));
  const manifests = images.flatMap(({ manifest, tags }) =>
    (tags ?? []).map((tag) => ({ ...manifest.descriptor, ...named(`docker.io/library/${tag}`) })),
  );
  return [
    ...ociLayout(
      manifests,
      images.flatMap(({ blobs }) => blobs),
    ),
    { name: "manifest.json", content: json(list) },
  ];
}

/** Replaces the content of one member of an archive. */
export const withContent = (members: readonly Member[], file: string, content: unknown): Member[] =>
  members.map((member) =>
    member.name === file
      ? { ...member, content: Buffer.isBuffer(content) ? content : json(content) }
      : member,
  );

/** Writes an archive into a folder. @returns its path */
export function writeArchive(folder: string, archive: readonly Member[] | Buffer): string {
  const path = join(folder, "image.tar");
  writeFileSync(path, Buffer.isBuffer(archive) ? archive : tar(archive));
  return path;
}
