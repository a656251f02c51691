import { stat } from "node:fs/promises";

/** How the container that links tells files apart, for GNU `stat --format`. */
export const identityFormat = "%i %s %.9Y";

/** A file's inode, size and time of its last change: the same text here and in {@link identityFormat} is the same content. */
export async function identityOf(file: string): Promise<string> {
  const { ino, size, mtimeNs } = await stat(file, { bigint: true });
  const nanoseconds = String(mtimeNs % 1_000_000_000n).padStart(9, "0");
  return `${ino} ${size} ${mtimeNs / 1_000_000_000n}.${nanoseconds}`;
}
