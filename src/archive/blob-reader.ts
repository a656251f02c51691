import { createHash } from "node:crypto";
import type { AnnotatedDescriptor, OciSchema } from "../oci/schemas.ts";
import { ArchiveError, quote } from "./errors.ts";
import type { RandomAccessFile } from "./open-file.ts";
import type { Descriptor } from "./read-archive.ts";
import type { TarIndex } from "./tar-index.ts";

/** A JSON document of an image, as it is in the archive: its bytes hash to its digest. */
export interface ManifestBlob extends Descriptor {
  readonly bytes: Buffer;
}

/** An archive whose members are known. */
export interface ArchiveContents {
  readonly file: RandomAccessFile;
  readonly tar: TarIndex;
  readonly blobs: BlobReader;
}

/**
 * What registries have to accept of a manifest (OCI distribution-spec, "Pushing Manifests"). Configs, with their labels and
 * history, are some kilobytes. containerd reads 20 MiB; but the objects of a text may take a hundred times its size.
 */
const mostOfDocument = 4 * 1024 ** 2;
/** All documents of an archive are held at once. This is 500 images with 64 kB each. */
const mostOfAll = 32 * 1024 ** 2;

/** Reads the documents of an archive: of bounded size, one by one and together, and nothing that is not what it should be. */
export class BlobReader {
  readonly #tar: TarIndex;
  readonly #file: RandomAccessFile;
  #left = mostOfAll;

  constructor(tar: TarIndex, file: RandomAccessFile) {
    this.#tar = tar;
    this.#file = file;
  }

  /**
   * Reads a document by what refers to it.
   *
   * @throws Refused when it is not in the archive, too large, damaged, or not of the kind
   */
  async read<T>(
    of: AnnotatedDescriptor,
    kind: OciSchema<T>,
  ): Promise<{ document: ManifestBlob; content: T }> {
    const name = `the ${kind.name} ${of.digest}`;
    const bytes = await this.#bytes(layoutBlobPath(of.digest), name);
    if (bytes === undefined)
      throw new ArchiveError(`${name} is not in it`, "Make the archive again with the whole image in it");
    if (bytes.length !== of.size)
      throw new ArchiveError(`it is damaged: ${name} should have ${of.size} bytes, and has ${bytes.length}`);
    if (digestOf(bytes) !== of.digest)
      throw new ArchiveError(`it is damaged: ${name} hashes to ${digestOf(bytes)}`);
    const { digest, size, mediaType } = of;
    return { document: { digest, size, mediaType, bytes }, content: parse(bytes, name, kind) };
  }

  /** Reads a document by its name in the archive. @returns undefined when nothing has the name */
  async readNamed<T>(file: string, kind: OciSchema<T>): Promise<{ bytes: Buffer; content: T } | undefined> {
    const bytes = await this.#bytes(file, quote(file));
    return bytes && { bytes, content: parse(bytes, `${quote(file)} in it`, kind) };
  }

  /** Counts a document that was made, not read, to those that are held. */
  count(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0)
      throw new ArchiveError(
        `its indexes, manifests and configs have more than ${mostOfAll} bytes`,
        "Save fewer images in one archive",
      );
  }

  async #bytes(file: string, name: string): Promise<Buffer | undefined> {
    const content = this.#tar.find(file);
    if (content === undefined) return undefined;
    if (content.size > mostOfDocument)
      throw new ArchiveError(
        `${name} in it has ${content.size} bytes, more than the ${mostOfDocument} that are read`,
        "Build the image with fewer labels",
      );
    this.count(content.size);
    return Buffer.from(await this.#file.bytes(content.offset, content.size));
  }
}

/** Where an OCI layout has what a digest names. */
export const layoutBlobPath = (digest: string): string => `blobs/${digest.replace(":", "/")}`;

export const digestOf = (bytes: Buffer): string =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

function parse<T>(bytes: Buffer, name: string, kind: OciSchema<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString());
  } catch (error) {
    throw new ArchiveError(`${name} is not JSON`, undefined, { cause: error });
  }
  const read = kind.schema.safeParse(json);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const place = issue === undefined || issue.path.length === 0 ? "" : `\`${issue.path.join(".")}\` `;
  throw new ArchiveError(`${name} is no ${kind.name}: ${place}${issue?.message ?? ""}`);
}
