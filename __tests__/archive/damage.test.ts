import { describe, expect, it } from "vitest";
import {
  type Blob,
  blob,
  compressed,
  digestOf,
  dockerSaveNew,
  dockerSaveOld,
  mediaTypes,
  named,
  ociImage,
  ociIndex,
  ociLayout,
  sample,
  withContent,
} from "./archives.ts";
import { again, rejection } from "./reading.ts";
import { type Member, tar } from "./tar-files.ts";

const web = sample("web");
const oci = ociImage(web);
const [layerDigest, configDigest, manifestDigest] = [oci.layers[0], oci.config, oci.manifest].map(
  (each) => each?.descriptor.digest ?? "",
);
const saved = dockerSaveOld([{ image: web, tags: ["web:1"] }]);

/** An OCI layout of one image whose manifest was changed. */
function withManifest(change: object, more: readonly Blob[] = []): Member[] {
  const manifest = blob({ ...JSON.parse(String(oci.manifest.content)), ...change }, mediaTypes.manifest);
  return ociLayout([{ ...manifest.descriptor, ...named("web:1") }], [...oci.blobs, ...more, manifest]);
}
/** An OCI layout of one image whose config was changed. */
function withConfig(change: object): Member[] {
  const config = blob({ ...JSON.parse(String(web.config)), ...change }, mediaTypes.config);
  return withManifest({ config: config.descriptor }, [config]);
}
const withLayer = (change: object) =>
  withManifest({ layers: oci.layers.map(({ descriptor }) => ({ ...descriptor, ...change })) });
const layout = (entry: object, blobs: readonly Blob[] = oci.blobs) => ociLayout([entry], blobs);

describe("readArchive rejects an incomplete or corrupt archive", () => {
  const without = (members: Member[], digest: string) =>
    members.filter((member) => member.name !== `blobs/${digest.replace(":", "/")}`);
  const complete = layout({ ...oci.manifest.descriptor, ...named("web:1") });
  const index = ociIndex([{ of: oci.manifest, platform: "linux/amd64" }]);
  const config = saved.find((member) => member.name.endsWith(".json"))?.name ?? "";
  const layer = saved.find((member) => member.name.endsWith("/layer.tar"))?.name ?? "";
  const blobName = (digest: string) => `blobs/${digest.replace(":", "/")}`;
  const plain = dockerSaveNew([{ image: web, tags: ["web:1"] }]).filter(
    (member) => member.name !== "oci-layout",
  );
  const [firstLayer] = web.layers.map(digestOf);
  const swapped = web.layers.map(digestOf).map(blobName).reverse();
  const completeImage = "Create the archive again with the complete image.";
  it.each<[string, Member[], string]>([
    [
      "without its index",
      layout({ ...index.descriptor, ...named("web:1") }),
      `the archive does not contain the image index ${index.descriptor.digest}. ${completeImage}`,
    ],
    [
      "without its manifest",
      without(complete, manifestDigest ?? ""),
      `the archive does not contain the image manifest ${manifestDigest}. ${completeImage}`,
    ],
    [
      "without its config",
      without(complete, configDigest ?? ""),
      `the archive does not contain the image config ${configDigest}. ${completeImage}`,
    ],
    [
      "without a config of docker save",
      saved.filter((member) => member.name !== config),
      `the archive does not contain the image config "${config}". ${again}`,
    ],
    [
      "without a layer of docker save",
      saved.filter((member) => member.name !== layer),
      `the archive does not contain the layer "${layer}". ${again}`,
    ],
    [
      "with another manifest",
      withContent(
        complete,
        `blobs/${manifestDigest?.replace(":", "/")}`,
        Buffer.alloc(oci.manifest.content.length, " "),
      ),
      `the archive is corrupt: the image manifest ${manifestDigest} has the digest ${blob(Buffer.alloc(oci.manifest.content.length, " "), "").descriptor.digest}. ${again}`,
    ],
    [
      "with a shorter config",
      withContent(complete, `blobs/${configDigest?.replace(":", "/")}`, {}),
      `the archive is corrupt: the image config ${configDigest} has 2 bytes instead of ${web.config.length}. ${again}`,
    ],
    [
      "with a shorter layer",
      withContent(complete, `blobs/${layerDigest?.replace(":", "/")}`, {}),
      `the archive is corrupt: the layer ${layerDigest} has 2 bytes instead of ${oci.layers[0]?.content.length}. ${again}`,
    ],
    [
      "with another config under its digest",
      withContent(
        dockerSaveNew([{ image: web, tags: ["web:1"] }]).filter((member) => member.name !== "oci-layout"),
        `blobs/${web.id.replace(":", "/")}`,
        {},
      ),
      `the archive is corrupt: the image config "blobs/${web.id.replace(":", "/")}" has the digest ${blob({}, "").descriptor.digest}. ${again}`,
    ],
    [
      "with another number of layers",
      withManifest({ layers: [] }),
      `the archive is corrupt: the image ${web.id} has 0 layers, but its config lists 2. ${again}`,
    ],
    [
      "with another number of layers in manifest.json",
      withContent(saved, "manifest.json", [{ Config: config, RepoTags: ["web:1"], Layers: [layer] }]),
      `the archive is corrupt: the image ${web.id} has 1 layers, but its config lists 2. ${again}`,
    ],
    [
      "with another layer under its digest",
      withContent(plain, "manifest.json", [
        { Config: blobName(web.id), RepoTags: ["web:1"], Layers: swapped },
      ]),
      `the archive is corrupt: the layer "${swapped[0]}" should have the digest ${firstLayer}. ${again}`,
    ],
    [
      "with a layer at a URL",
      withLayer({ urls: ["https://example.com/layer"] }),
      `the layer ${layerDigest} is non-distributable: it has to be fetched from its publisher. Use another base image.`,
    ],
    [
      "with a foreign layer",
      withLayer({ mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" }),
      `the layer ${layerDigest} is non-distributable: it has to be fetched from its publisher. Use another base image.`,
    ],
    [
      "with a layer of an unknown media type",
      withLayer({ mediaType: "text/html" }),
      `the layer ${layerDigest} has the media type "text/html", which containerd does not unpack. Build the image with layers that are tar archives, plain or compressed with gzip or zstd.`,
    ],
  ])("%s", async (_, archive, message) => {
    expect(await rejection(archive)).toBe(message);
  });
});

describe("readArchive rejects JSON files with invalid content", () => {
  const index = (manifests: unknown) =>
    withContent(layout(oci.manifest.descriptor), "index.json", { manifests });
  const nested = (depth: number): Blob[] => {
    const below = depth === 1 ? [] : nested(depth - 1);
    return [ociIndex([{ of: below[0] ?? oci.manifest }]), ...below];
  };
  const half = (which: number) =>
    ociIndex(Array.from({ length: 501 }, () => ({ of: oci.manifest, platform: `linux/${which}` })));
  const many = ociIndex([{ of: half(1) }, { of: half(2) }]);
  const entry = { ...oci.manifest.descriptor, ...named("web:1") };
  it.each<[string, Member[], string]>([
    ["invalid JSON", withContent(saved, "manifest.json", Buffer.from("[{")), '"manifest.json" is not JSON'],
    [
      "null",
      withContent(saved, "manifest.json", null),
      '"manifest.json" is not a valid list of images: it is not an array',
    ],
    [
      "an array of numbers",
      withContent(saved, "manifest.json", [1]),
      '"manifest.json" is not a valid list of images: `0` is not an object',
    ],
    [
      "layers as a string",
      withContent(saved, "manifest.json", [{ Config: "a", Layers: "b" }]),
      '"manifest.json" is not a valid list of images: `0.Layers` is not an array',
    ],
    [
      "too many images",
      withContent(saved, "manifest.json", Array(1_001).fill(0)),
      '"manifest.json" is not a valid list of images: it has more than 1000 elements',
    ],
    [
      "too many layers",
      withManifest({ layers: Array(1_001).fill(0) }),
      "is not a valid image manifest: `layers` has more than 1000 elements",
    ],
    [
      "an unknown layout",
      withContent(layout(entry), "oci-layout", { imageLayoutVersion: "2.0.0" }),
      '"oci-layout" is not a valid oci-layout file: `imageLayoutVersion` is not 1.0.0, the only supported version',
    ],
    [
      "sha512",
      index([{ ...entry, digest: `sha512:${"0".repeat(128)}` }]),
      "`manifests.0.digest` is not `sha256:` and 64 hexadecimal digits",
    ],
    [
      "a digest that is a path",
      index([{ ...entry, digest: "sha256:../../../etc/passwd" }]),
      "`manifests.0.digest` is not `sha256:` and 64 hexadecimal digits",
    ],
    ["a negative size", index([{ ...entry, size: -1 }]), "`manifests.0.size` is negative"],
    ["a fractional size", index([{ ...entry, size: 0.5 }]), "`manifests.0.size` is not an integer"],
    ["a size as string", index([{ ...entry, size: "1" }]), "`manifests.0.size` is not an integer"],
    [
      "a size beyond all integers",
      index([{ ...entry, size: 1e300 }]),
      "`manifests.0.size` is not an integer",
    ],
    [
      "a platform with a newline",
      index([{ ...entry, platform: { os: "linux\n", architecture: "amd64" } }]),
      "`manifests.0.platform.os` is not a valid platform component",
    ],
    [
      "a manifest that is also an index",
      withManifest({ manifests: [entry] }),
      "is not a valid image manifest: `manifests` is not allowed here",
    ],
    [
      "an index that is also a manifest",
      withContent(layout(entry), "index.json", { manifests: [entry], layers: [] }),
      "is not a valid image index: `layers` is not allowed here",
    ],
    [
      "a manifest with the media type of an index",
      withManifest({ mediaType: mediaTypes.index }),
      "is not a valid image manifest: `mediaType` is not the media type of a manifest",
    ],
    [
      "a config whose layers are not digests",
      withConfig({ rootfs: { diff_ids: ["sha256:0", "sha256:1"] } }),
      "is not a valid image config: `rootfs.diff_ids.0` is not `sha256:` and 64 hexadecimal digits",
    ],
    ["a config without layers", withConfig({ rootfs: null }), "layers, but its config lists 0"],
    [
      "prototype keys",
      withConfig(JSON.parse('{"__proto__": {"os": 1}, "rootfs": {"__proto__": {"diff_ids": 1}}}')),
      "layers, but its config lists 0",
    ],
    [
      "an index of too many images",
      layout({ ...many.descriptor, ...named("web:1") }, [many, half(1), half(2)]),
      `${many.descriptor.digest} refers to more than 1000 images`,
    ],
    [
      "indexes nested nine levels deep",
      layout({ ...nested(9)[0]?.descriptor, ...named("web:1") }, [...nested(9), ...oci.blobs]),
      "the image indexes are nested more than 8 levels deep",
    ],
  ])("%s", async (_, archive, message) => {
    expect(await rejection(archive)).toContain(`${message}. ${again}`);
  });
});

describe("readArchive rejects a truncated archive", () => {
  it.each(["none", "gzip", "zstd"] as const)("wherever it ends, with compression %s", async (compression) => {
    const complete = compressed(tar(saved), compression);
    // The last 1024 bytes of an uncompressed archive are its end-of-archive marker, which is optional.
    const end = compression === "none" ? complete.length - 1024 - 512 : complete.length;
    for (let length = 0; length < end; length += Math.ceil(end / 40)) {
      expect(await rejection(complete.subarray(0, length))).toMatch(
        /^(?:the file is (?:empty|not a tar archive|a tar archive, but)|the archive (?:is truncated|does not contain)|the (?:gzip|zstd) stream is truncated)/,
      );
    }
  });
});
