import { createHash } from "node:crypto";
import type { Kind, Reference } from "../oci/schemas.ts";
import { quoted, Refused } from "./errors.ts";
import type { OpenFile } from "./open-file.ts";
import type { Descriptor } from "./read-archive.ts";
import type { TarIndex } from "./tar-index.ts";

/** A JSON document of an image, as it is in the archive: its bytes hash to its digest. */
export interface Document extends Descriptor {
  readonly bytes: Buffer;
}

/** An archive whose members are known. */
export interface Contents {
  readonly file: OpenFile;
  readonly tar: TarIndex;
  readonly documents: Documents;
}

/**
 * What registries have to accept of a manifest (OCI distribution-spec, "Pushing Manifests"). Configs, with their labels and
 * history, are some kilobytes. containerd reads 20 MiB; but the objects of a text may take a hundred times its size.
 */
const mostOfDocument = 4 * 1024 ** 2;
/** All documents of an archive are held at once. This is 500 images with 64 kB each. */
const mostOfAll = 32 * 1024 ** 2;

/** Reads the documents of an archive: of bounded size, one by one and together, and nothing that is not what it should be. */
export class Documents {
  readonly #tar: TarIndex;
  readonly #file: OpenFile;
  #left = mostOfAll;

  constructor(tar: TarIndex, file: OpenFile) {
    this.#tar = tar;
    this.#file = file;
  }

  /**
   * Reads a document by what refers to it.
   *
   * @throws Refused when it is not in the archive, too large, damaged, or not of the kind
   */
  async read<T>(of: Reference, kind: Kind<T>): Promise<{ document: Document; content: T }> {
    const name = `the ${kind.name} ${of.digest}`;
    const bytes = await this.#bytes(blobPath(of.digest), name);
    if (bytes === undefined)
      throw new Refused(`${name} is not in it`, "Make the archive again with the whole image in it");
    if (bytes.length !== of.size)
      throw new Refused(`it is damaged: ${name} should have ${of.size} bytes, and has ${bytes.length}`);
    if (digestOf(bytes) !== of.digest)
      throw new Refused(`it is damaged: ${name} hashes to ${digestOf(bytes)}`);
    const { digest, size, mediaType } = of;
    return { document: { digest, size, mediaType, bytes }, content: parse(bytes, name, kind) };
  }

  /** Reads a document by its name in the archive. @returns undefined when nothing has the name */
  async named<T>(file: string, kind: Kind<T>): Promise<{ bytes: Buffer; content: T } | undefined> {
    const bytes = await this.#bytes(file, quoted(file));
    return bytes && { bytes, content: parse(bytes, `${quoted(file)} in it`, kind) };
  }

  /** Counts a document that was made, not read, to those that are held. */
  count(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0)
      throw new Refused(
        `its indexes, manifests and configs have more than ${mostOfAll} bytes`,
        "Save fewer images in one archive",
      );
  }

  async #bytes(file: string, name: string): Promise<Buffer | undefined> {
    const content = this.#tar.find(file);
    if (content === undefined) return undefined;
    if (content.size > mostOfDocument)
      throw new Refused(
        `${name} in it has ${content.size} bytes, more than the ${mostOfDocument} that are read`,
        "Build the image with fewer labels",
      );
    this.count(content.size);
    return Buffer.from(await this.#file.bytes(content.offset, content.size));
  }
}

/** Where an OCI layout has what a digest names. */
export const blobPath = (digest: string): string => `blobs/${digest.replace(":", "/")}`;

export const digestOf = (bytes: Buffer): string =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

function parse<T>(bytes: Buffer, name: string, kind: Kind<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString());
  } catch (error) {
    throw new Refused(`${name} is not JSON`, undefined, { cause: error });
  }
  const read = kind.schema.safeParse(json);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const place = issue === undefined || issue.path.length === 0 ? "" : `\`${issue.path.join(".")}\` `;
  throw new Refused(`${name} is no ${kind.name}: ${place}${issue?.message ?? ""}`);
}
