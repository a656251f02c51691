import { stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { Header } from "tar/header";
import type { Engine } from "../docker/engine.ts";
import { readWhileWritten } from "./read-while-written.ts";

/** An image as a Docker daemon takes it. */
export interface LoadableImage {
  /** The text of its config, and that text's SHA-256 in hexadecimal. */
  readonly config: string;
  readonly id: string;
  readonly layers: readonly LoadableLayer[];
  /** What it is to be called. */
  readonly name: string;
}

export interface LoadableLayer {
  /** The SHA-256 of its tar, in hexadecimal. */
  readonly diffId: string;
  /** The file with that tar, which may still be written. */
  readonly path: string;
  /** Settles when all of it is there. */
  readonly written: Promise<unknown>;
  /** Is called when it is read no more. It may fail. */
  readonly release: () => Promise<unknown>;
}

/**
 * Gives an image to a Docker daemon, its layers as they come. The daemon compares each with what the config says of it.
 *
 * `docker load` writes a whole archive to the disk before it unpacks the first layer. So that one takes another way: as
 * `docker import` it is unpacked while it comes. What is loaded then lies on it: moby's image/tarexport/load.go asks an
 * archive only for the layers that the daemon does not have.
 *
 * @param labels of the image that the first layer is for that time
 * @throws when a layer does not come, or the daemon does not take it
 */
export async function loadIntoDaemon(
  engine: Engine,
  image: LoadableImage,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  const [first] = image.layers;
  const layer = first && Readable.from(readWhileWritten(first.path, first.written), { objectMode: false });
  const imported = layer && engine.images.import(layer, labels);
  const there = imported?.then(async (id) => {
    const [diffId] = await engine.images.diffIds(id);
    if (diffId !== `sha256:${first?.diffId}`)
      throw new Error(`its first layer is ${diffId}, not sha256:${first?.diffId}`);
  });
  // Whoever makes the archive is told.
  there?.catch(() => {});
  const archive = createDockerArchive(image, there);
  // Beside what Docker still does with them: removing a gigabyte takes a fifth of a second.
  const leave = (...layers: LoadableLayer[]) => void Promise.allSettled(layers.map((each) => each.release()));
  layer?.once("end", () => leave(...image.layers.slice(0, 1)));
  archive.once("end", () => leave(...image.layers));
  try {
    await engine.images.load(archive);
  } finally {
    // A daemon that wants no more of it leaves files open.
    archive.destroy();
    // One that has all of the layer is about to say as what.
    if (layer?.readableEnded === false) layer.destroy(new Error("the rest of the image did not come"));
    const id = await imported?.catch(() => undefined);
    // What resists goes with the cluster.
    if (id !== undefined) await engine.images.untag(id).catch(() => {});
  }
}

/**
 * The archive that gives an image to a Docker daemon, in the form that every version takes: that of an old `docker save`.
 * Format: https://github.com/moby/docker-image-spec/blob/main/v1.2.md#combined-image-json--filesystem-changeset-format
 *
 * @param first settles when the daemon has the first layer, which is then not in the archive
 * @returns its bytes, layers in the order in which they come; they end with an error when one does not
 */
export function createDockerArchive(
  { config, id, layers, name }: LoadableImage,
  first?: Promise<unknown>,
): Readable {
  const path = ({ diffId }: LoadableLayer) => `${diffId}/layer.tar`;
  const manifest = JSON.stringify([{ Config: `${id}.json`, RepoTags: [name], Layers: layers.map(path) }]);
  async function* pieces(): AsyncGenerator<Buffer> {
    yield* file(`${id}.json`, Buffer.from(config));
    const sent = first === undefined ? layers : layers.slice(1);
    const different = new Map(sent.map((layer) => [layer.diffId, layer]));
    for await (const layer of asTheyCome([...different.values()])) {
      const { size } = await stat(layer.path);
      yield header(path(layer), size);
      yield* readWhileWritten(layer.path, layer.written);
      yield Buffer.alloc(padding(size));
    }
    await first;
    yield* file("manifest.json", Buffer.from(manifest));
    yield Buffer.alloc(2 * block);
  }
  return Readable.from(pieces(), { objectMode: false });
}

async function* asTheyCome(layers: readonly LoadableLayer[]): AsyncGenerator<LoadableLayer> {
  const waiting = new Map(layers.map((layer) => [layer, layer.written.then(() => layer)] as const));
  while (waiting.size > 0) {
    const next = await Promise.race(waiting.values());
    waiting.delete(next);
    yield next;
  }
}

const block = 512;
const padding = (size: number) => (block - (size % block)) % block;

function header(path: string, size: number): Buffer {
  const bytes = Buffer.alloc(block);
  new Header({ path, size, mode: 0o644, type: "File", uid: 0, gid: 0, mtime: new Date(0) }).encode(bytes, 0);
  return bytes;
}

function* file(path: string, content: Buffer): Generator<Buffer> {
  yield header(path, content.length);
  yield content;
  yield Buffer.alloc(padding(content.length));
}
