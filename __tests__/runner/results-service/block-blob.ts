import { randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { whenMissing } from "./entry-store.ts";

/** A block blob of Azure in a folder. Content goes straight to disk: it may be larger than memory. */
export class BlockBlob {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get path(): string {
    return join(this.#folder, "blob");
  }

  /** Content and type, in one request. */
  async put(content: Readable, contentType: string): Promise<void> {
    const draft = await this.#receive(content);
    await this.#become(draft, contentType);
  }

  /** One block of a larger blob. Blocks come in any order, several at a time. */
  async putBlock(blockId: string, content: Readable): Promise<void> {
    await mkdir(join(this.#folder, "blocks"), { recursive: true });
    const draft = await this.#receive(content);
    await rename(draft, this.#block(blockId));
  }

  /** Makes the blob of its blocks. */
  async putBlockList(blockIds: readonly string[], contentType: string): Promise<void> {
    const draft = this.#draft();
    await writeFile(draft, "");
    for (const blockId of blockIds) {
      await pipeline(createReadStream(this.#block(blockId)), createWriteStream(draft, { flags: "a" }));
    }
    await this.#become(draft, contentType);
    await rm(join(this.#folder, "blocks"), { recursive: true, force: true });
  }

  /** Undefined as long as nothing was uploaded. */
  async properties(): Promise<{ size: number; modified: Date; contentType: string } | undefined> {
    const file = await stat(this.path).catch(whenMissing(undefined));
    if (file === undefined) return undefined;
    const contentType = await readFile(this.#contentType, "utf8");
    return { size: file.size, modified: file.mtime, contentType };
  }

  /** The bytes from `start` to `end`, both included. */
  read(start: number, end: number): Readable {
    // The real one is another machine: this one takes as little of the processors as it can.
    return createReadStream(this.path, { start, end, highWaterMark: 1024 ** 2 });
  }

  get #contentType(): string {
    return join(this.#folder, "content-type");
  }

  /** A file with the content, if all of it came. */
  async #receive(content: Readable): Promise<string> {
    const draft = this.#draft();
    try {
      await pipeline(content, createWriteStream(draft));
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
    return draft;
  }

  #draft(): string {
    return join(this.#folder, `upload-${randomUUID()}`);
  }

  #block(blockId: string): string {
    return join(this.#folder, "blocks", Buffer.from(blockId).toString("hex"));
  }

  async #become(draft: string, contentType: string): Promise<void> {
    await writeFile(this.#contentType, contentType);
    await rename(draft, this.path);
  }
}
