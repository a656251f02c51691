import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/** Bytes. With chunks of 64 kB, a gigabyte takes a second more. */
const chunkSize = 1024 ** 2;

/** More than the chunks that a stream has in use at once: one being written, another in its buffer. */
const bufferCount = 4;

/**
 * Reads a file from its start to its end while it is still being written.
 *
 * A chunk is valid until three more have been read, because buffers are reused. With new buffers, garbage collection takes a
 * tenth of the time of two processors.
 *
 * @param written resolves when the file is complete
 * @throws the error of `written`
 * @throws Error when the path is not a regular file
 */
export async function* readWhileWritten(path: string, written: Promise<unknown>): AsyncGenerator<Buffer> {
  let complete = false;
  const completion = written.then(() => {
    complete = true;
  });
  // It is awaited only when there is nothing to read; this avoids an unhandled rejection otherwise.
  completion.catch(() => {});
  const writer = { isComplete: () => complete, waitForMore: () => Promise.race([completion, sleep(10)]) };
  const file = await openWhenCreated(path, writer);
  try {
    if (!(await file.stat()).isFile()) throw new Error(`${path} is not a regular file`);
    const buffers = Array.from({ length: bufferCount }, () => Buffer.allocUnsafeSlow(chunkSize));
    for (let index = 0; ; index = (index + 1) % bufferCount) {
      const chunk = await fill(buffers[index] ?? Buffer.alloc(chunkSize), file, writer);
      if (chunk.length > 0) yield chunk;
      if (chunk.length < chunkSize) return;
    }
  } finally {
    await file.close();
  }
}

/** The progress of a file that is being written. */
interface Writer {
  readonly isComplete: () => boolean;
  /** Resolves when there may be more to read, and rejects when the file will not be complete. */
  readonly waitForMore: () => Promise<unknown>;
}

/** Fills a buffer from a file. @returns the bytes that were read: fewer than the buffer holds at the end of the file */
async function fill(buffer: Buffer, file: FileHandle, writer: Writer): Promise<Buffer> {
  let filled = 0;
  while (filled < buffer.length) {
    // Before reading: afterwards there may be more to read.
    const isComplete = writer.isComplete();
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled);
    filled += bytesRead;
    if (bytesRead === 0 && isComplete) break;
    if (filled < buffer.length && !isComplete) await writer.waitForMore();
  }
  return buffer.subarray(0, filled);
}

/** Opens a file as soon as it exists. Does not follow links, and does not block on a pipe. */
async function openWhenCreated(path: string, writer: Writer): Promise<FileHandle> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  for (;;) {
    const isComplete = writer.isComplete();
    try {
      return await open(path, flags);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "ELOOP") throw new Error(`${path} is not a regular file`, { cause: error });
      if (code !== "ENOENT" || isComplete) throw error;
      await writer.waitForMore();
    }
  }
}
