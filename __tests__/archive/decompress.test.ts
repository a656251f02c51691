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

async function openBytes(bytes: Buffer): Promise<RandomAccessFile> {
  const path = join(temporaryFolder(), "archive");
  await writeFile(path, bytes);
  const handle = await open(path);
  onTestFinished(() => handle.close());
  return RandomAccessFile.of(handle);
}

/** Returns the decompressed content. After an error the folder must be empty. */
async function contentOf(bytes: Buffer): Promise<Buffer> {
  const folder = temporaryFolder();
  try {
    return readFileSync(await decompress(await openBytes(bytes), compressionOf(bytes) ?? "gzip", folder));
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

describe.each(["gzip", "zstd"] as const)("decompress of %s", (compression) => {
  const whole = compress[compression](content);

  it("writes a file that only this user can read", async () => {
    expect(compressionOf(whole)).toBe(compression);
    expect(compressionOf(content)).toBeUndefined();
    const folder = temporaryFolder();
    const copy = await decompress(await openBytes(whole), compression, folder);
    expect(readFileSync(copy).equals(content)).toBe(true);
    expect(statSync(copy).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toHaveLength(1);
  });

  it("reads several concatenated streams", async () => {
    const parts = [content, Buffer.alloc(0), content.subarray(0, 5)];
    expect(
      (await contentOf(Buffer.concat(parts.map((part) => compress[compression](part))))).equals(
        Buffer.concat(parts),
      ),
    ).toBe(true);
    // About as large as a read, so that streams end within and at the end of a read.
    const megabytes = Array.from({ length: 3 }, () => randomBytes(1024 ** 2 - 60));
    expect(
      (await contentOf(Buffer.concat(megabytes.map((part) => compress[compression](part))))).equals(
        Buffer.concat(megabytes),
      ),
    ).toBe(true);
  });

  it("rejects a truncated stream", async () => {
    for (const length of [
      11,
      1_000,
      whole.length >> 1,
      whole.length - 9,
      whole.length - 4,
      whole.length - 1,
    ]) {
      await expect(contentOf(whole.subarray(0, length)), `${length} bytes`).rejects.toThrow(
        `the ${compression} stream is truncated`,
      );
    }
  });

  it("rejects a corrupt stream", async () => {
    for (const at of [whole.length >> 1, whole.length - 1]) {
      const damaged = Buffer.from(whole);
      damaged[at] = ~(damaged[at] ?? 0) & 0xff;
      await expect(contentOf(damaged), `byte ${at}`).rejects.toThrow(`the ${compression} stream is corrupt`);
    }
  });

  it("rejects trailing data", async () => {
    await expect(contentOf(Buffer.concat([whole, Buffer.from("trailing data")]))).rejects.toThrow(
      `the ${compression} stream is corrupt`,
    );
  });
});

describe("decompress of zstd frames", () => {
  it("skips skippable frames, as those of pzstd", async () => {
    const skipped = Buffer.concat([Buffer.from("502a4d1804000000", "hex"), Buffer.from("size")]);
    const frame = compress.zstd(content);
    const both = Buffer.concat([skipped, frame, skipped, frame, skipped]);
    expect(compressionOf(both)).toBe("zstd");
    expect((await contentOf(both)).equals(Buffer.concat([content, content]))).toBe(true);
  });

  it("rejects too many frames", async () => {
    const frames = Buffer.concat(Array(11).fill(zstdCompressSync(Buffer.alloc(0))));
    const outcome = decompress(await openBytes(frames), "zstd", temporaryFolder(), {
      maxBytes: 1,
      maxFrames: 10,
    });
    await expect(outcome).rejects.toThrow("the archive has more than 10 zstd frames");
    expect(decompressionLimits(1).maxFrames).toBe(2_000);
  });

  it("rejects a window larger than the default of zstd", async () => {
    // A frame that declares a window of 1 GB.
    const frame = Buffer.from("28b52ffd00a0010000", "hex");
    await expect(contentOf(frame)).rejects.toThrow("the zstd stream needs a window larger than 128 MB");
  });
});

describe("decompress of a decompression bomb", () => {
  it("allows a hundredfold expansion, and a gigabyte in any case", () => {
    expect(decompressionLimits(1).maxBytes).toBe(1024 ** 3);
    expect(decompressionLimits(1024 ** 3).maxBytes).toBe(100 * 1024 ** 3);
  });

  it("rejects it and removes the copy", async () => {
    const [folder, bomb] = [temporaryFolder(), await openBytes(gzipSync(Buffer.alloc(30 * 1024 ** 2)))];
    await expect(
      decompress(bomb, "gzip", folder, { maxBytes: 20 * 1024 ** 2, maxFrames: 1 }),
    ).rejects.toThrow(
      `the archive is a decompression bomb: its ${bomb.size} bytes decompress to more than 20971520 bytes`,
    );
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("decompress into a folder that does not exist", () => {
  it("fails with the reason", async () => {
    const archive = await openBytes(gzipSync(content));
    await expect(decompress(archive, "gzip", join(temporaryFolder(), "missing"))).rejects.toThrow(
      /^the decompressed copy could not be written \(ENOENT: no such file or directory, open .*\)$/,
    );
  });
});
