import { createReadStream, existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod";
import { type Images, pieceSize, RegistryImage } from "./images.ts";
import { type ImageRecipe, type MakeOptions, makeImages } from "./make-images.ts";

const index = "images.json";
const list = z.array(RegistryImage);

/**
 * Images in a folder: `blobs/sha256` as in an OCI layout, and `images.json`. They are made when the folder is not there,
 * in another one that gets its name when it is whole.
 */
export async function imagesInFolder(
  folder: string,
  recipes: readonly ImageRecipe[],
  from: { readonly seed: string; shell(): Promise<Buffer> },
): Promise<Images> {
  if (!existsSync(folder)) await make(folder, recipes, { seed: from.seed, shell: await from.shell() });
  return {
    list: list.parse(JSON.parse(await readFile(join(folder, index), "utf8"))),
    read: (digest, range) =>
      createReadStream(blobPath(folder, digest), { ...range, highWaterMark: pieceSize }),
  };
}

async function make(
  folder: string,
  recipes: readonly ImageRecipe[],
  from: Omit<MakeOptions, "write">,
): Promise<void> {
  await mkdir(dirname(folder), { recursive: true });
  const draft = await mkdtemp(`${folder}.`);
  try {
    await mkdir(join(draft, "blobs", "sha256"), { recursive: true });
    const images = await makeImages(recipes, {
      ...from,
      write: (digest, content) => writeFile(blobPath(draft, digest), content),
    });
    await writeFile(join(draft, index), JSON.stringify(images, undefined, 2));
    await rename(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

const blobPath = (folder: string, digest: string) => join(folder, "blobs", ...digest.split(":"));
