import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MissingImage } from "../../../src/images/load/plan-node.ts";
import { imageOf, ociImage } from "../../archive/archives.ts";
import type { StoredImage } from "../../fixtures/simulated-containerd.ts";

/** Creates an image of these layers in a file of a folder, at offsets as in an archive. */
export function imageIn(
  folder: string,
  names: readonly string[],
  layers: readonly Buffer[],
): MissingImage & { readonly stored: StoredImage } {
  const { config, manifest, layers: blobs, ...image } = ociImageOf(layers);
  // Something before the first layer, and between them, as in every archive.
  const gap = Buffer.alloc(512, names[0] ?? "");
  const file = join(folder, `${randomUUID()}.tar`);
  writeFileSync(file, Buffer.concat(layers.flatMap((layer) => [gap, layer])));
  let offset = 0;
  return {
    names,
    id: image.id,
    from: `${names[0]}.tar`,
    content: {
      file,
      target: manifest.descriptor,
      manifests: [manifest, config].map(({ descriptor, content }) => ({ ...descriptor, bytes: content })),
      layers: blobs.map(({ descriptor, content }) => {
        const layer = { ...descriptor, offset: offset + gap.length };
        offset += gap.length + content.length;
        return layer;
      }),
    },
    stored: {
      target: manifest.descriptor.digest,
      blobs: new Map(
        [manifest, config, ...blobs].map(({ descriptor, content }) => [descriptor.digest, content]),
      ),
    },
  };
}

const made = new Map<string, ReturnType<typeof makeImage>>();

/** Returns the image of these layers, which is created once: large layers take long to hash. Compares their first bytes. */
function ociImageOf(layers: readonly Buffer[]) {
  const key = layers.map((layer) => `${layer.length} ${layer.toString("hex", 0, 64)}`).join();
  const image = made.get(key) ?? makeImage(layers);
  made.set(key, image);
  return image;
}

function makeImage(layers: readonly Buffer[]) {
  const image = imageOf(layers);
  return { id: image.id, ...ociImage(image, "none") };
}

/** Returns the bytes of a layer, the same for the same seed. */
export const layerOf = (seed: string, bytes: number): Buffer => Buffer.alloc(bytes, `${seed} `);

/** The size of a layer that is hard-linked, in bytes. */
export const large = 32_000_000;
