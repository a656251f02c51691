import { arch } from "node:os";
import { gzipSync } from "node:zlib";
import { dockerSaveOld, ociImage, ociLayout, refNamed } from "../archive/archives.ts";
import { tar } from "../archive/tar-files.ts";
import { unbuiltArchive, unbuiltImage } from "./unbuilt-image.ts";

/** An archive that must not be loaded. */
export interface BadArchive {
  /** What the archive … */
  readonly what: string;
  readonly file: string;
  readonly reason: RegExp;
  readonly content: () => Buffer;
}

/** What all names of images in these archives begin with, unless they are given. */
export const badName = "e2e-load/bad";

const [own, foreign] = arch() === "arm64" ? ["arm64", "amd64"] : ["amd64", "arm64"];

/** Changes a bit: of a layer, because an archive is hardly anything else. */
function damaged(content: Buffer): Buffer {
  const at = Math.floor(content.length / 3);
  content.writeUInt8(content.readUInt8(at) ^ 1, at);
  return content;
}

const megabyte = 1_000_000;

/** Damage and malice, each with the reason that its refusal has to give. */
export const badArchives: readonly BadArchive[] = [
  {
    what: "is cut off",
    file: "cut.tar",
    reason: /the archive is truncated/,
    content: () => unbuiltArchive(`${badName}:cut`).subarray(0, megabyte * 0.6),
  },
  {
    what: "is compressed and cut off",
    file: "cut.tar.gz",
    reason: /the gzip stream is truncated/,
    content: () => gzipSync(unbuiltArchive(`${badName}:cut-gzip`)).subarray(0, megabyte * 0.6),
  },
  { what: "is empty", file: "empty.tar", reason: /the file is empty/, content: () => Buffer.alloc(0) },
  {
    what: "is a text",
    file: "notes.tar",
    reason: /the file is not a tar archive/,
    content: () => Buffer.from("Remember to save the image.\n".repeat(100)),
  },
  {
    what: "holds something else",
    file: "source.tar",
    reason: /the file is a tar archive, but not an image archive/,
    content: () => tar([{ name: "src/main.c", content: Buffer.from("int main() {}\n") }]),
  },
  {
    what: "is damaged in a small layer, which would be sent to the nodes",
    file: "damaged.tar",
    reason: /layer sha256:[0-9a-f]{64} is damaged: its content has the digest sha256:[0-9a-f]{64}/,
    content: () => damaged(unbuiltArchive(`${badName}:damaged`)),
  },
  {
    what: "is damaged in a large layer, which would be linked into the nodes",
    file: "damaged-large.tar",
    reason: /layer sha256:[0-9a-f]{64} is damaged: its content has the digest sha256:[0-9a-f]{64}/,
    content: () => damaged(unbuiltArchive(`${badName}:damaged-large`, [20 * megabyte, 20 * megabyte])),
  },
  {
    what: "is damaged in a layer of an OCI layout",
    file: "damaged-oci.tar",
    reason: /layer sha256:[0-9a-f]{64} is damaged: its content has the digest sha256:[0-9a-f]{64}/,
    content: () => {
      const { manifest, blobs } = ociImage(unbuiltImage([500_000, 500_000]));
      const named = { ...manifest.descriptor, ...refNamed(`${badName}:damaged-oci`) };
      return damaged(tar(ociLayout([named], blobs)));
    },
  },
  {
    what: "has a link to a file of the runner in place of a layer",
    file: "outside.tar",
    reason: /is a link to "\/etc\/passwd", which is outside the archive/,
    content: () => {
      const members = dockerSaveOld([{ image: unbuiltImage([1_000]), tags: [`${badName}:outside`] }]);
      return tar(
        members.map((member) =>
          member.name.endsWith("/layer.tar")
            ? { name: member.name, kind: "symlink", target: "/etc/passwd" }
            : member,
        ),
      );
    },
  },
  {
    what: "has 100,000 members",
    file: "crowd.tar",
    reason: /the archive has more than \d+ members/,
    content: () => {
      const member = tar([{ name: "file" }]).subarray(0, 512);
      return Buffer.concat([
        ...Array.from({ length: 100_000 }, () => member),
        unbuiltArchive(`${badName}:crowd`),
      ]);
    },
  },
  {
    what: "decompresses to more than a runner has room for",
    file: "bomb.tar.gz",
    reason: /the archive is a decompression bomb/,
    // What gzip makes of 16 MB of zeros, so often that 10 GB come out of it.
    content: () => {
      const member = gzipSync(Buffer.alloc(16 * megabyte));
      return Buffer.concat(Array.from({ length: 640 }, () => member));
    },
  },
  {
    what: "is for another platform",
    file: "foreign.tar",
    reason: new RegExp(
      `has no image for linux/${own}, the platform of the nodes \\(available: linux/${foreign}\\)`,
    ),
    content: () => unbuiltArchive(`${badName}:foreign`, undefined, `linux/${foreign}`),
  },
];
