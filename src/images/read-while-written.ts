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
  const more = () => Promise.race([completion, sleep(10)]);
  const file = await openWhenThere(path, () => complete, more);
  try {
    if (!(await file.stat()).isFile()) throw new Error(`${path} is no file`);
    const all = Array.from({ length: buffers }, () => Buffer.allocUnsafeSlow(pieceBytes));
    for (let turn = 0; ; turn = (turn + 1) % buffers) {
      const piece = all[turn] ?? Buffer.alloc(pieceBytes);
      let filled = 0;
      for (let read = -1, wasComplete = false; filled < pieceBytes && !(read === 0 && wasComplete); ) {
        wasComplete = complete;
        ({ bytesRead: read } = await file.read(piece, filled, pieceBytes - filled));
        filled += read;
        if (filled < pieceBytes && !wasComplete) await more();
      }
      if (filled > 0) yield piece.subarray(0, filled);
      if (filled < pieceBytes) return;
    }
  } finally {
    await file.close();
  }
}

async function openWhenThere(
  path: string,
  complete: () => boolean,
  more: () => Promise<unknown>,
): Promise<FileHandle> {
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
