import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { InvalidArchiveError } from "../../archive/errors.ts";
import { identityOf } from "../../node/content/file-identity.ts";
import type { FileBlob } from "../../node/content/hardlink.ts";

/** Verifies that the bytes of a blob have its digest. @returns the identity of the file at that time */
export type VerifyBlob = (blob: FileBlob) => Promise<string>;

/**
 * Creates a function that hashes blobs in their files, one after another, each once, before they are imported. A processor
 * with SHA instructions hashes 1.5 GB per second, and the copy afterwards reads the page cache.
 *
 * @param archiveOf returns the archive of a file, as the user named it; for errors
 */
export function createBlobVerifier(archiveOf: (file: string) => string): VerifyBlob {
  const identities = new Map<string, Promise<string>>();
  let queue: Promise<unknown> = Promise.resolve();
  return (blob) => {
    const key = `${blob.file} ${blob.offset} ${blob.digest}`;
    const existing = identities.get(key);
    if (existing !== undefined) return existing;
    const identity = queue.then(() => verify(blob, archiveOf(blob.file)));
    identities.set(key, identity);
    queue = identity.catch(() => {});
    return identity;
  };
}

/** @throws InvalidArchiveError when the bytes do not have the digest */
async function verify({ file, offset, size, digest }: FileBlob, archive: string): Promise<string> {
  const identity = await identityOf(file);
  const hash = createHash("sha256");
  const handle = await open(file);
  try {
    const buffer = Buffer.allocUnsafe(Math.min(chunkSize, size));
    for (let done = 0; done < size; ) {
      const { bytesRead } = await handle.read(buffer, 0, Math.min(chunkSize, size - done), offset + done);
      if (bytesRead === 0)
        throw new InvalidArchiveError(archive, "it became shorter while it was being read", advice);
      hash.update(buffer.subarray(0, bytesRead));
      done += bytesRead;
    }
  } finally {
    await handle.close();
  }
  const actual = `sha256:${hash.digest("hex")}`;
  if (actual !== digest) {
    throw new InvalidArchiveError(
      archive,
      `layer ${digest} is damaged: its content has the digest ${actual}`,
      advice,
    );
  }
  return identity;
}

/** Bytes. */
const chunkSize = 1024 * 1024;
const advice = "Create the archive again, and check that it is copied completely";
