import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { InvalidArchiveError, readArchive } from "../../src/archive/read-archive.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import {
  type Blob,
  blob,
  dockerSaveOld,
  having,
  imageOf,
  json,
  mediaTypes,
  named,
  ociImage,
  ociLayout,
  refNamed,
  sample,
} from "./archives.ts";
import { again, name, refusal, save } from "./reading.ts";
import { type Member, tar } from "./tar-files.ts";

const web = sample("web");
const saved = dockerSaveOld([{ image: web, tags: ["web:1"] }]);
const oci = ociImage(web);
const layerDigest = oci.layers[0]?.descriptor.digest;
const chart = blob(
  { config: blob({}, "application/vnd.cncf.helm.config.v1+json").descriptor, layers: [] },
  mediaTypes.manifest,
);
const layout = (entry: object, blobs: readonly Blob[] = oci.blobs) => ociLayout([entry], blobs);

describe("a file that is no archive of images is refused:", () => {
  it.each<[string, readonly Member[] | Buffer, string]>([
    ["nothing", Buffer.alloc(0), `it is empty. ${save}`],
    [
      "a picture",
      Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), randomBytes(2_000)]),
      `it is not a tar archive. ${save}`,
    ],
    ["a web page", Buffer.from("<!DOCTYPE html><title>404</title>"), `it is not a tar archive. ${save}`],
    ["a compressed picture", gzipSync("89504e470d0a1a0a"), `it is not a tar archive. ${save}`],
    [
      "a tar of nothing",
      tar([]),
      `it is a tar archive, but not of an image: it has neither a manifest.json nor an oci-layout file. ${save}`,
    ],
    [
      "docker export",
      [{ name: "etc/", kind: "folder" }, { name: "etc/passwd" }],
      `it is a tar archive, but not of an image: it has neither a manifest.json nor an oci-layout file. ${save}`,
    ],
    [
      "docker save of 2015",
      [{ name: "repositories", content: json({}) }],
      `it has no manifest.json: it was saved by a Docker older than 1.10. ${save}`,
    ],
    [
      "half an OCI layout",
      [{ name: "index.json", content: json({}) }],
      `it has an index.json, but no oci-layout file and no manifest.json. ${save}`,
    ],
    [
      "the other half",
      [{ name: "oci-layout", content: json({ imageLayoutVersion: "1.0.0" }) }],
      `it is an OCI layout without an index.json. ${again}`,
    ],
    [
      "bzip2",
      Buffer.from("BZh91AY&SY and so on"),
      "it is compressed with bzip2, which cannot be read. Compress it with gzip or zstd, or not at all.",
    ],
    [
      "xz",
      Buffer.from("\xfd7zXZ\0 and so on", "latin1"),
      "it is compressed with xz, which cannot be read. Compress it with gzip or zstd, or not at all.",
    ],
    [
      "lz4",
      Buffer.from("\x04\x22\x4d\x18 and so on", "latin1"),
      "it is compressed with lz4, which cannot be read. Compress it with gzip or zstd, or not at all.",
    ],
    [
      "zip",
      Buffer.from("PK\x03\x04 and so on"),
      "it is a zip archive, which cannot be read. Unpack it, and name the image archive that is in it.",
    ],
    ["no images", [{ name: "manifest.json", content: json([]) }], `it holds no image. ${name}`],
    [
      "a Helm chart",
      layout({ ...chart.descriptor, ...named("web:1") }, [chart]),
      `${chart.descriptor.digest} in it is not an image: its config is of the type "application/vnd.cncf.helm.config.v1+json". ${save}`,
    ],
    [
      "another kind of content",
      layout({ ...oci.layers[0]?.descriptor, ...named("web:1") }),
      `${layerDigest} in it is of the type "${mediaTypes.gzip}", which is not that of an image. ${save}`,
    ],
  ])("%s", async (_, archive, said) => {
    expect(await refusal(archive)).toBe(said);
  });
});

describe("an image without a proper name is refused:", () => {
  it.each<[string, Member[], string]>([
    [
      "docker save by ID",
      dockerSaveOld([{ image: web, tags: null }]),
      `the image ${web.id} in it has no name. ${name}`,
    ],
    ["no tags", dockerSaveOld([{ image: web, tags: [] }]), `the image ${web.id} in it has no name. ${name}`],
    [
      "buildx without a name",
      layout(oci.manifest.descriptor),
      `the image ${web.id} in it has no name. ${name}`,
    ],
    [
      "a tag alone",
      layout({ ...oci.manifest.descriptor, ...refNamed("latest") }),
      `the image ${web.id} in it has no name. ${name}`,
    ],
    [
      "upper case",
      dockerSaveOld([{ image: web, tags: ["Web:1"] }]),
      `the name "Web:1" of an image in it has upper case letters in its repository. ${name}`,
    ],
    [
      "what would turn a log upside down",
      dockerSaveOld([{ image: web, tags: ["a\n::error::b\u202e\u001b[0m"] }]),
      `the name "a\\n::error::b\\u202e\\u001b[0m" of an image in it is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST. ${name}`,
    ],
    [
      "no end",
      dockerSaveOld([{ image: web, tags: ["a".repeat(2_000)] }]),
      `the name "${"a".repeat(120)}..." of an image in it is too long for the name of an image. ${name}`,
    ],
    [
      "one name for two images",
      dockerSaveOld([
        { image: web, tags: ["web:1"] },
        { image: sample("other"), tags: ["docker.io/library/web:1"] },
      ]),
      `docker.io/library/web:1 in it names two images, ${web.id} and ${sample("other").id}. Give each a name of its own.`,
    ],
  ])("%s", async (_, archive, said) => {
    expect(await refusal(archive)).toBe(said);
  });
});

describe("a link, a folder or a device in the place of a layer is refused:", () => {
  const at = saved.findIndex((member) => member.name.endsWith("/layer.tar"));
  const layer = saved[at]?.name ?? "";
  const instead = (member: Omit<Member, "name">) => saved.with(at, { name: layer, ...member });
  it.each<[string, Member[], string]>([
    [
      "an absolute link",
      instead({ kind: "symlink", target: "/etc/passwd" }),
      'is a link to "/etc/passwd", which is outside of it',
    ],
    [
      "a link out of the archive",
      instead({ kind: "symlink", target: "../../etc/passwd" }),
      'is a link to "../../etc/passwd", which is outside of it',
    ],
    [
      "a hard link out of the archive",
      instead({ kind: "hardlink", target: "../etc/passwd" }),
      'is a link to "../etc/passwd", which is outside of it',
    ],
    [
      "a link to nothing",
      instead({ kind: "symlink", target: "gone" }),
      `is a link to "${layer.replace("layer.tar", "gone")}", which it does not hold`,
    ],
    ["a link to itself", instead({ kind: "hardlink", target: layer }), "is a link that leads in a circle"],
    ["a folder", instead({ kind: "folder" }), "is a folder, and should be a plain file"],
    ["a device", instead({ kind: "characterDevice" }), "is a device, and should be a plain file"],
    ["a disk", instead({ kind: "blockDevice" }), "is a device, and should be a plain file"],
    ["a pipe", instead({ kind: "fifo" }), "is a named pipe, and should be a plain file"],
    [
      "a sparse file",
      instead({ kind: "sparse", content: Buffer.alloc(512) }),
      "is a sparse file, and should be a plain file",
    ],
  ])("%s", async (_, archive, said) => {
    expect(await refusal(archive)).toBe(`"${layer}" in it ${said}. ${again}`);
  });
});

describe("an archive whose documents would take much memory is refused:", () => {
  const config = saved.find((member) => member.name.endsWith(".json"))?.name ?? "";
  const five = Buffer.alloc(5 * 1024 ** 2, " ");
  const big = { name: "big", content: Buffer.from(`{}${" ".repeat(3.9 * 1024 ** 2)}`) };
  const entries = Array.from({ length: 9 }, () => ({ Config: "big", RepoTags: ["web:1"], Layers: [] }));
  const crowded = imageOf(Array.from({ length: 300 }, (_, index) => Buffer.from(`${index}`)));
  const crowd = Array.from({ length: 600 }, () => ({
    Config: "config",
    RepoTags: ["web:1"],
    Layers: crowded.layers.map((_, index) => `${index}`),
  }));
  const tooMany = "its indexes, manifests and configs have more than 33554432 bytes";
  const tooLarge =
    "has 5242880 bytes, more than the 4194304 that are read. Build the image with fewer labels.";
  it.each<[string, Member[], string]>([
    ["a list of 5 MiB", having(saved, "manifest.json", five), `"manifest.json" in it ${tooLarge}`],
    ["a config of 5 MiB", having(saved, config, five), `"${config}" in it ${tooLarge}`],
    [
      "nine configs of 4 MB",
      [big, ...having(saved, "manifest.json", entries)],
      `${tooMany}. Save fewer images in one archive.`,
    ],
    [
      // Configs of 13 MB: what is made of them counts as well.
      "manifests of 27 MB",
      [
        { name: "config", content: crowded.config },
        ...crowded.layers.map((content, index) => ({ name: `${index}`, content })),
        { name: "manifest.json", content: json(crowd) },
      ],
      `${tooMany}. Save fewer images in one archive.`,
    ],
  ])("%s", async (_, archive, said) => {
    expect(await refusal(archive)).toBe(said);
  });
});

describe("a path that cannot be read", () => {
  it.each([
    ["missing", "there is no such file"],
    [".", "is a folder"],
  ])("is refused: %s", async (path, reason) => {
    const on = { platform: { os: "linux", architecture: "amd64" }, scratch: temporaryFolder() };
    await expect(readArchive(path, on)).rejects.toThrow(`${path} cannot be loaded: ${reason}. `);
    await expect(readArchive(path, on)).rejects.toThrow(InvalidArchiveError);
  });
});
