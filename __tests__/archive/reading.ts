import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { expect } from "vitest";
import { InvalidArchiveError } from "../../src/archive/errors.ts";
import type { ImageArchive, Layer } from "../../src/archive/image-archive.ts";
import { readArchive } from "../../src/archive/read-archive.ts";
import type { Platform } from "../../src/oci/platform.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { compressed, digestOf, type Sample, writeArchive } from "./archives.ts";
import type { Member } from "./tar-files.ts";

const amd64 = { os: "linux", architecture: "amd64" };

/** Reads an archive for nodes of a platform. */
export function read(
  archive: readonly Member[] | Buffer,
  platform: Partial<Platform> = {},
): Promise<ImageArchive> {
  const scratch = temporaryFolder();
  const path = writeArchive(temporaryFolder(), archive);
  return readArchive(path, { platform: { ...amd64, ...platform }, scratch });
}

/** The bytes of a layer at its offset in the archive. */
export function layerBytes({ file }: ImageArchive, { offset, size }: Layer): Buffer {
  const bytes = Buffer.alloc(size);
  const handle = openSync(file, "r");
  try {
    return bytes.subarray(0, readSync(handle, bytes, 0, size, offset ?? 0));
  } finally {
    closeSync(handle);
  }
}

/** The images of an archive: names, ID, and the digests of the layers' bytes. */
export const shown = (archive: ImageArchive) =>
  archive.images.map(({ names, id, layers, manifests }) => {
    for (const { bytes, digest, size } of manifests) {
      expect([digestOf(bytes), bytes.length]).toEqual([digest, size]);
    }
    return { names, id, layers: layers.map((layer) => digestOf(layerBytes(archive, layer))) };
  });

export const expected = (image: Sample, names: string[], compression: "none" | "gzip" | "zstd" = "none") => ({
  names,
  id: image.id,
  layers: image.layers.map((layer) => digestOf(compressed(layer, compression))),
});

/** The error for an archive that cannot be loaded, without the path. The scratch folder must be empty. */
export async function rejection(archive: readonly Member[] | Buffer): Promise<string> {
  const path = writeArchive(temporaryFolder(), archive);
  const scratch = temporaryFolder();
  const error = await readArchive(path, { platform: amd64, scratch }).catch((caught: unknown) => caught);
  if (!(error instanceof InvalidArchiveError))
    throw new Error("The archive was not rejected", { cause: error });
  expect(readdirSync(scratch)).toEqual([]);
  const prefix = `Could not load ${path}: `;
  expect(error.message.startsWith(prefix)).toBe(true);
  return error.message.slice(prefix.length);
}

/** The remedies. */
export const again = "Create the archive again, and check that it is copied completely.";
export const save = "Save the image with `docker save --output FILE NAME:TAG`.";
export const name =
  "Name the image when you save it: `docker save --output FILE NAME:TAG`, `skopeo copy … oci-archive:FILE:NAME:TAG`, " +
  "`docker buildx build --output type=oci,name=NAME:TAG,dest=FILE`.";
