import type { FileHandle } from "node:fs/promises";
import { ArchiveError } from "./errors.ts";

/** Minimum size of a read, in bytes: small members of an archive are adjacent, and are read with one system call. */
const windowBytes = 64 * 1024;
/** Size of a chunk of {@link RandomAccessFile.stream}, in bytes. */
const chunkBytes = 1024 * 1024;

/** An open file for reads at any position. */
export class RandomAccessFile {
  readonly size: number;
  readonly #handle: FileHandle;
  #window: Buffer = Buffer.alloc(0);
  #windowStart = 0;

  private constructor(handle: FileHandle, size: number) {
    this.#handle = handle;
    this.size = size;
  }

  /** @param handle must be closed by the caller */
  static async of(handle: FileHandle): Promise<RandomAccessFile> {
    const { size } = await handle.stat();
    return new RandomAccessFile(handle, size);
  }

  /** Reads bytes at a position; fewer at the end of the file. The buffer is valid until the next call. */
  async bytes(position: number, length: number): Promise<Buffer> {
    const end = Math.min(position + length, this.size);
    if (position < this.#windowStart || end > this.#windowStart + this.#window.length) {
      this.#window = await this.#read(
        position,
        Math.min(Math.max(length, windowBytes), this.size - position),
      );
      this.#windowStart = position;
    }
    return this.#window.subarray(position - this.#windowStart, Math.max(end, position) - this.#windowStart);
  }

  /** Reads the bytes from a position to another, in chunks of 1 MiB. */
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
      if (bytesRead === 0) throw new ArchiveError("the archive was truncated while it was being read");
      filled += bytesRead;
    }
    return buffer;
  }
}
