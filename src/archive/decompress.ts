import { randomUUID } from "node:crypto";
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { ArchiveError } from "./errors.ts";
import type { RandomAccessFile } from "./open-file.ts";

/** What this action can decompress, and containerd too. */
export type Compression = "gzip" | "zstd";

/** How the first bytes of a file look, in hexadecimal: RFC 1952; RFC 8878 with the skippable frames that pzstd begins with. */
const signatures: readonly (readonly [Compression, RegExp])[] = [
  ["gzip", /^1f8b08/],
  ["zstd", /^(?:28b52ffd|5.2a4d18)/],
];
const recompress = "Compress it with gzip or zstd, or not at all";
const foreign: readonly (readonly [string, RegExp, string])[] = [
  ["compressed with bzip2", /^425a683[1-9]314159265359/, recompress],
  ["compressed with xz", /^fd377a585a00/, recompress],
  ["compressed with lz4", /^04224d18/, recompress],
  ["a zip archive", /^504b0304/, "Unpack it, and name the image archive that is in it"],
];
/** As many bytes of a file as the signatures look at. */
export const signatureBytes = 10;

/** @param head the first bytes of a file or a layer */
export function compressionOf(head: Buffer): Compression | undefined {
  const bytes = head.toString("hex", 0, signatureBytes);
  return signatures.find(([, signature]) => signature.test(bytes))?.[0];
}

/** @throws Refused when the first bytes of a file are those of a format that neither this action nor containerd reads */
export function rejectUnsupportedFormat(head: Buffer): void {
  const bytes = head.toString("hex", 0, signatureBytes);
  const found = foreign.find(([, signature]) => signature.test(bytes));
  if (found !== undefined) throw new ArchiveError(`it is ${found[0]}, which cannot be read`, found[2]);
}

/** What is too much of a compressed archive. */
export interface DecompressionLimits {
  /** That may come out. */
  readonly bytes: number;
  /** That it may be made of, if zstd made it. */
  readonly frames: number;
}

/**
 * More is a decompression bomb: images compress to a half or a third, deflate cannot do better than 1 to 1032, and a small
 * image of zeros is still no attack. A frame costs up to a millisecond; pzstd makes one of 8 MB, so that these are 16 GB.
 *
 * @param compressed bytes of the archive
 */
export const decompressionLimits = (compressed: number): DecompressionLimits => ({
  bytes: Math.max(1024 ** 3, 100 * compressed),
  frames: 2_000,
});

/** What a decompressor hands out at once: with 64 kB, a gigabyte took a second more. */
const chunkSize = 1024 * 1024;

/**
 * Writes what a compressed archive holds to a file that only this user reads, as it comes, never more of it in memory
 * than some megabytes.
 *
 * @param folder an existing one; the file gets a name of its own there
 * @returns the file; after an error there is none
 * @throws Refused when the archive is damaged, cut off, or a decompression bomb
 */
export async function decompress(
  archive: RandomAccessFile,
  compression: Compression,
  folder: string,
  limits: DecompressionLimits = decompressionLimits(archive.size),
): Promise<string> {
  const copy = join(folder, `${randomUUID()}.tar`);
  try {
    // A stream that opens it by itself may still be at it after the error, and make the file again.
    const file = await open(copy, "wx", 0o600);
    await pipeline(
      compression === "gzip" ? gunzipped(archive) : unzstd(archive, limits.frames),
      async function* bounded(chunks: AsyncIterable<Buffer>) {
        let bytes = 0;
        for await (const chunk of chunks) {
          bytes += chunk.length;
          if (bytes > limits.bytes)
            throw new ArchiveError(
              `it is a decompression bomb: more than ${limits.bytes} bytes come out of its ${archive.size}`,
              "Leave it uncompressed if it really is that large",
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

async function* gunzipped(archive: RandomAccessFile): AsyncGenerator<Buffer> {
  const decompressor = createGunzip({ chunkSize });
  const fed = pipeline(archive.stream(0, archive.size), decompressor);
  fed.catch(() => {});
  yield* decompressor;
  await fed;
}

/** Node's decompressor stops after the first zstd frame: each gets one of its own. */
async function* unzstd(archive: RandomAccessFile, most: number): AsyncGenerator<Buffer> {
  let start = 0;
  for (let frames = 0; start < archive.size; frames++) {
    if (frames === most)
      throw new ArchiveError(
        `it is made of more than ${most} zstd frames`,
        "Compress it in one piece, with `zstd`",
      );
    const decompressor = createZstdDecompress({ chunkSize });
    const from = start;
    const fed = pipeline(async function* untilFrameEnds() {
      let end = from;
      for await (const chunk of archive.stream(from, archive.size)) {
        yield chunk;
        end += chunk.length;
        // The decompressor asks for more when it is done with a piece; what it left of it is not of this frame.
        if (from + decompressor.bytesWritten < end) return;
      }
    }, decompressor);
    fed.catch(() => {});
    yield* decompressor;
    await fed;
    start += decompressor.bytesWritten;
  }
}

function toArchiveError(error: unknown, compression: Compression): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "Z_BUF_ERROR")
    return new ArchiveError(`its ${compression} stream is cut off`, undefined, { cause: error });
  if (code === "ZSTD_error_frameParameter_windowTooLarge") {
    return new ArchiveError(
      "its zstd stream needs more than 128 MB of memory to be read",
      "Compress it without `--long` or `--ultra`",
      { cause: error },
    );
  }
  if (/^(?:Z|ZSTD)_/.test(code))
    return new ArchiveError(`its ${compression} stream is damaged`, undefined, { cause: error });
  if (error instanceof Error && "syscall" in error && error.syscall !== "read")
    return new ArchiveError(
      `what it holds cannot be written to a file (${error.message})`,
      "Make room for it, or leave it uncompressed",
      { cause: error },
    );
  return error;
}
