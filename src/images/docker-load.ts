import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { Header } from "tar/header";

/** An image as a Docker daemon takes it. */
export interface ImageParts {
  /** The text of its config, and that text's SHA-256 in hexadecimal. */
  readonly config: string;
  readonly id: string;
  readonly layers: readonly ImageLayer[];
  /** What it is to be called. */
  readonly name: string;
}

export interface ImageLayer {
  /** The SHA-256 of its tar, in hexadecimal. */
  readonly diffId: string;
  /** The file with that tar, as soon as it is there. */
  readonly file: Promise<string>;
}

/**
 * The archive that gives an image to a Docker daemon, in the form that every version takes: that of an old `docker save`.
 * The daemon compares each layer with what the config says of it.
 * Format: https://github.com/moby/docker-image-spec/blob/main/v1.2.md#combined-image-json--filesystem-changeset-format
 *
 * @returns its bytes, layers in the order in which they come; they end with an error when one does not
 */
export function dockerArchive({ config, id, layers, name }: ImageParts): Readable {
  const path = ({ diffId }: ImageLayer) => `${diffId}/layer.tar`;
  const manifest = JSON.stringify([{ Config: `${id}.json`, RepoTags: [name], Layers: layers.map(path) }]);
  async function* pieces(): AsyncGenerator<Buffer> {
    yield* file(`${id}.json`, Buffer.from(config));
    const different = new Map(layers.map((layer) => [layer.diffId, layer]));
    for await (const { layer, source } of asTheyCome([...different.values()])) {
      const { size } = await stat(source);
      yield header(path(layer), size);
      yield* createReadStream(source, { highWaterMark: 1 << 20 });
      yield Buffer.alloc(padding(size));
    }
    yield* file("manifest.json", Buffer.from(manifest));
    yield Buffer.alloc(2 * block);
  }
  return Readable.from(pieces(), { objectMode: false });
}

async function* asTheyCome(
  layers: readonly ImageLayer[],
): AsyncGenerator<{ layer: ImageLayer; source: string }> {
  const waiting = new Map(
    layers.map((layer) => [layer, layer.file.then((source) => ({ layer, source }))] as const),
  );
  while (waiting.size > 0) {
    const next = await Promise.race(waiting.values());
    waiting.delete(next.layer);
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
