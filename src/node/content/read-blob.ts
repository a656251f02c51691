import { open } from "node:fs/promises";
import type { FileBlob } from "./hardlink.ts";

/**
 * Reads the bytes of a blob in chunks, all in one buffer: a chunk is valid until the next is read.
 *
 * @throws Error when the file has become shorter
 */
export async function* readBlob({ file, offset, size }: FileBlob): AsyncGenerator<Uint8Array> {
  const handle = await open(file);
  const buffer = Buffer.allocUnsafe(Math.min(chunkSize, size));
  try {
    for (let done = 0; done < size; ) {
      const { bytesRead } = await handle.read(buffer, 0, Math.min(chunkSize, size - done), offset + done);
      if (bytesRead === 0) throw new Error(`${file} became shorter while it was being loaded.`);
      yield buffer.subarray(0, bytesRead);
      done += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

/** Bytes. */
const chunkSize = 512 * 1024;
