import { open } from "node:fs/promises";
import type { FileBlob } from "./hardlink.ts";

/**
 * A blob's bytes, a piece at a time: each is good until the next is asked for, so that however much is sent, memory holds
 * one piece.
 *
 * @throws when the file has become shorter
 */
export async function* readBlob({ file, offset, size }: FileBlob): AsyncGenerator<Uint8Array> {
  const handle = await open(file);
  const buffer = Buffer.allocUnsafe(Math.min(chunk, size));
  try {
    for (let done = 0; done < size; ) {
      const { bytesRead } = await handle.read(buffer, 0, Math.min(chunk, size - done), offset + done);
      if (bytesRead === 0) throw new Error(`${file} became shorter while it was loaded.`);
      yield buffer.subarray(0, bytesRead);
      done += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

const chunk = 512 * 1024;
