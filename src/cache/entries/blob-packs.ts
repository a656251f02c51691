import { createHash } from "node:crypto";
import * as z from "zod";
import { blobHex } from "../../registries/storage.ts";

/** Blobs that are kept in the cache together, under a key that is a hash of their names. */
export const packSchema = z.strictObject({
  // It is a path, too, which is removed in the end.
  key: z.string().regex(/^kind-action-blobs-v1-[0-9a-f]{32}$/),
  blobs: z.record(blobHex, z.int().nonnegative()),
});
export type BlobPack = z.infer<typeof packSchema>;

/** A part is as large as this, unless it is a single blob: some are on their way while others are unpacked. */
const partSize = 128_000_000;
/** With so many parts more than it takes, all is packed anew: what was added bit by bit is many small entries. */
const mostInExcess = 16;

/** The blobs that are kept where they do not all fit: those that were used, the small ones first. */
export function selectBlobs(
  blobs: ReadonlyMap<string, number>,
  used: ReadonlySet<string>,
  most: number,
): Map<string, number> {
  if (sum([...blobs.values()]) <= most) return new Map(blobs);
  const chosen = new Map<string, number>();
  let bytes = 0;
  const bySize = [...blobs].filter(([blob]) => used.has(blob)).toSorted(([, a], [, b]) => a - b);
  for (const [blob, size] of bySize) {
    if (bytes + size > most) break;
    chosen.set(blob, size);
    bytes += size;
  }
  return chosen;
}

/** What the cache is to hold, so that as much as possible is there already. */
export function planPacks(blobs: ReadonlyMap<string, number>, before: readonly BlobPack[]): BlobPack[] {
  const stay = before.filter((old) => Object.keys(old.blobs).every((blob) => blobs.has(blob)));
  const there = new Set(stay.flatMap((old) => Object.keys(old.blobs)));
  const added = pack([...blobs].filter(([blob]) => !there.has(blob)));
  const anew = pack([...blobs]);
  return stay.length + added.length > anew.length + mostInExcess ? anew : [...stay, ...added];
}

function pack(blobs: readonly (readonly [string, number])[]): BlobPack[] {
  const parts: { blobs: Record<string, number>; bytes: number }[] = [];
  for (const [blob, bytes] of blobs.toSorted(([a, of], [b, than]) => than - of || (a < b ? -1 : 1))) {
    const room = parts.find((each) => each.bytes + bytes <= partSize);
    if (room === undefined) parts.push({ blobs: { [blob]: bytes }, bytes });
    else {
      room.blobs[blob] = bytes;
      room.bytes += bytes;
    }
  }
  return parts.map((each) => ({
    key: `kind-action-blobs-v1-${hashLines(Object.keys(each.blobs).toSorted())}`,
    blobs: each.blobs,
  }));
}

/** Half a SHA-256 of lines, in hexadecimal: for keys. */
export const hashLines = (texts: readonly string[]): string =>
  createHash("sha256").update(texts.join("\n")).digest("hex").slice(0, 32);
export const sum = (numbers: readonly number[]): number =>
  numbers.reduce((total, number) => total + number, 0);
