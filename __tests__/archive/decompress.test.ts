import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, it, onTestFinished } from "vitest";
import { compressionOf, decompress, decompressionLimits } from "../../src/archive/decompress.ts";
import { RandomAccessFile } from "../../src/archive/open-file.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { noise } from "./tar-files.ts";

async function opened(bytes: Buffer): Promise<RandomAccessFile> {
  const path = join(temporaryFolder(), "archive");
  await writeFile(path, bytes);
  const handle = await open(path);
  onTestFinished(() => handle.close());
  return RandomAccessFile.of(handle);
}

/** What comes out of a compressed file; nothing may be left when nothing does. */
async function out(bytes: Buffer): Promise<Buffer> {
  const folder = temporaryFolder();
  try {
    return readFileSync(await decompress(await opened(bytes), compressionOf(bytes) ?? "gzip", folder));
  } catch (error) {
    expect(readdirSync(folder)).toEqual([]);
    throw error;
  }
}

const content = Buffer.concat([noise("content", 300_000), Buffer.alloc(300_000)]);
const compress = {
  gzip: gzipSync,
  zstd: (bytes: Buffer) => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
};

describe.each(["gzip", "zstd"] as const)("what %s compressed", (compression) => {
  const whole = compress[compression](content);

  it("is recognised by its first bytes, and decompressed into a file that only this user reads", async () => {
    expect(compressionOf(whole)).toBe(compression);
    expect(compressionOf(content)).toBeUndefined();
    const folder = temporaryFolder();
    const copy = await decompress(await opened(whole), compression, folder);
    expect(readFileSync(copy).equals(content)).toBe(true);
    expect(statSync(copy).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toHaveLength(1);
  });

  it("may be in several pieces, one behind the other", async () => {
    const pieces = [content, Buffer.alloc(0), content.subarray(0, 5)];
    expect(
      (await out(Buffer.concat(pieces.map((piece) => compress[compression](piece))))).equals(
        Buffer.concat(pieces),
      ),
    ).toBe(true);
    // As large as what is read at once, so that pieces end within, and exactly at, its ends.
    const megabytes = Array.from({ length: 3 }, () => randomBytes(1024 ** 2 - 60));
    expect(
      (await out(Buffer.concat(megabytes.map((piece) => compress[compression](piece))))).equals(
        Buffer.concat(megabytes),
      ),
    ).toBe(true);
  });

  it("is refused when it is cut off", async () => {
    for (const length of [
      11,
      1_000,
      whole.length >> 1,
      whole.length - 9,
      whole.length - 4,
      whole.length - 1,
    ]) {
      await expect(out(whole.subarray(0, length)), `${length} bytes`).rejects.toThrow(
        `its ${compression} stream is cut off`,
      );
    }
  });

  it("is refused when it is damaged", async () => {
    for (const at of [whole.length >> 1, whole.length - 1]) {
      const damaged = Buffer.from(whole);
      damaged[at] = ~(damaged[at] ?? 0) & 0xff;
      await expect(out(damaged), `byte ${at}`).rejects.toThrow(`its ${compression} stream is damaged`);
    }
  });

  it("is refused when something else is behind it", async () => {
    await expect(out(Buffer.concat([whole, Buffer.from("something else")]))).rejects.toThrow(
      `its ${compression} stream is damaged`,
    );
  });
});

describe("what zstd compressed", () => {
  it("may have parts that are to be skipped, as those of pzstd", async () => {
    const skipped = Buffer.concat([Buffer.from("502a4d1804000000", "hex"), Buffer.from("size")]);
    const frame = compress.zstd(content);
    const both = Buffer.concat([skipped, frame, skipped, frame, skipped]);
    expect(compressionOf(both)).toBe("zstd");
    expect((await out(both)).equals(Buffer.concat([content, content]))).toBe(true);
  });

  it("is refused when it is in thousands of pieces", async () => {
    const pieces = Buffer.concat(Array(11).fill(zstdCompressSync(Buffer.alloc(0))));
    const refused = decompress(await opened(pieces), "zstd", temporaryFolder(), { bytes: 1, frames: 10 });
    await expect(refused).rejects.toThrow("it is made of more than 10 zstd frames");
    expect(decompressionLimits(1).frames).toBe(2_000);
  });

  it("is refused when it wants more memory than zstd gives by default", async () => {
    // A frame that announces a window of 1 GB.
    const frame = Buffer.from("28b52ffd00a0010000", "hex");
    await expect(out(frame)).rejects.toThrow("its zstd stream needs more than 128 MB of memory to be read");
  });
});

describe("a decompression bomb", () => {
  it("is what grows more than a hundredfold and beyond a gigabyte", () => {
    expect(decompressionLimits(1).bytes).toBe(1024 ** 3);
    expect(decompressionLimits(1024 ** 3).bytes).toBe(100 * 1024 ** 3);
  });

  it("is refused, and nothing of it is left", async () => {
    const [folder, bomb] = [temporaryFolder(), await opened(gzipSync(Buffer.alloc(30 * 1024 ** 2)))];
    await expect(decompress(bomb, "gzip", folder, { bytes: 20 * 1024 ** 2, frames: 1 })).rejects.toThrow(
      `it is a decompression bomb: more than 20971520 bytes come out of its ${bomb.size}`,
    );
    expect(readdirSync(folder)).toEqual([]);
  });
});

it("what is compressed is refused when what comes out cannot be written", async () => {
  const archive = await opened(gzipSync(content));
  await expect(decompress(archive, "gzip", join(temporaryFolder(), "missing"))).rejects.toThrow(
    /^what it holds cannot be written to a file \(ENOENT: no such file or directory, open .*\)$/,
  );
});
