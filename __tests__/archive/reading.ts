import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { expect } from "vitest";
import {
  type ImageArchive,
  InvalidArchiveError,
  type Layer,
  readArchive,
} from "../../src/archive/read-archive.ts";
import type { Platform } from "../../src/docker/images.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { compressed, digestOf, type Sample, writeArchive } from "./archives.ts";
import type { Member } from "./tar-files.ts";

const amd64 = { os: "linux", architecture: "amd64" };

/** Reads an archive as for nodes of a platform. */
export function read(
  archive: readonly Member[] | Buffer,
  platform: Partial<Platform> = {},
): Promise<ImageArchive> {
  const scratch = temporaryFolder();
  const path = writeArchive(temporaryFolder(), archive);
  return readArchive(path, { platform: { ...amd64, ...platform }, scratch });
}

/** The bytes of a layer where the archive is said to have them. */
export function layerBytes({ file }: ImageArchive, { offset, size }: Layer): Buffer {
  const bytes = Buffer.alloc(size);
  const handle = openSync(file, "r");
  try {
    return bytes.subarray(0, readSync(handle, bytes, 0, size, offset ?? 0));
  } finally {
    closeSync(handle);
  }
}

/** An image as tests look at it: its parts, each with the digest of the bytes that the archive has for it. */
export const shown = (archive: ImageArchive) =>
  archive.images.map(({ names, id, layers, manifests: documents }) => {
    for (const { bytes, digest, size } of documents) {
      expect([digestOf(bytes), bytes.length]).toEqual([digest, size]);
    }
    return { names, id, layers: layers.map((layer) => digestOf(layerBytes(archive, layer))) };
  });

export const expected = (image: Sample, names: string[], compression: "none" | "gzip" | "zstd" = "none") => ({
  names,
  id: image.id,
  layers: image.layers.map((layer) => digestOf(compressed(layer, compression))),
});

/** What is said of an archive that cannot be loaded, without its path. Nothing may be left of it. */
export async function refusal(archive: readonly Member[] | Buffer): Promise<string> {
  const path = writeArchive(temporaryFolder(), archive);
  const scratch = temporaryFolder();
  const on = { platform: amd64, scratch };
  const error = await readArchive(path, on).catch((caught: unknown) => caught);
  if (!(error instanceof InvalidArchiveError)) throw new Error("was not refused", { cause: error });
  expect(readdirSync(scratch)).toEqual([]);
  const said = `${path} cannot be loaded: `;
  expect(error.message.startsWith(said)).toBe(true);
  return error.message.slice(said.length);
}

/** What is advised. */
export const again = "Make the archive again, and see that all of it is copied.";
export const save = "Save the image with `docker save --output FILE NAME:TAG`.";
export const name =
  "Name it when it is saved: `docker save --output FILE NAME:TAG`, `skopeo copy … oci-archive:FILE:NAME:TAG`, " +
  "`docker buildx build --output type=oci,name=NAME:TAG,dest=FILE`.";
