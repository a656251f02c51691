import { open, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { RandomAccessFile } from "../../src/archive/open-file.ts";
import { maxHeaderBytes, maxMembers, readTarIndex } from "../../src/archive/tar-index.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { type Member, noise, pax, tar, withChecksum } from "./tar-files.ts";

async function openTar(archive: readonly Member[] | Buffer) {
  const path = join(temporaryFolder(), "a.tar");
  const bytes = Buffer.isBuffer(archive) ? archive : tar(archive);
  await writeFile(path, bytes);
  const handle = await open(path);
  onTestFinished(() => handle.close());
  return { file: await RandomAccessFile.of(handle), bytes, handle, path };
}

/** The content of a member. */
async function contentOf(archive: readonly Member[] | Buffer, name = "wanted") {
  const { file, bytes } = await openTar(archive);
  const found = (await readTarIndex(file)).find(name);
  return found && bytes.subarray(found.offset, found.offset + found.size);
}

const content = noise("content", 700);
const long = `${"folder/".repeat(30)}wanted`;

/** GNU's encoding of numbers that do not fit into eleven octal digits. */
function base256(number: bigint): Buffer {
  const field = Buffer.alloc(12);
  field.writeBigInt64BE(number, 4);
  field.fill(number < 0n ? 0xff : 0, 0, 4);
  field[0] = number < 0n ? 0xff : 0x80;
  return field;
}

describe("readTarIndex", () => {
  it.each(["ustar", "gnu", "v7"] as const)("reads headers of the format %s", async (format) => {
    expect(
      await contentOf([{ name: "other" }, { name: "wanted", content, format }, { name: "last" }]),
    ).toEqual(content);
  });

  it.each<[string, Member[]]>([
    ["PAX", [pax({ path: long }), { name: "cut", content }]],
    [
      "PAX after other records",
      [pax({ mtime: "1.5", "SCHILY.xattr.user.x": "a\nb" }), pax({ path: long }), { name: "cut", content }],
    ],
    [
      "GNU",
      [
        { name: "././@LongLink", kind: "longName", content: Buffer.from(`${long}\0`) },
        { name: "cut", content },
      ],
    ],
  ])("reads long names of %s", async (_, members) => {
    expect(await contentOf(members, long)).toEqual(content);
  });

  it.each<[string, Member[]]>([
    ["PAX", [pax({ linkpath: long }), { name: "wanted", kind: "symlink", target: "cut" }]],
    [
      "GNU",
      [
        { name: "././@LongLink", kind: "longTarget", content: Buffer.from(`${long}\0`) },
        { name: "wanted", kind: "hardlink", target: "cut" },
      ],
    ],
  ])("reads long link targets of %s", async (_, members) => {
    expect(await contentOf([pax({ path: long }), { name: "cut", content }, ...members])).toEqual(content);
  });

  it("reads sizes in octal, in base 256 and in PAX records, which take precedence", async () => {
    expect(await contentOf([{ name: "wanted", content, size: Buffer.from("     1274 \0\0") }])).toEqual(
      content,
    );
    expect(await contentOf([{ name: "wanted", content, size: base256(700n) }])).toEqual(content);
    expect(await contentOf([pax({ size: "700" }), { name: "wanted", content, size: 0 }])).toEqual(content);
  });

  it("ignores global PAX records", async () => {
    const commit = pax({ comment: "4b825dc6", path: "else", size: "7" }, "globalPax");
    expect(await contentOf([commit, { name: "wanted", content }])).toEqual(content);
  });

  it("uses the last of several members with the same name", async () => {
    const members: Member[] = [{ name: "wanted" }, { name: "./wanted", content }];
    expect(await contentOf(members)).toEqual(content);
    await expect(contentOf([...members, { name: "wanted/", kind: "folder" }])).rejects.toThrow(
      "is a directory",
    );
  });

  it.each(["./wanted", "././wanted", ".//wanted"])("normalizes the name %s", async (name) => {
    expect(await contentOf([{ name, content }])).toEqual(content);
    expect(await contentOf([{ name: "wanted", content }], name)).toEqual(content);
  });

  it("follows links to links, relative to each link", async () => {
    const links: Member[] = [
      { name: "a/b/one", kind: "symlink", target: "../two" },
      { name: "a/two", kind: "hardlink", target: "a/c/three" },
      { name: "a/c/three", kind: "symlink", target: "./../../wanted" },
    ];
    expect(await contentOf([...links, { name: "wanted", content }], "a/b/one")).toEqual(content);
    await expect(
      contentOf([...links, { name: "wanted", kind: "symlink", target: "a/b/one" }], "a/two"),
    ).rejects.toThrow('"a/two" is a link in a cycle of links');
  });

  it("ignores the size of links, directories and devices", async () => {
    for (const kind of ["symlink", "hardlink", "folder", "characterDevice", "blockDevice", "fifo"] as const) {
      expect(
        await contentOf([
          { name: "other", kind, size: 4_096 },
          { name: "wanted", content },
        ]),
      ).toEqual(content);
    }
  });

  it("skips members of an unknown type", async () => {
    expect(
      await contentOf([
        { name: "label", kind: "volume", content },
        { name: "wanted", content },
      ]),
    ).toEqual(content);
  });

  it("skips sparse files, and rejects one that is requested", async () => {
    const map = Buffer.alloc(512);
    map[504] = 1;
    const sparse = tar([{ name: "sparse", kind: "sparse", content, format: "gnu" }]).subarray(0, -1024);
    sparse[482] = 1;
    withChecksum(sparse);
    const archive = Buffer.concat([
      sparse.subarray(0, 512),
      map,
      Buffer.alloc(512),
      sparse.subarray(512),
      tar([{ name: "wanted", content }]),
    ]);
    expect(await contentOf(archive)).toEqual(content);
    await expect(contentOf(archive, "sparse")).rejects.toThrow("is a sparse file");
    const records = { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "wanted" };
    await expect(contentOf([pax(records), { name: "wanted", content }])).rejects.toThrow("is a sparse file");
  });

  it("stops at two blocks of zeros, or at the end of the file", async () => {
    const complete = tar([{ name: "wanted", content }]);
    expect(await contentOf(Buffer.concat([complete, noise("trailing", 5_000)]))).toEqual(content);
    for (const cut of [512, 1_024, 1_024 + 300])
      expect(await contentOf(complete.subarray(0, -cut))).toEqual(content);
  });
});

describe("readTarIndex rejects a tar", () => {
  it.each<[string, readonly Member[] | Buffer, string]>([
    [
      "that ends within a header",
      tar([{ name: "a" }, { name: "wanted" }]).subarray(0, 700),
      "the archive is truncated after byte 700, within a header",
    ],
    [
      "that ends within a member",
      tar([{ name: "wanted", content }]).subarray(0, 1_000),
      'the archive is truncated: "wanted" should end at byte 1212, but the file ends at byte 1000',
    ],
    [
      "whose member is larger than the file",
      [{ name: "a", size: 0o77777777777 }],
      'the archive is truncated: "a" should end at byte 8589935103, but the file ends at byte 1536',
    ],
    [
      "whose first member has a size beyond all integers",
      [{ name: "a", size: base256(2n ** 62n) }],
      "the file is not a tar archive",
    ],
    [
      "whose second member has a size beyond all integers",
      [{ name: "a" }, { name: "b", size: base256(2n ** 62n) }],
      "the archive is corrupt: there is no valid header at byte 512",
    ],
    [
      "whose member has a negative size",
      [{ name: "a", size: base256(-512n) }],
      'the archive is corrupt: "a" has no valid size',
    ],
    [
      "whose member has an invalid size",
      [{ name: "a", size: Buffer.from("zzzzzzzzzzz") }],
      'the archive is corrupt: "a" has no valid size',
    ],
    [
      "with a fractional size in PAX records",
      [pax({ size: "1.5" }), { name: "a" }],
      'the archive is corrupt: "a" has no valid size',
    ],
    [
      "with an infinite size in PAX records",
      [pax({ size: "Infinity" }), { name: "a" }],
      'the archive is corrupt: "a" has no valid size',
    ],
    [
      "with a wrong checksum of a header",
      Buffer.concat([tar([{ name: "a" }]).subarray(0, 512), Buffer.alloc(512, 7)]),
      "the archive is corrupt: there is no valid header at byte 512",
    ],
    [
      "with a single block of zeros",
      Buffer.concat([tar([{ name: "a" }]).subarray(0, 1_024), tar([{ name: "b" }])]),
      "the archive is corrupt: there is no valid header at byte 512",
    ],
    [
      "with PAX records of 2 MiB",
      [{ name: "x", kind: "pax", content: Buffer.alloc(2 * maxHeaderBytes, "a") }, { name: "a" }],
      "the header at byte 0 declares an extended header of 2097152 bytes; the maximum is 1048576",
    ],
    [
      "that ends within PAX records",
      tar([pax({ path: "p".repeat(2_000) })]).subarray(0, 1_024),
      "the archive is truncated: the header at byte 0 should end at byte 2523, but the file ends at byte 1024",
    ],
    [
      "with a name longer than PATH_MAX",
      [pax({ path: "p".repeat(5_000) }), { name: "a" }],
      "the header at byte 5632 has a name longer than 4096 characters",
    ],
    [
      "with too many members",
      Buffer.concat(Array(maxMembers + 1).fill(tar([{ name: "a" }]).subarray(0, 512))),
      "the archive has more than 50000 members; no image has that many",
    ],
  ])("%s", async (_, archive, reason) => {
    await expect(contentOf(archive)).rejects.toThrow(reason);
  });
});

describe("readTarIndex of invalid PAX records", () => {
  it.each(["PAX", "nonsense", "12 path=x", "99999999999 path=x\n", "-5 path=x\n", "\0\0\0"])(
    "ignores %j",
    async (records) => {
      expect(
        await contentOf([
          { name: "x", kind: "pax", content: Buffer.from(records) },
          { name: "wanted", content },
        ]),
      ).toEqual(content);
    },
  );
});

describe("readTarIndex reads", () => {
  it("only headers, and those of adjacent members together", async () => {
    const large = Buffer.alloc(3 * 1024 ** 2);
    const small = Array.from({ length: 40 }, (_, index) => ({ name: `${index}`, content: noise("s", 300) }));
    const { file, handle } = await openTar([...small, { name: "large", content: large }, ...small]);
    const read = vi.spyOn(handle, "read");
    await readTarIndex(file);
    const reads = read.mock.calls.map(([buffer]) => (Buffer.isBuffer(buffer) ? buffer.length : 0));
    expect(reads.length).toBeLessThanOrEqual(3);
    expect(reads.reduce((sum, length) => sum + length, 0)).toBeLessThan(200_000);
  });
});

describe("readTarIndex of a file that shrinks", () => {
  it("fails", async () => {
    const { file, path } = await openTar([
      { name: "large", content: Buffer.alloc(100_000) },
      { name: "wanted", content },
    ]);
    await truncate(path, 50_000);
    await expect(readTarIndex(file)).rejects.toThrow("the archive was truncated while it was being read");
  });
});
