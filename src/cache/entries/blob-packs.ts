import * as z from "zod";
import { sha256Hex } from "../../lib/sha256.ts";
import { blobHex } from "../../registries/storage.ts";

/** Blobs that are one cache entry. Its key is a hash of their digests. */
export const packSchema = z.strictObject({
  // Strict, because the key is also the path of a folder that is removed after use.
  key: z.string().regex(/^kind-action-blobs-v1-[0-9a-f]{32}$/),
  /** Sizes in bytes, by the blob's SHA-256. */
  blobs: z.record(blobHex, z.int().nonnegative()),
});
export type BlobPack = z.infer<typeof packSchema>;

/** The maximum size of a pack with several blobs, in bytes: some packs are downloaded while others are unpacked. */
const packBytes = 128_000_000;
/** With more excess packs than this, all blobs are packed again: each run that adds a few blobs adds a small pack. */
const maxExcessPacks = 16;

/** Selects the blobs to save: all if they fit, otherwise those that were used, the smallest first. */
export function selectBlobs(
  blobs: ReadonlyMap<string, number>,
  used: ReadonlySet<string>,
  maxBytes: number,
): Map<string, number> {
  if (sum(blobs.values()) <= maxBytes) return new Map(blobs);
  const chosen = new Map<string, number>();
  let bytes = 0;
  const bySize = [...blobs].filter(([blob]) => used.has(blob)).toSorted(([, a], [, b]) => a - b);
  for (const [blob, size] of bySize) {
    if (bytes + size > maxBytes) break;
    chosen.set(blob, size);
    bytes += size;
  }
  return chosen;
}

/** Distributes blobs over packs, and reuses as many packs of the cache as possible. */
export function planPacks(blobs: ReadonlyMap<string, number>, existing: readonly BlobPack[]): BlobPack[] {
  const reused = existing.filter((pack) => Object.keys(pack.blobs).every((blob) => blobs.has(blob)));
  const packed = new Set(reused.flatMap((pack) => Object.keys(pack.blobs)));
  const added = pack([...blobs].filter(([blob]) => !packed.has(blob)));
  const repacked = pack([...blobs]);
  return reused.length + added.length > repacked.length + maxExcessPacks ? repacked : [...reused, ...added];
}

/** Packs blobs, the largest first, each into the first pack with room for it. The same blobs give the same packs. */
function pack(blobs: readonly (readonly [string, number])[]): BlobPack[] {
  const packs: { blobs: Record<string, number>; bytes: number }[] = [];
  const bySize = blobs.toSorted(([a, sizeA], [b, sizeB]) => sizeB - sizeA || (a < b ? -1 : 1));
  for (const [blob, bytes] of bySize) {
    const target = packs.find((each) => each.bytes + bytes <= packBytes);
    if (target === undefined) packs.push({ blobs: { [blob]: bytes }, bytes });
    else {
      target.blobs[blob] = bytes;
      target.bytes += bytes;
    }
  }
  return packs.map((each) => ({
    key: `kind-action-blobs-v1-${hashLines(Object.keys(each.blobs).toSorted())}`,
    blobs: each.blobs,
  }));
}

/** Returns the first half of the SHA-256 of lines, in hexadecimal. */
export const hashLines = (lines: readonly string[]): string => sha256Hex(lines.join("\n")).slice(0, 32);

export const sum = (numbers: Iterable<number>): number =>
  [...numbers].reduce((total, each) => total + each, 0);
