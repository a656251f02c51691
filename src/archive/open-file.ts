import type { FileHandle } from "node:fs/promises";
import { ArchiveError } from "./errors.ts";

/** What lies this close together is read with one system call: an archive's small members are neighbours. */
const windowBytes = 64 * 1024;
const chunkBytes = 1024 * 1024;

/** A file that is read here and there, never as a whole. */
export class RandomAccessFile {
  readonly size: number;
  readonly #handle: FileHandle;
  #window: Buffer = Buffer.alloc(0);
  #windowAt = 0;

  private constructor(handle: FileHandle, size: number) {
    this.#handle = handle;
    this.size = size;
  }

  /** @param handle stays the caller's to close */
  static async of(handle: FileHandle): Promise<RandomAccessFile> {
    const { size } = await handle.stat();
    return new RandomAccessFile(handle, size);
  }

  /** The bytes at a position, fewer where the file ends before; theirs to be read until the next call, not to be kept. */
  async bytes(position: number, length: number): Promise<Buffer> {
    const end = Math.min(position + length, this.size);
    if (position < this.#windowAt || end > this.#windowAt + this.#window.length) {
      this.#window = await this.#read(
        position,
        Math.min(Math.max(length, windowBytes), this.size - position),
      );
      this.#windowAt = position;
    }
    return this.#window.subarray(position - this.#windowAt, Math.max(end, position) - this.#windowAt);
  }

  /** The bytes from a position to another, in pieces of a megabyte. */
  async *stream(position: number, end: number): AsyncGenerator<Buffer> {
    for (let at = position; at < end; at += chunkBytes) {
      yield await this.#read(at, Math.min(chunkBytes, end - at));
    }
  }

  async #read(position: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(Math.max(length, 0));
    let filled = 0;
    while (filled < buffer.length) {
      const { bytesRead } = await this.#handle.read(
        buffer,
        filled,
        buffer.length - filled,
        position + filled,
      );
      if (bytesRead === 0) throw new ArchiveError("it became shorter while it was read");
      filled += bytesRead;
    }
    return buffer;
  }
}
