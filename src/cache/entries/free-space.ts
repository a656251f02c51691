import { statfs } from "node:fs/promises";
import { formatBytes } from "../../lib/units.ts";

/** Bytes that stay free, because other programs use the same disk. */
const reservedBytes = 500_000_000;

/**
 * Checks whether the disk of a folder has enough free space.
 *
 * @param bytes the space that is needed, including that for packing or unpacking
 * @returns undefined if there is enough; otherwise a clause that says how much is missing
 */
export async function lackOfSpace(folder: string, bytes: number): Promise<string | undefined> {
  const { bavail, bsize } = await statfs(folder);
  const freeBytes = bavail * bsize;
  if (freeBytes >= bytes + reservedBytes) return undefined;
  return `restoring needs ${formatBytes(bytes)} of disk space, and ${formatBytes(freeBytes)} is free`;
}
