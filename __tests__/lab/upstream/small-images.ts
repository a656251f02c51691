import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import type { Images } from "./images.ts";
import { makeImages } from "./make-images.ts";
import { testImageShell } from "./shell.ts";

/**
 * Images that nobody has seen before, in memory: `small/SEED-1:1`, `small/SEED-2:1` and so on. They share the layer with
 * the shell, and each has one of its own.
 *
 * @param bytes of an image's own layer
 * @param from.seed for the same images again
 * @param from.shell instead of the test image's root file system
 */
export async function smallImages(
  count: number,
  bytes: number,
  from: { readonly seed?: string; readonly shell?: Buffer } = {},
): Promise<Images> {
  const seed = from.seed ?? randomBytes(4).toString("hex");
  const blobs = new Map<string, Buffer>();
  const recipes = Array.from({ length: count }, (_, index) => ({
    name: `small/${seed}-${index + 1}:1`,
    format: "oci" as const,
    layers: [
      { name: "small/base", bytes: 1_000, shell: true },
      { name: `small/${index + 1}`, bytes },
    ],
  }));
  const list = await makeImages(recipes, {
    seed,
    shell: from.shell ?? (await testImageShell()),
    write: (digest, content) => void blobs.set(digest, content),
  });
  return {
    list,
    read(digest, { start, end }) {
      const content = blobs.get(digest);
      if (content === undefined) throw new Error(`there is no ${digest}`);
      return Readable.from([content.subarray(start, end + 1)]);
    },
  };
}
