import { randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** A block blob of Azure in a folder. Content goes straight to disk: it may be larger than memory. */
export class BlockBlob {
  /** The file with the content. */
  readonly path: string;
  readonly #folder: string;
  readonly #blocks: string;

  constructor(folder: string) {
    this.path = join(folder, "blob");
    this.#folder = folder;
    this.#blocks = join(folder, "blocks");
  }

  /** The content in one request. */
  put(content: Readable): Promise<void> {
    return this.#write(this.path, [content]);
  }

  /** One block of a larger blob. Blocks come in any order, several at a time. */
  async putBlock(blockId: string, content: Readable): Promise<void> {
    await mkdir(this.#blocks, { recursive: true });
    await this.#write(this.#block(blockId), [content]);
  }

  /** Makes the blob of its blocks. */
  async putBlockList(blockIds: readonly string[]): Promise<void> {
    await this.#write(this.path, this.#blocksOf(blockIds));
    await rm(this.#blocks, { recursive: true, force: true });
  }

  /** In bytes; undefined as long as nothing was uploaded. */
  async size(): Promise<number | undefined> {
    const file = await stat(this.path).catch(() => undefined);
    return file?.size;
  }

  /** The bytes from `start` to `end`, both included. */
  read(start: number, end: number): Readable {
    // The real one is another machine: this one takes as little of the processors as it can.
    return createReadStream(this.path, { start, end, highWaterMark: 1024 ** 2 });
  }

  /** Opens one after the other: there may be hundreds. */
  *#blocksOf(blockIds: readonly string[]): Generator<Readable> {
    for (const blockId of blockIds) yield createReadStream(this.#block(blockId));
  }

  #block(blockId: string): string {
    return join(this.#blocks, Buffer.from(blockId).toString("hex"));
  }

  /** Writes a file that is there only when all of its content came. */
  async #write(path: string, contents: Iterable<Readable>): Promise<void> {
    const draft = join(this.#folder, `upload-${randomUUID()}`);
    for (const content of contents) await pipeline(content, createWriteStream(draft, { flags: "a" }));
    await rename(draft, path);
  }
}
