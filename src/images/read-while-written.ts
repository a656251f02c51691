import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/** With pieces of 64 kB, a gigabyte takes a second more. */
const pieceBytes = 1024 ** 2;

/** Of these, a stream has one on its way, and may hold back another. */
const buffers = 4;

/**
 * Reads a file, also while it is still being written: from its beginning on, in order.
 *
 * A piece is only there until three more have been asked for: its buffer is used again. With new ones, collecting them
 * takes a tenth of what two processors do meanwhile.
 *
 * @param written settles when all of it is there
 * @throws what `written` says; what is no file is an error, too
 */
export async function* readWhileWritten(path: string, written: Promise<unknown>): AsyncGenerator<Buffer> {
  let complete = false;
  const completion = written.then(() => {
    complete = true;
  });
  // It is awaited only where there is nothing to read.
  completion.catch(() => {});
  const writer = { complete: () => complete, more: () => Promise.race([completion, sleep(10)]) };
  const file = await openWhenThere(path, writer);
  try {
    if (!(await file.stat()).isFile()) throw new Error(`${path} is no file`);
    const all = Array.from({ length: buffers }, () => Buffer.allocUnsafeSlow(pieceBytes));
    for (let turn = 0; ; turn = (turn + 1) % buffers) {
      const piece = await fill(all[turn] ?? Buffer.alloc(pieceBytes), file, writer);
      if (piece.length > 0) yield piece;
      if (piece.length < pieceBytes) return;
    }
  } finally {
    await file.close();
  }
}

/** Whoever writes a file. */
interface Writer {
  /** Whether all of it is there. */
  readonly complete: () => boolean;
  /** Settles when there may be more of it. */
  readonly more: () => Promise<unknown>;
}

/** Reads on. @returns what was read: less than the buffer is the file's end */
async function fill(buffer: Buffer, file: FileHandle, { complete, more }: Writer): Promise<Buffer> {
  let filled = 0;
  while (filled < buffer.length) {
    const last = complete();
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled);
    filled += bytesRead;
    if (bytesRead === 0 && last) break;
    if (filled < buffer.length && !last) await more();
  }
  return buffer.subarray(0, filled);
}

async function openWhenThere(path: string, { complete, more }: Writer): Promise<FileHandle> {
  // Of a link or a pipe, nobody knows the end.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  for (;;) {
    const last = complete();
    try {
      return await open(path, flags);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "ELOOP") throw new Error(`${path} is no file`, { cause: error });
      if (code !== "ENOENT" || last) throw error;
      await more();
    }
  }
}
