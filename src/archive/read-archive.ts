import { type FileHandle, open, rm } from "node:fs/promises";
import type { Platform } from "../docker/images.ts";
import { describeFileError } from "../lib/errors.ts";
import { BlobReader } from "./blob-reader.ts";
import { compressionOf, decompress, rejectUnsupportedFormat, signatureBytes } from "./decompress.ts";
import { readDockerArchive } from "./docker-archive.ts";
import { ArchiveError, adviseDockerSave } from "./errors.ts";
import { readOciLayout } from "./oci-layout.ts";
import { RandomAccessFile } from "./open-file.ts";
import { selectImages } from "./select.ts";
import { readTarIndex } from "./tar-index.ts";

/** Content that an image consists of. */
export interface Descriptor {
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
  readonly mediaType: string;
}

/** A layer, and where its bytes are in {@link ImageArchive.file}. */
export interface Layer extends Descriptor {
  /**
   * Bytes from the start of the file; the layer is `size` bytes from there. Undefined where the archive does not bring the
   * layer (`docker save` leaves out what a containerd image store never fetched): it can then be loaded only where a node
   * has it already.
   */
  readonly offset: number | undefined;
}

/** An image as containerd is to have it, for one platform. */
export interface ArchiveImage {
  /** Full names as containerd has them: docker.io/library/web:1, ghcr.io/x/y:2, localhost/z:latest. At least one. */
  readonly names: readonly string[];
  /** The digest of the config: what Docker, crictl and Kubernetes call the image's ID. */
  readonly id: string;
  /** `linux/amd64`, `linux/arm64/v8` … of the config; the nodes' where it does not say. */
  readonly platform: string;
  /** What a name points to: the platform's manifest, or the index that lists it. */
  readonly target: Descriptor;
  /** Indexes (if any), the target first, manifest and config: their bytes hash to their digests. */
  readonly manifests: readonly (Descriptor & { readonly bytes: Buffer })[];
  /** In the order in which they lie on each other, the lowest first. Their bytes are not verified. */
  readonly layers: readonly Layer[];
}

/** An archive whose index was read. */
export interface ImageArchive {
  /** As the user named it. */
  readonly path: string;
  /** A plain tar whose bytes `offset`s count in: the archive itself, or its decompressed copy in the scratch folder. */
  readonly file: string;
  /** At least one, no two with the same target. */
  readonly images: readonly ArchiveImage[];
}

/** An archive that cannot be loaded: which, why, and what to do about it. */
export class InvalidArchiveError extends Error {
  override readonly name = "BadArchive";

  constructor(path: string, reason: string, advice: string, options?: ErrorOptions) {
    super(`${path} cannot be loaded: ${reason}. ${advice}.`, options);
  }
}

/**
 * Reads what images an archive holds and where in it their layers are: archives of `docker save`, old and new, OCI
 * layouts, and what other tools write in these formats; plain, or compressed with gzip or zstd. Where an archive is both,
 * the OCI layout counts, as for containerd.
 *
 * Of a plain archive only headers and documents are read, some dozens of kilobytes; a compressed one is decompressed once.
 * Layers are hashed only where nothing tells their digest: compressed ones in Docker's format. Whoever copies a layer has
 * to compare its digest.
 *
 * @param on.platform what the nodes run
 * @param on.scratch an existing folder for the decompressed copy, which the caller removes
 * @throws BadArchive when it cannot be read, is damaged, is no archive of images, or of none that can run on the nodes
 */
export async function readArchive(
  path: string,
  on: { readonly platform: Platform; readonly scratch: string },
): Promise<ImageArchive> {
  try {
    const copy = await opened(path, async (archive) => {
      if (archive.size === 0) throw new ArchiveError("it is empty", adviseDockerSave);
      const head = await archive.bytes(0, signatureBytes);
      rejectUnsupportedFormat(head);
      const compression = compressionOf(head);
      return compression && (await decompress(archive, compression, on.scratch));
    });
    const file = copy ?? path;
    try {
      return { path, file, images: await opened(file, (archive) => readImages(archive, on.platform)) };
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
      describeFileError(error),
      "See that the file is there and this user may read it",
      {
        cause: error,
      },
    );
  }
}

async function opened<T>(path: string, use: (file: RandomAccessFile) => Promise<T>): Promise<T> {
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
  const candidates = (await readOciLayout(contents, node)) ?? (await readDockerArchive(contents, node));
  return selectImages(candidates, node);
}
