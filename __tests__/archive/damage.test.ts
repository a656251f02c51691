import { describe, expect, it } from "vitest";
import {
  type Blob,
  blob,
  compressed,
  digestOf,
  dockerSaveNew,
  dockerSaveOld,
  having,
  mediaTypes,
  named,
  ociImage,
  ociIndex,
  ociLayout,
  sample,
} from "./archives.ts";
import { again, refusal } from "./reading.ts";
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

describe("an archive that lacks something, or has another thing in its place, is refused:", () => {
  const without = (members: Member[], digest: string) =>
    members.filter((member) => member.name !== `blobs/${digest.replace(":", "/")}`);
  const whole = layout({ ...oci.manifest.descriptor, ...named("web:1") });
  const index = ociIndex([{ of: oci.manifest, platform: "linux/amd64" }]);
  const config = saved.find((member) => member.name.endsWith(".json"))?.name ?? "";
  const layer = saved.find((member) => member.name.endsWith("/layer.tar"))?.name ?? "";
  const blobName = (digest: string) => `blobs/${digest.replace(":", "/")}`;
  const plain = dockerSaveNew([{ image: web, tags: ["web:1"] }]).filter(
    (member) => member.name !== "oci-layout",
  );
  const [firstLayer] = web.layers.map(digestOf);
  const swapped = web.layers.map(digestOf).map(blobName).reverse();
  const wholeImage = "Make the archive again with the whole image in it.";
  it.each<[string, Member[], string]>([
    [
      "its index",
      layout({ ...index.descriptor, ...named("web:1") }),
      `the image index ${index.descriptor.digest} is not in it. ${wholeImage}`,
    ],
    [
      "its manifest",
      without(whole, manifestDigest ?? ""),
      `the image manifest ${manifestDigest} is not in it. ${wholeImage}`,
    ],
    [
      "its config",
      without(whole, configDigest ?? ""),
      `the image config ${configDigest} is not in it. ${wholeImage}`,
    ],
    [
      "a config of docker save",
      saved.filter((member) => member.name !== config),
      `the image config "${config}" is not in it. ${again}`,
    ],
    [
      "a layer of docker save",
      saved.filter((member) => member.name !== layer),
      `the layer "${layer}" is not in it. ${again}`,
    ],
    [
      "another manifest",
      having(
        whole,
        `blobs/${manifestDigest?.replace(":", "/")}`,
        Buffer.alloc(oci.manifest.content.length, " "),
      ),
      `it is damaged: the image manifest ${manifestDigest} hashes to ${blob(Buffer.alloc(oci.manifest.content.length, " "), "").descriptor.digest}. ${again}`,
    ],
    [
      "a shorter config",
      having(whole, `blobs/${configDigest?.replace(":", "/")}`, {}),
      `it is damaged: the image config ${configDigest} should have ${web.config.length} bytes, and has 2. ${again}`,
    ],
    [
      "a shorter layer",
      having(whole, `blobs/${layerDigest?.replace(":", "/")}`, {}),
      `it is damaged: the layer ${layerDigest} should have ${oci.layers[0]?.content.length} bytes, and has 2. ${again}`,
    ],
    [
      "another config under a digest",
      having(
        dockerSaveNew([{ image: web, tags: ["web:1"] }]).filter((member) => member.name !== "oci-layout"),
        `blobs/${web.id.replace(":", "/")}`,
        {},
      ),
      `it is damaged: the image config "blobs/${web.id.replace(":", "/")}" hashes to ${blob({}, "").descriptor.digest}. ${again}`,
    ],
    [
      "another number of layers",
      withManifest({ layers: [] }),
      `it is damaged: the image ${web.id} has 0 layers, and 2 according to its config. ${again}`,
    ],
    [
      "another number of layers than docker save wrote",
      having(saved, "manifest.json", [{ Config: config, RepoTags: ["web:1"], Layers: [layer] }]),
      `it is damaged: the image ${web.id} has 1 layers, and 2 according to its config. ${again}`,
    ],
    [
      "another layer under a digest",
      having(plain, "manifest.json", [{ Config: blobName(web.id), RepoTags: ["web:1"], Layers: swapped }]),
      `it is damaged: the layer "${swapped[0]}" should hash to ${firstLayer}. ${again}`,
    ],
    [
      "a layer that its maker has",
      withLayer({ urls: ["https://example.com/layer"] }),
      `its layer ${layerDigest} is not distributable: it is to be fetched from where its maker has it. Build the image on another one.`,
    ],
    [
      "a foreign layer",
      withLayer({ mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" }),
      `its layer ${layerDigest} is not distributable: it is to be fetched from where its maker has it. Build the image on another one.`,
    ],
    [
      "a layer of a strange type",
      withLayer({ mediaType: "text/html" }),
      `its layer ${layerDigest} is of the type "text/html", which containerd does not unpack. Build the image with layers that are tar archives, plain or compressed with gzip or zstd.`,
    ],
  ])("%s", async (_, archive, said) => {
    expect(await refusal(archive)).toBe(said);
  });
});

describe("a document that is not what it should be is refused:", () => {
  const index = (manifests: unknown) => having(layout(oci.manifest.descriptor), "index.json", { manifests });
  const nested = (depth: number): Blob[] => {
    const below = depth === 1 ? [] : nested(depth - 1);
    return [ociIndex([{ of: below[0] ?? oci.manifest }]), ...below];
  };
  const half = (which: number) =>
    ociIndex(Array.from({ length: 501 }, () => ({ of: oci.manifest, platform: `linux/${which}` })));
  const crowd = ociIndex([{ of: half(1) }, { of: half(2) }]);
  const entry = { ...oci.manifest.descriptor, ...named("web:1") };
  it.each<[string, Member[], string]>([
    ["no JSON", having(saved, "manifest.json", Buffer.from("[{")), '"manifest.json" in it is not JSON'],
    [
      "null",
      having(saved, "manifest.json", null),
      '"manifest.json" in it is no list of images: it is not a list',
    ],
    [
      "a list of numbers",
      having(saved, "manifest.json", [1]),
      '"manifest.json" in it is no list of images: `0` is not an object',
    ],
    [
      "layers as a text",
      having(saved, "manifest.json", [{ Config: "a", Layers: "b" }]),
      '"manifest.json" in it is no list of images: `0.Layers` is not a list',
    ],
    [
      "too many images",
      having(saved, "manifest.json", Array(1_001).fill(0)),
      '"manifest.json" in it is no list of images: it has more than 1000 elements',
    ],
    [
      "too many layers",
      withManifest({ layers: Array(1_001).fill(0) }),
      "is no image manifest: `layers` has more than 1000 elements",
    ],
    [
      "an unknown layout",
      having(layout(entry), "oci-layout", { imageLayoutVersion: "2.0.0" }),
      '"oci-layout" in it is no oci-layout file: `imageLayoutVersion` is not 1.0.0, the only version there is',
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
    ["half a byte", index([{ ...entry, size: 0.5 }]), "`manifests.0.size` is not a whole number"],
    ["a size as text", index([{ ...entry, size: "1" }]), "`manifests.0.size` is not a whole number"],
    ["an enormous document", index([{ ...entry, size: 1e300 }]), "`manifests.0.size` is not a whole number"],
    [
      "a platform with a line end",
      index([{ ...entry, platform: { os: "linux\n", architecture: "amd64" } }]),
      "`manifests.0.platform.os` is not a word",
    ],
    [
      "a manifest that is an index as well",
      withManifest({ manifests: [entry] }),
      "is no image manifest: `manifests` does not belong there",
    ],
    [
      "an index that is a manifest as well",
      having(layout(entry), "index.json", { manifests: [entry], layers: [] }),
      "is no image index: `layers` does not belong there",
    ],
    [
      "a manifest that says it is an index",
      withManifest({ mediaType: mediaTypes.index }),
      "is no image manifest: `mediaType` is not the type of a manifest",
    ],
    [
      "a config whose layers are no digests",
      withConfig({ rootfs: { diff_ids: ["sha256:0", "sha256:1"] } }),
      "is no image config: `rootfs.diff_ids.0` is not `sha256:` and 64 hexadecimal digits",
    ],
    ["a config without layers", withConfig({ rootfs: null }), "layers, and 0 according to its config"],
    [
      "keys that are not keys",
      withConfig(JSON.parse('{"__proto__": {"os": 1}, "rootfs": {"__proto__": {"diff_ids": 1}}}')),
      "layers, and 0 according to its config",
    ],
    [
      "more images than platforms exist",
      layout({ ...crowd.descriptor, ...named("web:1") }, [crowd, half(1), half(2)]),
      `${crowd.descriptor.digest} in it leads to more than 1000 images`,
    ],
    [
      "indexes nine deep",
      layout({ ...nested(9)[0]?.descriptor, ...named("web:1") }, [...nested(9), ...oci.blobs]),
      "its image indexes are more than 8 deep",
    ],
  ])("%s", async (_, archive, said) => {
    expect(await refusal(archive)).toContain(`${said}. ${again}`);
  });
});

describe("an archive that is cut off", () => {
  it.each(["none", "gzip", "zstd"] as const)(
    "anywhere is refused, with compression %s",
    async (compression) => {
      const whole = compressed(tar(saved), compression);
      // The last 1024 bytes of a plain archive are its end mark, which nothing needs.
      const end = compression === "none" ? whole.length - 1024 - 512 : whole.length;
      for (let length = 0; length < end; length += Math.ceil(end / 40)) {
        expect(await refusal(whole.subarray(0, length))).toMatch(
          /^(?:it is empty|it is not a tar archive|it is cut off|its (?:gzip|zstd) stream is cut off|the image config|it is a tar archive, but|the layer)/,
        );
      }
    },
  );
});
