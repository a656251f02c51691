import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { Header } from "tar/header";
import { code, noise, ratio } from "./content.ts";

/** A layer that is to be made. */
export interface LayerRecipe {
  /** What its bytes grow from: layers of one name are one layer. */
  readonly name: string;
  /** Compressed, and about so many. */
  readonly bytes: number;
  /** How many files they are; 1 if not given. */
  readonly files?: number;
  /** Whether it also has a shell and the programs that go with it. */
  readonly shell?: boolean;
  /** A text that is at `/www/index.html`. */
  readonly page?: string;
}

export interface Layer {
  /** Compressed. */
  readonly content: Buffer;
  readonly digest: string;
  /** The digest of what is compressed. */
  readonly diffId: string;
}

/** What of a compressed layer is random. */
const randomShare = 0.55;

const level = 1;

/**
 * @param from.seed what else its bytes grow from
 * @param from.shell the root file system with the shell, as a tar
 */
export async function makeLayer(
  { name, bytes, files = 1, shell = false, page }: LayerRecipe,
  from: { readonly seed: string; readonly shell: Buffer },
): Promise<Layer> {
  const each = bytes / files;
  const parts = Array.from({ length: files }, (_, index) => {
    const seed = `${from.seed}/${name}/${index}`;
    return member(
      `opt/${name}/${index}`,
      noise(seed, Math.round(randomShare * each)),
      code(seed, Math.round((1 - randomShare) * ratio * each)),
    );
  }).flat();
  if (page !== undefined) parts.push(...member("www/index.html", Buffer.from(page)));
  const tar = Buffer.concat([...parts, shell ? from.shell : Buffer.alloc(2 * block)]);
  const content = await promisify(gzip)(tar, { level });
  return { content, digest: digestOf(content), diffId: digestOf(tar) };
}

export const digestOf = (content: Buffer): string =>
  `sha256:${createHash("sha256").update(content).digest("hex")}`;

const block = 512;

/** A file in a tar. */
export function member(path: string, ...content: readonly Buffer[]): Buffer[] {
  const size = content.reduce((sum, { length }) => sum + length, 0);
  const header = new Header({ path, size, type: "File", mode: 0o755, uid: 0, gid: 0, mtime: new Date(0) });
  const head = Buffer.alloc(block);
  if (header.encode(head, 0)) throw new Error(`${path} does not fit into a tar's header.`);
  return [head, ...content, Buffer.alloc((block - (size % block)) % block)];
}
