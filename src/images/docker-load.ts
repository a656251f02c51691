import { stat } from "node:fs/promises";
import { Readable } from "node:stream";
import type { Engine } from "../docker/engine.ts";
import { tarEnd, tarHeader, tarMember, tarPadding } from "../lib/tar.ts";
import { readWhileWritten } from "./read-while-written.ts";

/** An image that can be loaded into a Docker daemon. */
export interface LoadableImage {
  /** The text of its config. */
  readonly config: string;
  /** The SHA-256 of the config, in hexadecimal. */
  readonly id: string;
  readonly layers: readonly LoadableLayer[];
  /** The name that the image gets. */
  readonly name: string;
}

/** A layer that can be loaded into a Docker daemon. */
export interface LoadableLayer {
  /** The SHA-256 of its tar, in hexadecimal. */
  readonly diffId: string;
  /** The file with the tar, which may still be being written. */
  readonly path: string;
  /** Resolves when the file is complete. */
  readonly written: Promise<unknown>;
  /** Called when the file was read for the last time. May fail. */
  readonly release: () => Promise<unknown>;
}

/**
 * Loads an image into a Docker daemon while its layers are still being written. The daemon compares each layer with its diff
 * ID in the config.
 *
 * `docker load` writes the whole archive to the disk before it unpacks the first layer. So the first layer is imported as an
 * image of its own, which Docker unpacks while it receives it. The archive then goes without that layer: moby's
 * image/tarexport/load.go reads only layers that the daemon does not have.
 *
 * @param labels the labels of the temporary image of the first layer
 * @throws the error of `written` when a layer cannot be written
 * @throws Error when the daemon refuses the image
 */
export async function loadIntoDaemon(
  engine: Engine,
  image: LoadableImage,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  const [first] = image.layers;
  const firstTar = first && Readable.from(readWhileWritten(first.path, first.written), { objectMode: false });
  const imported = firstTar && engine.images.import(firstTar, labels);
  const verified = imported?.then(async (id) => {
    const [diffId] = await engine.images.diffIds(id);
    if (diffId !== `sha256:${first?.diffId}`)
      throw new Error(`its first layer has the diff ID ${diffId}, not sha256:${first?.diffId}`);
  });
  // The archive awaits it; this avoids an unhandled rejection if it ends earlier.
  verified?.catch(() => {});
  const archive = createDockerArchive(image, verified);
  // Does not wait: removing a gigabyte takes 0.2 s, in which Docker already processes the layers.
  const release = (...layers: LoadableLayer[]) =>
    void Promise.allSettled(layers.map((layer) => layer.release()));
  firstTar?.once("end", () => release(...image.layers.slice(0, 1)));
  archive.once("end", () => release(...image.layers));
  try {
    await engine.images.load(archive);
  } finally {
    // Closes the files of the layers if the daemon has not read the archive to its end.
    archive.destroy();
    // A daemon that has received the whole layer responds with the image's ID; otherwise the import is aborted.
    if (firstTar?.readableEnded === false) firstTar.destroy(new Error("the image was not loaded"));
    const id = await imported?.catch(() => undefined);
    // If this fails, the image is removed with the cluster, by its labels.
    if (id !== undefined) await engine.images.untag(id).catch(() => {});
  }
}

/**
 * Creates an archive for `docker load` in the format of old versions of `docker save`, which every version reads:
 * https://github.com/moby/docker-image-spec/blob/main/v1.2.md#combined-image-json--filesystem-changeset-format
 *
 * @param first resolves when the daemon has the first layer, which the archive then omits; undefined to include it
 * @returns the bytes, with the layers in the order in which they are complete; an error if a layer cannot be written
 */
export function createDockerArchive(
  { config, id, layers, name }: LoadableImage,
  first?: Promise<unknown>,
): Readable {
  const path = ({ diffId }: LoadableLayer) => `${diffId}/layer.tar`;
  const manifest = JSON.stringify([{ Config: `${id}.json`, RepoTags: [name], Layers: layers.map(path) }]);
  async function* members(): AsyncGenerator<Buffer> {
    yield tarMember(`${id}.json`, config);
    const included = first === undefined ? layers : layers.slice(1);
    const byDiffId = new Map(included.map((layer) => [layer.diffId, layer]));
    for await (const layer of inOrderOfCompletion([...byDiffId.values()])) {
      const { size } = await stat(layer.path);
      yield tarHeader({ path: path(layer), size });
      yield* readWhileWritten(layer.path, layer.written);
      yield tarPadding(size);
    }
    await first;
    yield tarMember("manifest.json", manifest);
    yield tarEnd();
  }
  return Readable.from(members(), { objectMode: false });
}

async function* inOrderOfCompletion(layers: readonly LoadableLayer[]): AsyncGenerator<LoadableLayer> {
  const waiting = new Map(layers.map((layer) => [layer, layer.written.then(() => layer)] as const));
  while (waiting.size > 0) {
    const next = await Promise.race(waiting.values());
    waiting.delete(next);
    yield next;
  }
}
