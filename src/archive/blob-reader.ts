import { quote } from "../lib/quote.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { digestOf } from "../oci/digest.ts";
import { maxManifestBytes } from "../oci/limits.ts";
import { type AnnotatedDescriptor, type OciSchema, parseBlob } from "../oci/schemas.ts";
import { ArchiveError } from "./errors.ts";
import type { RandomAccessFile } from "./open-file.ts";
import type { TarIndex } from "./tar-index.ts";

/** An index, manifest or config, with its bytes as they are in the archive. The digest of the bytes has been verified. */
export interface ManifestBlob extends Descriptor {
  readonly bytes: Buffer;
}

/** An open archive with its index. */
export interface ArchiveContents {
  readonly file: RandomAccessFile;
  readonly tar: TarIndex;
  readonly blobs: BlobReader;
}

/** Maximum size of all manifests of an archive, which are in memory together, in bytes: 500 images with 64 kB each. */
const maxTotalBytes = 32 * 1024 ** 2;

/** Reads and validates the JSON blobs of an archive. Their size is bounded, of each and in total. */
export class BlobReader {
  readonly #tar: TarIndex;
  readonly #file: RandomAccessFile;
  #remainingBytes = maxTotalBytes;

  constructor(tar: TarIndex, file: RandomAccessFile) {
    this.#tar = tar;
    this.#file = file;
  }

  /**
   * Reads a blob by its descriptor.
   *
   * @throws ArchiveError when the blob is missing, too large, corrupt or invalid
   */
  async read<T>(
    { digest, size, mediaType }: AnnotatedDescriptor,
    schema: OciSchema<T>,
  ): Promise<{ blob: ManifestBlob; content: T }> {
    const name = `the ${schema.name} ${digest}`;
    const bytes = await this.#readBytes(layoutBlobPath(digest), name);
    if (bytes === undefined)
      throw new ArchiveError(
        `the archive does not contain ${name}`,
        "Create the archive again with the complete image",
      );
    if (bytes.length !== size)
      throw new ArchiveError(`the archive is corrupt: ${name} has ${bytes.length} bytes instead of ${size}`);
    if (digestOf(bytes) !== digest)
      throw new ArchiveError(`the archive is corrupt: ${name} has the digest ${digestOf(bytes)}`);
    return { blob: { digest, size, mediaType, bytes }, content: parse(bytes, name, schema) };
  }

  /**
   * Reads a JSON file by its name in the archive.
   *
   * @returns undefined when there is no such file
   * @throws ArchiveError when it is too large or invalid
   */
  async readFile<T>(name: string, schema: OciSchema<T>): Promise<{ bytes: Buffer; content: T } | undefined> {
    const bytes = await this.#readBytes(name, quote(name));
    return bytes && { bytes, content: parse(bytes, quote(name), schema) };
  }

  /** Adds a generated manifest to the total size. @throws ArchiveError when the total is too large */
  count(bytes: number): void {
    this.#remainingBytes -= bytes;
    if (this.#remainingBytes < 0)
      throw new ArchiveError(
        `the indexes, manifests and configs of the archive are larger than ${maxTotalBytes} bytes in total`,
        "Save fewer images in one archive",
      );
  }

  async #readBytes(file: string, name: string): Promise<Buffer | undefined> {
    const content = this.#tar.find(file);
    if (content === undefined) return undefined;
    if (content.size > maxManifestBytes)
      throw new ArchiveError(
        `${name} has ${content.size} bytes; the maximum is ${maxManifestBytes}`,
        "Build the image with fewer labels",
      );
    this.count(content.size);
    return Buffer.from(await this.#file.bytes(content.offset, content.size));
  }
}

/** Returns the path of a blob in an OCI layout. */
export const layoutBlobPath = (digest: string): string => `blobs/${digest.replace(":", "/")}`;

function parse<T>(bytes: Buffer, name: string, schema: OciSchema<T>): T {
  const parsed = parseBlob(bytes.toString(), schema);
  if ("problem" in parsed) throw new ArchiveError(`${name} ${parsed.problem}`);
  return parsed.content;
}
