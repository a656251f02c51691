import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import { readWhileWritten } from "../../src/images/read-while-written.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const megabyte = 1024 ** 2;
const written = Promise.resolve();

/** Bytes of which no two megabytes are equal. */
const bytesOf = (size: number) => Buffer.alloc(size, "0123456789abc");

let file: string;
beforeEach(() => {
  file = join(temporaryFolder(), "layer.tar");
});

/** The content, copied chunk by chunk. */
async function contentOf(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const piece of pieces) copies.push(Buffer.from(piece));
  return Buffer.concat(copies);
}

describe("readWhileWritten of a complete file", () => {
  it.each([0, 1, megabyte - 1, megabyte, megabyte + 1, 7 * megabyte + 5])("reads %i bytes", async (size) => {
    const bytes = bytesOf(size);
    writeFileSync(file, bytes);
    expect((await contentOf(readWhileWritten(file, written))).equals(bytes)).toBe(true);
  });

  it("reads the whole file through a stream with a slow consumer", async () => {
    const bytes = bytesOf(12 * megabyte + 5);
    writeFileSync(file, bytes);
    const taken: Buffer[] = [];
    const slow = new Writable({
      write(piece: Buffer, _, done) {
        setTimeout(() => {
          taken.push(Buffer.from(piece));
          done();
        }, 20);
      },
    });
    await pipeline(Readable.from(readWhileWritten(file, written), { objectMode: false }), slow);
    expect(Buffer.concat(taken).equals(bytes)).toBe(true);
  });

  it("rejects a link, a pipe and a folder", async () => {
    symlinkSync("/dev/zero", file);
    await expect(contentOf(readWhileWritten(file, written))).rejects.toThrow("is not a regular file");
    execFileSync("mkfifo", [`${file}.pipe`]);
    await expect(contentOf(readWhileWritten(`${file}.pipe`, written))).rejects.toThrow(
      "is not a regular file",
    );
    mkdirSync(`${file}.folder`);
    await expect(contentOf(readWhileWritten(`${file}.folder`, written))).rejects.toThrow(
      "is not a regular file",
    );
  });
});

describe("readWhileWritten of a file that is being written", () => {
  it("reads its start before it is complete", async () => {
    const bytes = bytesOf(3 * megabyte + 5);
    const whole = Promise.withResolvers<void>();
    const pieces = readWhileWritten(file, whole.promise);
    const first = pieces.next();
    writeFileSync(file, bytes.subarray(0, 10));
    await sleep(30);
    appendFileSync(file, bytes.subarray(10, megabyte + 10));
    const begin = Buffer.from((await first).value ?? []);
    expect(begin.equals(bytes.subarray(0, megabyte))).toBe(true);
    const rest = contentOf(pieces);
    await sleep(30);
    appendFileSync(file, bytes.subarray(megabyte + 10));
    whole.resolve();
    expect(Buffer.concat([begin, await rest]).equals(bytes)).toBe(true);
  });

  it.each([0, 10, megabyte, megabyte + 10])(
    "rejects with the error of the writer after %i bytes",
    async (size) => {
      writeFileSync(file, bytesOf(size));
      const failed = sleep(30).then(() => {
        throw new Error("the layer sha256:aa: read ECONNRESET");
      });
      await expect(contentOf(readWhileWritten(file, failed))).rejects.toThrow("read ECONNRESET");
    },
  );

  it("rejects with the error of the writer when the file is never created", async () => {
    const failed = sleep(30).then(() => {
      throw new Error("the layer sha256:aa: miss");
    });
    await expect(contentOf(readWhileWritten(file, failed))).rejects.toThrow("the layer sha256:aa: miss");
    await expect(contentOf(readWhileWritten(file, written))).rejects.toThrow("ENOENT");
  });
});
