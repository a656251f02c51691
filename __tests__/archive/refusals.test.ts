import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { InvalidArchiveError } from "../../src/archive/errors.ts";
import { readArchive } from "../../src/archive/read-archive.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import {
  type Blob,
  blob,
  dockerSaveOld,
  imageOf,
  json,
  mediaTypes,
  named,
  ociImage,
  ociLayout,
  refNamed,
  sample,
  withContent,
} from "./archives.ts";
import { again, name, rejection, save } from "./reading.ts";
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

describe("readArchive rejects a file that is not an image archive", () => {
  it.each<[string, readonly Member[] | Buffer, string]>([
    ["an empty file", Buffer.alloc(0), `the file is empty. ${save}`],
    [
      "an image file",
      Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), randomBytes(2_000)]),
      `the file is not a tar archive. ${save}`,
    ],
    [
      "a web page",
      Buffer.from("<!DOCTYPE html><title>404</title>"),
      `the file is not a tar archive. ${save}`,
    ],
    ["a compressed text", gzipSync("89504e470d0a1a0a"), `the file is not a tar archive. ${save}`],
    [
      "an empty tar",
      tar([]),
      `the file is a tar archive, but not an image archive: it has neither a manifest.json nor an oci-layout file. ${save}`,
    ],
    [
      "docker export",
      [{ name: "etc/", kind: "folder" }, { name: "etc/passwd" }],
      `the file is a tar archive, but not an image archive: it has neither a manifest.json nor an oci-layout file. ${save}`,
    ],
    [
      "docker save of 2015",
      [{ name: "repositories", content: json({}) }],
      `the archive has no manifest.json: it was saved by a Docker version older than 1.10. ${save}`,
    ],
    [
      "an OCI layout without the file oci-layout",
      [{ name: "index.json", content: json({}) }],
      `the archive has an index.json, but neither an oci-layout file nor a manifest.json. ${save}`,
    ],
    [
      "an OCI layout without index.json",
      [{ name: "oci-layout", content: json({ imageLayoutVersion: "1.0.0" }) }],
      `the archive is an OCI layout without an index.json. ${again}`,
    ],
    [
      "bzip2",
      Buffer.from("BZh91AY&SY and so on"),
      "the archive is compressed with bzip2, which is not supported. Compress it with gzip or zstd, or leave it uncompressed.",
    ],
    [
      "xz",
      Buffer.from("\xfd7zXZ\0 and so on", "latin1"),
      "the archive is compressed with xz, which is not supported. Compress it with gzip or zstd, or leave it uncompressed.",
    ],
    [
      "lz4",
      Buffer.from("\x04\x22\x4d\x18 and so on", "latin1"),
      "the archive is compressed with lz4, which is not supported. Compress it with gzip or zstd, or leave it uncompressed.",
    ],
    [
      "zip",
      Buffer.from("PK\x03\x04 and so on"),
      "the archive is a zip archive, which is not supported. Unpack it, and load the image archive in it.",
    ],
    ["no images", [{ name: "manifest.json", content: json([]) }], `the archive contains no image. ${name}`],
    [
      "a Helm chart",
      layout({ ...chart.descriptor, ...named("web:1") }, [chart]),
      `${chart.descriptor.digest} is not an image: its config has the media type "application/vnd.cncf.helm.config.v1+json". ${save}`,
    ],
    [
      "another artifact",
      layout({ ...oci.layers[0]?.descriptor, ...named("web:1") }),
      `${layerDigest} has the media type "${mediaTypes.gzip}", which is not that of an image. ${save}`,
    ],
  ])("%s", async (_, archive, message) => {
    expect(await rejection(archive)).toBe(message);
  });
});

describe("readArchive rejects an image without a valid name", () => {
  it.each<[string, Member[], string]>([
    [
      "docker save by ID",
      dockerSaveOld([{ image: web, tags: null }]),
      `the image ${web.id} has no name. ${name}`,
    ],
    ["no tags", dockerSaveOld([{ image: web, tags: [] }]), `the image ${web.id} has no name. ${name}`],
    ["buildx without a name", layout(oci.manifest.descriptor), `the image ${web.id} has no name. ${name}`],
    [
      "only a tag",
      layout({ ...oci.manifest.descriptor, ...refNamed("latest") }),
      `the image ${web.id} has no name. ${name}`,
    ],
    [
      "uppercase letters",
      dockerSaveOld([{ image: web, tags: ["Web:1"] }]),
      `the image name "Web:1" has uppercase letters in its repository. ${name}`,
    ],
    [
      "control characters",
      dockerSaveOld([{ image: web, tags: ["a\n::error::b\u202e\u001b[0m"] }]),
      `the image name "a\\n::error::b\\u202e\\u001b[0m" is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST. ${name}`,
    ],
    [
      "a long name",
      dockerSaveOld([{ image: web, tags: ["a".repeat(2_000)] }]),
      `the image name "${"a".repeat(120)}..." is too long for an image name. ${name}`,
    ],
    [
      "one name for two images",
      dockerSaveOld([
        { image: web, tags: ["web:1"] },
        { image: sample("other"), tags: ["docker.io/library/web:1"] },
      ]),
      `docker.io/library/web:1 is the name of two different images, ${web.id} and ${sample("other").id}. Give each image a different name.`,
    ],
  ])("%s", async (_, archive, message) => {
    expect(await rejection(archive)).toBe(message);
  });
});

describe("readArchive rejects a layer that is", () => {
  const at = saved.findIndex((member) => member.name.endsWith("/layer.tar"));
  const layer = saved[at]?.name ?? "";
  const instead = (member: Omit<Member, "name">) => saved.with(at, { name: layer, ...member });
  it.each<[string, Member[], string]>([
    [
      "an absolute symbolic link",
      instead({ kind: "symlink", target: "/etc/passwd" }),
      'is a link to "/etc/passwd", which is outside the archive',
    ],
    [
      "a symbolic link out of the archive",
      instead({ kind: "symlink", target: "../../etc/passwd" }),
      'is a link to "../../etc/passwd", which is outside the archive',
    ],
    [
      "a hard link out of the archive",
      instead({ kind: "hardlink", target: "../etc/passwd" }),
      'is a link to "../etc/passwd", which is outside the archive',
    ],
    [
      "a dangling link",
      instead({ kind: "symlink", target: "gone" }),
      `is a link to "${layer.replace("layer.tar", "gone")}", which the archive does not contain`,
    ],
    ["a link to itself", instead({ kind: "hardlink", target: layer }), "is a link in a cycle of links"],
    ["a directory", instead({ kind: "folder" }), "is a directory, not a regular file"],
    ["a character device", instead({ kind: "characterDevice" }), "is a device, not a regular file"],
    ["a block device", instead({ kind: "blockDevice" }), "is a device, not a regular file"],
    ["a named pipe", instead({ kind: "fifo" }), "is a named pipe, not a regular file"],
    [
      "a sparse file",
      instead({ kind: "sparse", content: Buffer.alloc(512) }),
      "is a sparse file, not a regular file",
    ],
  ])("%s", async (_, archive, message) => {
    expect(await rejection(archive)).toBe(`"${layer}" ${message}. ${again}`);
  });
});

describe("readArchive rejects an archive that needs too much memory", () => {
  const config = saved.find((member) => member.name.endsWith(".json"))?.name ?? "";
  const five = Buffer.alloc(5 * 1024 ** 2, " ");
  const big = { name: "big", content: Buffer.from(`{}${" ".repeat(3.9 * 1024 ** 2)}`) };
  const entries = Array.from({ length: 9 }, () => ({ Config: "big", RepoTags: ["web:1"], Layers: [] }));
  const manyLayers = imageOf(Array.from({ length: 300 }, (_, index) => Buffer.from(`${index}`)));
  const manyEntries = Array.from({ length: 600 }, () => ({
    Config: "config",
    RepoTags: ["web:1"],
    Layers: manyLayers.layers.map((_, index) => `${index}`),
  }));
  const tooMany = "the indexes, manifests and configs of the archive are larger than 33554432 bytes in total";
  const tooLarge = "has 5242880 bytes; the maximum is 4194304. Build the image with fewer labels.";
  it.each<[string, Member[], string]>([
    ["a manifest.json of 5 MiB", withContent(saved, "manifest.json", five), `"manifest.json" ${tooLarge}`],
    ["a config of 5 MiB", withContent(saved, config, five), `"${config}" ${tooLarge}`],
    [
      "nine configs of 4 MB",
      [big, ...withContent(saved, "manifest.json", entries)],
      `${tooMany}. Save fewer images in one archive.`,
    ],
    [
      // Configs of 13 MB: generated manifests count as well.
      "generated manifests of 27 MB",
      [
        { name: "config", content: manyLayers.config },
        ...manyLayers.layers.map((content, index) => ({ name: `${index}`, content })),
        { name: "manifest.json", content: json(manyEntries) },
      ],
      `${tooMany}. Save fewer images in one archive.`,
    ],
  ])("%s", async (_, archive, message) => {
    expect(await rejection(archive)).toBe(message);
  });
});

describe("readArchive rejects a path that cannot be read", () => {
  it.each([
    ["missing", "the file does not exist"],
    [".", "the file is a directory"],
  ])("%s", async (path, reason) => {
    const options = { platform: { os: "linux", architecture: "amd64" }, scratch: temporaryFolder() };
    await expect(readArchive(path, options)).rejects.toThrow(
      `Could not load ${path}: ${reason}. Check that `,
    );
    await expect(readArchive(path, options)).rejects.toThrow(InvalidArchiveError);
  });
});
