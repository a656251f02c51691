import { createHash } from "node:crypto";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { InvalidArchiveError } from "../../../src/archive/read-archive.ts";
import { createBlobVerifier } from "../../../src/images/load/verify-blob.ts";
import { identityOf } from "../../../src/node/content/file-identity.ts";
import { digestOf } from "../../archive/archives.ts";
import { noise } from "../../archive/tar-files.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";

const content = noise("archive", 2_500_000);

/** An archive that the user named otherwise than the file that its bytes are in, as a compressed one. */
async function archive() {
  const file = join(temporaryFolder(), "decompressed.tar");
  await writeFile(file, content);
  const verify = createBlobVerifier((path) => (path === file ? "/workspace/web.tar.gz" : path));
  const blobAt = (offset: number, size: number) => ({
    digest: digestOf(content.subarray(offset, offset + size)),
    size,
    offset,
    file,
  });
  return { file, verify, blobAt };
}

describe("a blob", () => {
  it.each([
    { offset: 0, size: 2_500_000 },
    { offset: 512, size: 1_048_576 },
    { offset: 1_048_575, size: 1_048_577 },
    { offset: 2_499_999, size: 1 },
    { offset: 100, size: 0 },
  ])(
    "of $size bytes at $offset is what its digest says, and which file that was is told",
    async ({ offset, size }) => {
      const { file, verify, blobAt } = await archive();
      expect(await verify(blobAt(offset, size))).toBe(await identityOf(file));
    },
  );

  it("that is not what its digest says is refused, with the archive as the user named it", async () => {
    const { verify, blobAt } = await archive();
    const [said, found] = [digestOf(Buffer.from("other")), blobAt(1_000, 5_000).digest];
    const refused = verify({ ...blobAt(1_000, 5_000), digest: said });
    await expect(refused).rejects.toThrow(InvalidArchiveError);
    await expect(refused).rejects.toThrow(
      `/workspace/web.tar.gz cannot be loaded: its layer ${said} has the digest ${found}: it is damaged. ` +
        "Make the archive again, and see that all of it is copied.",
    );
  });

  it("that has become shorter since is refused", async () => {
    const { file, verify, blobAt } = await archive();
    const blob = blobAt(1_000, 2_000_000);
    await truncate(file, 1_500_000);
    await expect(verify(blob)).rejects.toThrow(
      "/workspace/web.tar.gz cannot be loaded: it became shorter while it was read. Make the archive again",
    );
  });

  it("whose file is gone is an error", async () => {
    const { file, verify, blobAt } = await archive();
    await expect(verify({ ...blobAt(0, 10), file: `${file}.gone` })).rejects.toThrow("ENOENT");
  });

  it("is read once, however many nodes ask", async () => {
    const { file, verify, blobAt } = await archive();
    const blob = blobAt(0, 1_000);
    const identity = await verify(blob);
    // A second look would find other bytes.
    await writeFile(file, createHash("sha256").update("changed").digest());
    expect(await verify({ ...blob })).toBe(identity);
  });

  it("that is wrong does not keep others from being verified, and is wrong for all who ask", async () => {
    const { verify, blobAt } = await archive();
    const wrong = { ...blobAt(0, 10), digest: digestOf(Buffer.from("other")) };
    const asked = [verify(wrong), verify(blobAt(10, 10)), verify(wrong), verify(blobAt(20, 10))];
    const outcomes = (await Promise.allSettled(asked)).map(({ status }) => status);
    expect(outcomes).toEqual(["rejected", "fulfilled", "rejected", "fulfilled"]);
  });
});

describe("which file it is", () => {
  it("is told by what changes with its content", async () => {
    const { file } = await archive();
    const before = await identityOf(file);
    expect(await identityOf(file)).toBe(before);
    await writeFile(file, content.subarray(1));
    expect(await identityOf(file)).not.toBe(before);
  });
});
