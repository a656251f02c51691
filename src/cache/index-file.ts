import { lstat, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type * as z from "zod";
import type { CacheStore } from "./transport/store.ts";

/** An index is an entry of one file of JSON: it tells which other entries there are, and what is in them. */
const fileOf = (cache: CacheStore, path: string) => join(cache.folder, path, "index.json");

/** The longest that is read, in bytes: one of some 100,000 blobs. */
const longest = 20_000_000;

/** Reads an index that was restored. @throws when it is not what it should be */
export async function readIndex<T>(cache: CacheStore, path: string, schema: z.ZodType<T>): Promise<T> {
  const file = fileOf(cache, path);
  const [folder, found] = await Promise.all([lstat(join(cache.folder, path)), lstat(file)]);
  // What is no file may have no end, and a link may lead anywhere.
  if (!folder.isDirectory() || !found.isFile() || found.size > longest)
    throw new Error("its index is no file, or too large");
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new Error("its index is not JSON", { cause: error });
  }
  const read = schema.safeParse(json);
  if (!read.success) throw new Error("its index is not what it should be", { cause: read.error });
  return read.data;
}

/** Lays out an index that is to be saved, in the place of whatever was restored. @returns its text */
export async function writeIndex(cache: CacheStore, path: string, content: object): Promise<string> {
  const text = JSON.stringify(content);
  const folder = join(cache.folder, path);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeFile(fileOf(cache, path), text);
  return text;
}
