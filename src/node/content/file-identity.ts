import { stat } from "node:fs/promises";

/**
 * Returns the inode, size and modification time of a file, as `stat --format "%i %s %.9Y"` prints them
 * (scripts/hardlink-commands.sh): files with equal identities have the same content.
 */
export async function identityOf(file: string): Promise<string> {
  const { ino, size, mtimeNs } = await stat(file, { bigint: true });
  const nanoseconds = String(mtimeNs % 1_000_000_000n).padStart(9, "0");
  return `${ino} ${size} ${mtimeNs / 1_000_000_000n}.${nanoseconds}`;
}
