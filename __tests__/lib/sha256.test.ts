import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { sha256File, sha256Hex } from "../../src/lib/sha256.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

describe("sha256File", () => {
  it("returns the hash of a file in hexadecimal", async () => {
    const file = join(temporaryFolder(), "file");
    await writeFile(file, "abc");
    expect(await sha256File(file)).toBe(abc);
  });

  it("fails when the file does not exist", async () => {
    await expect(sha256File(join(temporaryFolder(), "missing"))).rejects.toThrow("ENOENT");
  });
});

describe("sha256Hex", () => {
  it("returns the hash of bytes, and of a string in UTF-8", () => {
    expect(sha256Hex(Buffer.from("abc"))).toBe(abc);
    expect(sha256Hex("abc")).toBe(abc);
    expect(sha256Hex("ß")).toBe(sha256Hex(Buffer.from([0xc3, 0x9f])));
  });
});
