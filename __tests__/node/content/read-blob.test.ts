import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { readBlob } from "../../../src/node/content/read-blob.ts";
import { noise } from "../../archive/tar-files.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";

const chunk = 512 * 1024;

async function* copies(pieces: AsyncIterable<Uint8Array>) {
  for await (const piece of pieces) yield Buffer.from(piece);
}

describe("readBlob", () => {
  it.each([0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk])(
    "reads the %i bytes at the blob's offset",
    async (size) => {
      const file = join(temporaryFolder(), "archive.tar");
      const [before, content] = [noise("before", 700), noise("content", size)];
      await writeFile(file, Buffer.concat([before, content, noise("after", 700)]));
      const blob = { digest: "", size, file, offset: before.length };
      expect((await buffer(Readable.from(copies(readBlob(blob))))).equals(content)).toBe(true);
    },
  );

  it("rejects when the file has become shorter", async () => {
    const file = join(temporaryFolder(), "archive.tar");
    await writeFile(file, noise("content", 5_000));
    await truncate(file, 3_000);
    const bytes = buffer(Readable.from(copies(readBlob({ digest: "", size: 5_000, file, offset: 0 }))));
    await expect(bytes).rejects.toThrow(`${file} became shorter while it was being loaded.`);
  });
});
