import { lstat, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type * as z from "zod";
import type { CacheStore } from "./transport/store.ts";

/** An index is a cache entry of one JSON file. It lists other cache entries and their contents. */
const indexFile = (store: CacheStore, path: string) => join(store.folder, path, "index.json");

/** The maximum size of an index in bytes: enough for about 100,000 blobs. */
const maxBytes = 20_000_000;

/** Reads a restored index. @throws Error when the file is not a valid index */
export async function readIndex<T>(store: CacheStore, path: string, schema: z.ZodType<T>): Promise<T> {
  const file = indexFile(store, path);
  const [folderStats, fileStats] = await Promise.all([lstat(join(store.folder, path)), lstat(file)]);
  // Accept regular files only: a FIFO never ends, and a symbolic link can lead out of the folder.
  if (!folderStats.isDirectory() || !fileStats.isFile() || fileStats.size > maxBytes)
    throw new Error("its index is not a regular file, or is too large");
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new Error("its index is not JSON", { cause: error });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new Error("its index is invalid", { cause: parsed.error });
  return parsed.data;
}

/** Writes an index that is to be saved, and replaces a restored one. @returns the text of the index */
export async function writeIndex(store: CacheStore, path: string, content: object): Promise<string> {
  const text = JSON.stringify(content);
  const folder = join(store.folder, path);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeFile(indexFile(store, path), text);
  return text;
}
