import { randomUUID } from "node:crypto";
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { ArchiveError } from "./errors.ts";
import type { RandomAccessFile } from "./open-file.ts";

/** A compression format that is supported, by this action and by containerd. */
export type Compression = "gzip" | "zstd";

/** The first bytes of a file, in hexadecimal: RFC 1952; RFC 8878, with the skippable frames at the start of pzstd's output. */
const signatures: readonly (readonly [Compression, RegExp])[] = [
  ["gzip", /^1f8b08/],
  ["zstd", /^(?:28b52ffd|5.2a4d18)/],
];
const recompress = "Compress it with gzip or zstd, or leave it uncompressed";
const unsupported: readonly (readonly [string, RegExp, string])[] = [
  ["compressed with bzip2", /^425a683[1-9]314159265359/, recompress],
  ["compressed with xz", /^fd377a585a00/, recompress],
  ["compressed with lz4", /^04224d18/, recompress],
  ["a zip archive", /^504b0304/, "Unpack it, and load the image archive in it"],
];
/** The number of bytes that the signatures need. */
export const signatureBytes = 10;

/**
 * Returns the compression of a file or layer; undefined for none.
 *
 * @param head its first bytes
 */
export function compressionOf(head: Buffer): Compression | undefined {
  const bytes = head.toString("hex", 0, signatureBytes);
  return signatures.find(([, signature]) => signature.test(bytes))?.[0];
}

/** @throws ArchiveError when the first bytes of a file are those of a known, unsupported format */
export function rejectUnsupportedFormat(head: Buffer): void {
  const bytes = head.toString("hex", 0, signatureBytes);
  const found = unsupported.find(([, signature]) => signature.test(bytes));
  if (found !== undefined)
    throw new ArchiveError(`the archive is ${found[0]}, which is not supported`, found[2]);
}

/** The limits for the decompression of an archive. */
export interface DecompressionLimits {
  /** Maximum number of decompressed bytes. */
  readonly maxBytes: number;
  /** Maximum number of zstd frames. */
  readonly maxFrames: number;
}

/**
 * Returns limits that only a decompression bomb exceeds: images compress to a half or a third, and deflate to at most
 * 1:1032; a small image of zeros must be possible. A frame takes up to a millisecond; frames of pzstd have 8 MB, so that the
 * maximum is 16 GB.
 *
 * @param compressedBytes size of the archive
 */
export const decompressionLimits = (compressedBytes: number): DecompressionLimits => ({
  maxBytes: Math.max(1024 ** 3, 100 * compressedBytes),
  maxFrames: 2_000,
});

/** Output buffer of a decompressor, in bytes: with 64 kB, a gigabyte took one second longer. */
const chunkSize = 1024 * 1024;

/**
 * Decompresses an archive into a file that only this user can read. The content is streamed; a few megabytes are in memory.
 *
 * @param folder an existing folder; the file gets a unique name
 * @returns the path of the file; after an error the file has been removed
 * @throws ArchiveError when the archive is corrupt, truncated, or a decompression bomb, or the file cannot be written
 */
export async function decompress(
  archive: RandomAccessFile,
  compression: Compression,
  folder: string,
  limits: DecompressionLimits = decompressionLimits(archive.size),
): Promise<string> {
  const copy = join(folder, `${randomUUID()}.tar`);
  try {
    // createWriteStream(path) opens the file asynchronously: it could create the file again after the cleanup.
    const file = await open(copy, "wx", 0o600);
    await pipeline(
      compression === "gzip" ? gunzip(archive) : unzstd(archive, limits.maxFrames),
      async function* limitBytes(chunks: AsyncIterable<Buffer>) {
        let bytes = 0;
        for await (const chunk of chunks) {
          bytes += chunk.length;
          if (bytes > limits.maxBytes)
            throw new ArchiveError(
              `the archive is a decompression bomb: its ${archive.size} bytes decompress to more than ${limits.maxBytes} bytes`,
              "Leave it uncompressed if it is valid and that large",
            );
          yield chunk;
        }
      },
      file.createWriteStream(),
    );
    return copy;
  } catch (error) {
    await rm(copy, { force: true });
    throw toArchiveError(error, compression);
  }
}

async function* gunzip(archive: RandomAccessFile): AsyncGenerator<Buffer> {
  const decompressor = createGunzip({ chunkSize });
  const input = pipeline(archive.stream(0, archive.size), decompressor);
  input.catch(() => {});
  yield* decompressor;
  await input;
}

/** Node's decompressor stops after the first zstd frame: each frame needs another decompressor. */
async function* unzstd(archive: RandomAccessFile, maxFrames: number): AsyncGenerator<Buffer> {
  let start = 0;
  for (let frames = 0; start < archive.size; frames++) {
    if (frames === maxFrames)
      throw new ArchiveError(
        `the archive has more than ${maxFrames} zstd frames`,
        "Compress it as a single frame, with `zstd`",
      );
    const decompressor = createZstdDecompress({ chunkSize });
    const frameStart = start;
    const input = pipeline(async function* untilFrameEnds() {
      let end = frameStart;
      for await (const chunk of archive.stream(frameStart, archive.size)) {
        yield chunk;
        end += chunk.length;
        // The decompressor has processed the chunk when it requests the next one: unread bytes belong to the next frame.
        if (frameStart + decompressor.bytesWritten < end) return;
      }
    }, decompressor);
    input.catch(() => {});
    yield* decompressor;
    await input;
    start += decompressor.bytesWritten;
  }
}

function toArchiveError(error: unknown, compression: Compression): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "Z_BUF_ERROR")
    return new ArchiveError(`the ${compression} stream is truncated`, undefined, { cause: error });
  if (code === "ZSTD_error_frameParameter_windowTooLarge") {
    return new ArchiveError(
      "the zstd stream needs a window larger than 128 MB",
      "Compress it without `--long` or `--ultra`",
      { cause: error },
    );
  }
  if (/^(?:Z|ZSTD)_/.test(code))
    return new ArchiveError(`the ${compression} stream is corrupt`, undefined, { cause: error });
  if (error instanceof Error && "syscall" in error && error.syscall !== "read")
    return new ArchiveError(
      `the decompressed copy could not be written (${error.message})`,
      "Free disk space, or leave the archive uncompressed",
      { cause: error },
    );
  return error;
}
