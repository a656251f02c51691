import { open } from "node:fs/promises";
import { Header } from "tar/header";
import type { FileBlob } from "./blob-links.ts";
import type { BroughtImage } from "./node-plan.ts";

/** An archive that is written while it is read. */
export interface ArchiveStream {
  readonly bytes: number;
  /** Each piece is good until the next is asked for. */
  read(): AsyncGenerator<Uint8Array>;
}

type Entry = { readonly name: string } & ({ readonly bytes: Buffer } | { readonly blob: FileBlob });

/**
 * Images as an archive in OCI layout, as `ctr images import` reads it: their documents, those blobs that are to travel
 * in it, and an index that gives each image its names, whole, by containerd's own annotation.
 * https://github.com/opencontainers/image-spec/blob/main/image-layout.md
 */
export function ociLayout(
  images: readonly BroughtImage[],
  blobs: readonly FileBlob[],
  namesOf: (image: BroughtImage) => readonly string[] = allNames,
): ArchiveStream {
  const documents = new Map(
    images.flatMap(({ content }) => content.documents).map((document) => [document.digest, document]),
  );
  const manifests = images.flatMap((image) => {
    const { mediaType, digest, size } = image.content.target;
    return namesOf(image).map((name) => ({
      mediaType,
      digest,
      size,
      annotations: { "io.containerd.image.name": name },
    }));
  });
  const entries: Entry[] = [
    { name: "oci-layout", bytes: json({ imageLayoutVersion: "1.0.0" }) },
    ...[...documents.values()].map(({ digest, bytes }) => ({ name: pathOf(digest), bytes })),
    ...blobs.map((blob) => ({ name: pathOf(blob.digest), blob })),
    { name: "index.json", bytes: json({ schemaVersion: 2, manifests }) },
  ];
  return {
    bytes: entries.reduce((sum, entry) => sum + block + padded(sizeOf(entry)), endOfTar.length),
    read: () => write(entries),
  };
}

/**
 * The names of an image. One that keeps its registry's digest is there for pods that name it by that, too: an OCI layout
 * does, what is made of an archive in Docker's format has a manifest of its own.
 */
export function allNames({ names, content: { target } }: BroughtImage): string[] {
  if (!target.mediaType.startsWith("application/vnd.oci.")) return [...names];
  const repositories = names.map((name) => name.replace(/[:@][^/]*$/, ""));
  return [...new Set([...names, ...repositories.map((repository) => `${repository}@${target.digest}`)])];
}

async function* write(entries: readonly Entry[]): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafe(chunk);
  for (const entry of entries) {
    const size = sizeOf(entry);
    yield header(entry.name, size);
    if ("bytes" in entry) yield entry.bytes;
    else yield* bytesOf(entry.blob, buffer);
    yield Buffer.alloc(padded(size) - size);
  }
  yield endOfTar;
}

/**
 * A blob's bytes, a piece at a time: each is good until the next is asked for, so that however much is sent, memory holds
 * one piece.
 *
 * @throws when the file has become shorter
 */
async function* bytesOf({ file, offset, size }: FileBlob, buffer: Buffer): AsyncGenerator<Uint8Array> {
  const handle = await open(file);
  try {
    for (let done = 0; done < size; ) {
      const { bytesRead } = await handle.read(buffer, 0, Math.min(chunk, size - done), offset + done);
      if (bytesRead === 0) throw new Error(`${file} became shorter while it was loaded.`);
      yield buffer.subarray(0, bytesRead);
      done += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

const chunk = 512 * 1024;
const block = 512;
const endOfTar = Buffer.alloc(2 * block);
const padded = (size: number) => Math.ceil(size / block) * block;
const sizeOf = (entry: Entry) => ("bytes" in entry ? entry.bytes.length : entry.blob.size);
const pathOf = (digest: string) => `blobs/${digest.replace(":", "/")}`;
const json = (value: unknown) => Buffer.from(JSON.stringify(value));

function header(path: string, size: number): Buffer {
  const head = new Header({ path, size, type: "File", mode: 0o644, uid: 0, gid: 0, mtime: new Date(0) });
  const buffer = Buffer.alloc(block);
  if (head.encode(buffer, 0)) throw new Error(`${path} does not fit into a tar's header.`);
  return buffer;
}
