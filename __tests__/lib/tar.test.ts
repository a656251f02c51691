import { describe, expect, it } from "vitest";
import { createTar, extractSingleFile, tarEnd, tarHeader, tarMember, tarPadding } from "../../src/lib/tar.ts";
import { membersOf } from "../fixtures/tar-members.ts";

const longName = `${"folder/".repeat(40)}file`;

describe("createTar", () => {
  it("writes files and symbolic links owned by root", async () => {
    const tar = createTar({ "/etc/a": "größe", b: Buffer.alloc(1_000, 1), "dir/link": { target: "../b" } });
    expect(tar.length % 512).toBe(0);
    const owner = { mode: 0o644, uid: 0, gid: 0 };
    expect(await membersOf(tar)).toEqual([
      { name: "etc/a", content: Buffer.from("größe"), target: undefined, ...owner },
      { name: "b", content: Buffer.alloc(1_000, 1), target: undefined, ...owner },
      { name: "dir/link", content: Buffer.alloc(0), target: "../b", ...owner },
    ]);
  });

  it("writes names and link targets of any length", async () => {
    const members = await membersOf(createTar({ [longName]: "x", link: { target: longName } }));
    expect(members.map(({ name, target }) => [name, target])).toEqual([
      [longName, undefined],
      ["link", longName],
    ]);
  });

  it("writes an archive without files", async () => {
    expect(await membersOf(createTar({}))).toEqual([]);
  });
});

describe("tarHeader", () => {
  it("is followed by the content and its padding", async () => {
    const content = Buffer.from("streamed");
    const tar = Buffer.concat([
      tarHeader({ path: "file", size: content.length }),
      content,
      tarPadding(content.length),
      tarEnd(),
    ]);
    expect(await membersOf(tar)).toMatchObject([{ name: "file", content }]);
  });
});

describe("tarPadding", () => {
  it.each([
    [0, 0],
    [1, 511],
    [512, 0],
    [513, 511],
  ])("fills the last block of %s bytes with %s", (size, padding) => {
    expect(tarPadding(size)).toEqual(Buffer.alloc(padding));
  });
});

describe("extractSingleFile", () => {
  it.each(["file", longName])("returns the content of the file %s", (name) => {
    expect(extractSingleFile(createTar({ [name]: "content" })).toString()).toBe("content");
  });

  it("skips members that are not regular files", () => {
    const link = tarMember("link", { target: "file" });
    expect(extractSingleFile(Buffer.concat([link, createTar({ file: "content" })])).toString()).toBe(
      "content",
    );
  });

  it("rejects an archive without a regular file", () => {
    for (const tar of [createTar({}), createTar({ link: { target: "file" } }), Buffer.alloc(0)])
      expect(() => extractSingleFile(tar)).toThrow("The tar archive contains no regular file.");
  });
});
