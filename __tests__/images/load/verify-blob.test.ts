import { createHash } from "node:crypto";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { InvalidArchiveError } from "../../../src/archive/errors.ts";
import { createBlobVerifier } from "../../../src/images/load/verify-blob.ts";
import { identityOf } from "../../../src/node/content/file-identity.ts";
import { digestOf } from "../../archive/archives.ts";
import { noise } from "../../archive/tar-files.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";

const content = noise("archive", 2_500_000);

/** A compressed archive, whose decompressed bytes are in another file. */
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

describe("createBlobVerifier", () => {
  it.each([
    { offset: 0, size: 2_500_000 },
    { offset: 512, size: 1_048_576 },
    { offset: 1_048_575, size: 1_048_577 },
    { offset: 2_499_999, size: 1 },
    { offset: 100, size: 0 },
  ])(
    "returns the identity of the file for a valid blob of $size bytes at $offset",
    async ({ offset, size }) => {
      const { file, verify, blobAt } = await archive();
      expect(await verify(blobAt(offset, size))).toBe(await identityOf(file));
    },
  );

  it("rejects a blob that does not have its digest, with the archive as the user named it", async () => {
    const { verify, blobAt } = await archive();
    const [expected, actual] = [digestOf(Buffer.from("other")), blobAt(1_000, 5_000).digest];
    const refused = verify({ ...blobAt(1_000, 5_000), digest: expected });
    await expect(refused).rejects.toThrow(InvalidArchiveError);
    await expect(refused).rejects.toThrow(
      `/workspace/web.tar.gz: layer ${expected} is damaged: its content has the digest ${actual}. ` +
        "Create the archive again, and check that it is copied completely.",
    );
  });

  it("rejects a blob of a file that has become shorter", async () => {
    const { file, verify, blobAt } = await archive();
    const blob = blobAt(1_000, 2_000_000);
    await truncate(file, 1_500_000);
    await expect(verify(blob)).rejects.toThrow(
      "/workspace/web.tar.gz: it became shorter while it was being read. Create the archive again",
    );
  });

  it("rejects a blob whose file does not exist", async () => {
    const { file, verify, blobAt } = await archive();
    await expect(verify({ ...blobAt(0, 10), file: `${file}.gone` })).rejects.toThrow("ENOENT");
  });

  it("reads a blob once for all nodes", async () => {
    const { file, verify, blobAt } = await archive();
    const blob = blobAt(0, 1_000);
    const identity = await verify(blob);
    // A second read would find other bytes.
    await writeFile(file, createHash("sha256").update("changed").digest());
    expect(await verify({ ...blob })).toBe(identity);
  });

  it("verifies other blobs after an invalid one, which it rejects for all callers", async () => {
    const { verify, blobAt } = await archive();
    const wrong = { ...blobAt(0, 10), digest: digestOf(Buffer.from("other")) };
    const results = [verify(wrong), verify(blobAt(10, 10)), verify(wrong), verify(blobAt(20, 10))];
    const outcomes = (await Promise.allSettled(results)).map(({ status }) => status);
    expect(outcomes).toEqual(["rejected", "fulfilled", "rejected", "fulfilled"]);
  });
});

describe("identityOf", () => {
  it("changes with the content of the file", async () => {
    const { file } = await archive();
    const before = await identityOf(file);
    expect(await identityOf(file)).toBe(before);
    await writeFile(file, content.subarray(1));
    expect(await identityOf(file)).not.toBe(before);
  });
});
