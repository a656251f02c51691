import { type FileHandle, open, rm } from "node:fs/promises";
import { describeFileError } from "../lib/errors.ts";
import type { Platform } from "../oci/platform.ts";
import { BlobReader } from "./blob-reader.ts";
import { compressionOf, decompress, rejectUnsupportedFormat, signatureBytes } from "./decompress.ts";
import { readDockerArchive } from "./docker-archive.ts";
import { ArchiveError, adviseDockerSave, InvalidArchiveError } from "./errors.ts";
import type { ArchiveImage, ImageArchive } from "./image-archive.ts";
import { readOciLayout } from "./oci-layout.ts";
import { RandomAccessFile } from "./open-file.ts";
import { selectImages } from "./select.ts";
import { readTarIndex } from "./tar-index.ts";

/**
 * Reads the images of an archive and the positions of their layers. Supports archives of `docker save` (all versions since
 * 1.10) and OCI layouts, of any tool, uncompressed or compressed with gzip or zstd. If an archive is both, the OCI layout is
 * used, as in containerd.
 *
 * Of an uncompressed archive only headers, manifests and configs are read, some dozens of kilobytes; a compressed one is
 * decompressed once. Layers are only hashed if their digest is unknown: compressed ones in Docker's format. The digest of
 * a layer has to be verified when it is copied.
 *
 * @param options.platform platform of the nodes
 * @param options.scratch an existing folder for the decompressed copy, which the caller removes
 * @throws InvalidArchiveError when the archive cannot be read, is corrupt, is not an image archive, or has no image for the
 * platform
 */
export async function readArchive(
  path: string,
  { platform, scratch }: { readonly platform: Platform; readonly scratch: string },
): Promise<ImageArchive> {
  try {
    const copy = await withFile(path, async (archive) => {
      if (archive.size === 0) throw new ArchiveError("the file is empty", adviseDockerSave);
      const head = await archive.bytes(0, signatureBytes);
      rejectUnsupportedFormat(head);
      const compression = compressionOf(head);
      return compression && (await decompress(archive, compression, scratch));
    });
    const file = copy ?? path;
    try {
      return { path, file, images: await withFile(file, (archive) => readImages(archive, platform)) };
    } catch (error) {
      if (copy !== undefined) await rm(copy, { force: true });
      throw error;
    }
  } catch (error) {
    if (error instanceof ArchiveError)
      throw new InvalidArchiveError(path, error.message, error.advice, { cause: error });
    if (!(error instanceof Error && "syscall" in error)) throw error;
    throw new InvalidArchiveError(
      path,
      `the file ${describeFileError(error)}`,
      "Check that the file exists and that this user can read it",
      { cause: error },
    );
  }
}

async function withFile<T>(path: string, use: (file: RandomAccessFile) => Promise<T>): Promise<T> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path);
    return await use(await RandomAccessFile.of(handle));
  } finally {
    await handle?.close();
  }
}

async function readImages(file: RandomAccessFile, node: Platform): Promise<ArchiveImage[]> {
  const tar = await readTarIndex(file);
  const contents = { file, tar, blobs: new BlobReader(tar, file) };
  const entries = (await readOciLayout(contents, node)) ?? (await readDockerArchive(contents, node));
  return selectImages(entries, node);
}
