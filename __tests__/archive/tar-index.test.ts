import { open, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { RandomAccessFile } from "../../src/archive/open-file.ts";
import { maxHeaderBytes, maxMembers, readTarIndex } from "../../src/archive/tar-index.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { type Member, noise, pax, summed, tar } from "./tar-files.ts";

async function opened(archive: readonly Member[] | Buffer) {
  const path = join(temporaryFolder(), "a.tar");
  const bytes = Buffer.isBuffer(archive) ? archive : tar(archive);
  await writeFile(path, bytes);
  const handle = await open(path);
  onTestFinished(() => handle.close());
  return { file: await RandomAccessFile.of(handle), bytes, handle, path };
}

/** The content that a tar has under a name. */
async function contentOf(archive: readonly Member[] | Buffer, name = "wanted") {
  const { file, bytes } = await opened(archive);
  const found = (await readTarIndex(file)).find(name);
  return found && bytes.subarray(found.offset, found.offset + found.size);
}

const content = noise("content", 700);
const long = `${"folder/".repeat(30)}wanted`;

/** GNU's form of numbers that have no room in eleven octal digits. */
function base256(number: bigint): Buffer {
  const field = Buffer.alloc(12);
  field.writeBigInt64BE(number, 4);
  field.fill(number < 0n ? 0xff : 0, 0, 4);
  field[0] = number < 0n ? 0xff : 0x80;
  return field;
}

describe("what is where in a tar", () => {
  it.each(["ustar", "gnu", "v7"] as const)("is told by headers of the form %s", async (format) => {
    expect(
      await contentOf([{ name: "other" }, { name: "wanted", content, format }, { name: "last" }]),
    ).toEqual(content);
  });

  it.each<[string, Member[]]>([
    ["PAX", [pax({ path: long }), { name: "cut", content }]],
    [
      "PAX behind records that say nothing of it",
      [pax({ mtime: "1.5", "SCHILY.xattr.user.x": "a\nb" }), pax({ path: long }), { name: "cut", content }],
    ],
    [
      "GNU",
      [
        { name: "././@LongLink", kind: "longName", content: Buffer.from(`${long}\0`) },
        { name: "cut", content },
      ],
    ],
  ])("has names of any length, by %s", async (_, members) => {
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
  ])("has links to names of any length, by %s", async (_, members) => {
    expect(await contentOf([pax({ path: long }), { name: "cut", content }, ...members])).toEqual(content);
  });

  it("has sizes as octal digits, as GNU's binary numbers, and in PAX records, which count most", async () => {
    expect(await contentOf([{ name: "wanted", content, size: Buffer.from("     1274 \0\0") }])).toEqual(
      content,
    );
    expect(await contentOf([{ name: "wanted", content, size: base256(700n) }])).toEqual(content);
    expect(await contentOf([pax({ size: "700" }), { name: "wanted", content, size: 0 }])).toEqual(content);
  });

  it("has nothing to do with global records", async () => {
    const commit = pax({ comment: "4b825dc6", path: "else", size: "7" }, "globalPax");
    expect(await contentOf([commit, { name: "wanted", content }])).toEqual(content);
  });

  it("goes by the last of several members of one name", async () => {
    const members: Member[] = [{ name: "wanted" }, { name: "./wanted", content }];
    expect(await contentOf(members)).toEqual(content);
    await expect(contentOf([...members, { name: "wanted/", kind: "folder" }])).rejects.toThrow("is a folder");
  });

  it.each(["./wanted", "././wanted", ".//wanted"])("takes %s for the name without it", async (name) => {
    expect(await contentOf([{ name, content }])).toEqual(content);
    expect(await contentOf([{ name: "wanted", content }], name)).toEqual(content);
  });

  it("follows links over links, from where each is", async () => {
    const links: Member[] = [
      { name: "a/b/one", kind: "symlink", target: "../two" },
      { name: "a/two", kind: "hardlink", target: "a/c/three" },
      { name: "a/c/three", kind: "symlink", target: "./../../wanted" },
    ];
    expect(await contentOf([...links, { name: "wanted", content }], "a/b/one")).toEqual(content);
    await expect(
      contentOf([...links, { name: "wanted", kind: "symlink", target: "a/b/one" }], "a/two"),
    ).rejects.toThrow('"a/two" in it is a link that leads in a circle');
  });

  it("gives links, folders and devices no content, whatever size they claim", async () => {
    for (const kind of ["symlink", "hardlink", "folder", "characterDevice", "blockDevice", "fifo"] as const) {
      expect(
        await contentOf([
          { name: "other", kind, size: 4_096 },
          { name: "wanted", content },
        ]),
      ).toEqual(content);
    }
  });

  it("passes over kinds of members that nobody knows", async () => {
    expect(
      await contentOf([
        { name: "label", kind: "volume", content },
        { name: "wanted", content },
      ]),
    ).toEqual(content);
  });

  it("passes over sparse files, and refuses the one that is wanted", async () => {
    const map = Buffer.alloc(512);
    map[504] = 1;
    const sparse = tar([{ name: "sparse", kind: "sparse", content, format: "gnu" }]).subarray(0, -1024);
    sparse[482] = 1;
    summed(sparse);
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

  it("ends at two blocks of zeros, whatever comes behind them, or at the end of the file", async () => {
    const whole = tar([{ name: "wanted", content }]);
    expect(await contentOf(Buffer.concat([whole, noise("behind", 5_000)]))).toEqual(content);
    for (const cut of [512, 1_024, 1_024 + 300])
      expect(await contentOf(whole.subarray(0, -cut))).toEqual(content);
  });
});

describe("a tar is refused", () => {
  it.each<[string, readonly Member[] | Buffer, string]>([
    [
      "that is cut within a header",
      tar([{ name: "a" }, { name: "wanted" }]).subarray(0, 700),
      "it is cut off after byte 700, within a header",
    ],
    [
      "that is cut within a member",
      tar([{ name: "wanted", content }]).subarray(0, 1_000),
      'it is cut off: "wanted" in it should end at byte 1212, the file ends at 1000',
    ],
    [
      "whose member is larger than the file",
      [{ name: "a", size: 0o77777777777 }],
      'it is cut off: "a" in it should end at byte 8589935103, the file ends at 1536',
    ],
    [
      "whose member has a size beyond all numbers",
      [{ name: "a", size: base256(2n ** 62n) }],
      "it is not a tar archive",
    ],
    [
      "whose second member has",
      [{ name: "a" }, { name: "b", size: base256(2n ** 62n) }],
      "it is damaged: there is no header at byte 512",
    ],
    [
      "whose member has less than no bytes",
      [{ name: "a", size: base256(-512n) }],
      'it is damaged: "a" in it has no size',
    ],
    [
      "whose member has no size",
      [{ name: "a", size: Buffer.from("zzzzzzzzzzz") }],
      'it is damaged: "a" in it has no size',
    ],
    [
      "whose PAX records give half a byte",
      [pax({ size: "1.5" }), { name: "a" }],
      'it is damaged: "a" in it has no size',
    ],
    [
      "whose PAX records give infinity",
      [pax({ size: "Infinity" }), { name: "a" }],
      'it is damaged: "a" in it has no size',
    ],
    [
      "with a header that has another sum",
      Buffer.concat([tar([{ name: "a" }]).subarray(0, 512), Buffer.alloc(512, 7)]),
      "it is damaged: there is no header at byte 512",
    ],
    [
      "with a single block of zeros in it",
      Buffer.concat([tar([{ name: "a" }]).subarray(0, 1_024), tar([{ name: "b" }])]),
      "it is damaged: there is no header at byte 512",
    ],
    [
      "with PAX records of 2 MiB",
      [{ name: "x", kind: "pax", content: Buffer.alloc(2 * maxHeaderBytes, "a") }, { name: "a" }],
      "its header at byte 0 announces a name of 2097152 bytes",
    ],
    [
      "with PAX records that are cut off",
      tar([pax({ path: "p".repeat(2_000) })]).subarray(0, 1_024),
      "it is cut off: the header at byte 0 in it should end at byte 2523, the file ends at 1024",
    ],
    [
      "with a name longer than any path",
      [pax({ path: "p".repeat(5_000) }), { name: "a" }],
      "has a name of more than 4096 characters",
    ],
    [
      "with more members than any image",
      Buffer.concat(Array(maxMembers + 1).fill(tar([{ name: "a" }]).subarray(0, 512))),
      "it holds more than 50000 members, which no image does",
    ],
  ])("%s", async (_, archive, reason) => {
    await expect(contentOf(archive)).rejects.toThrow(reason);
  });

  it.each(["PAX", "nonsense", "12 path=x", "99999999999 path=x\n", "-5 path=x\n", "\0\0\0"])(
    "or read, but not believed, when its PAX records are %j",
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

describe("the bytes between headers", () => {
  it("are not read, however many they are, and members that lie together are read together", async () => {
    const large = Buffer.alloc(3 * 1024 ** 2);
    const small = Array.from({ length: 40 }, (_, index) => ({ name: `${index}`, content: noise("s", 300) }));
    const { file, handle } = await opened([...small, { name: "large", content: large }, ...small]);
    const read = vi.spyOn(handle, "read");
    await readTarIndex(file);
    const reads = read.mock.calls.map(([buffer]) => (Buffer.isBuffer(buffer) ? buffer.length : 0));
    expect(reads.length).toBeLessThanOrEqual(3);
    expect(reads.reduce((sum, length) => sum + length, 0)).toBeLessThan(200_000);
  });
});

it("a tar is refused when it becomes shorter while it is read", async () => {
  const { file, path } = await opened([
    { name: "large", content: Buffer.alloc(100_000) },
    { name: "wanted", content },
  ]);
  await truncate(path, 50_000);
  await expect(readTarIndex(file)).rejects.toThrow("it became shorter while it was read");
});
