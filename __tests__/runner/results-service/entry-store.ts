import { createHash, randomInt, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

/** Something that was uploaded completely. */
export interface Entry<Details> {
  /** Names its folder. */
  readonly id: string;
  /** Names it to clients, and grows with time. */
  readonly number: number;
  readonly createdAt: string;
  readonly details: Details;
}

/**
 * A folder of entries, each a folder of its own. Several services may work on one: whoever makes an entry's folder
 * first has reserved it, and the entry exists for all once its `entry.json` is there.
 */
export class EntryStore<Details> {
  readonly #folder: string;
  readonly #schema: z.ZodType<{ number: number; createdAt: string; details: Details }>;

  constructor(folder: string, details: z.ZodType<Details>) {
    this.#folder = folder;
    this.#schema = z.object({ number: z.number(), createdAt: z.string(), details });
  }

  /** The id of what has these names. They may be long and hold any character, so a hash stands for them. */
  idOf(...names: readonly string[]): string {
    return createHash("sha256").update(JSON.stringify(names)).digest("hex");
  }

  folderOf(id: string): string {
    return join(this.#folder, id);
  }

  /** False when it was reserved before, by whomever. */
  async reserve(id: string): Promise<boolean> {
    await mkdir(this.#folder, { recursive: true });
    try {
      await mkdir(this.folderOf(id));
      return true;
    } catch (error) {
      if (isErrno(error, "EEXIST")) return false;
      throw error;
    }
  }

  /** Makes a reserved entry visible. */
  async publish(id: string, details: Details): Promise<Entry<Details>> {
    const number = Date.now() * 1000 + randomInt(1000);
    const createdAt = new Date().toISOString();
    const draft = join(this.folderOf(id), `entry-${randomUUID()}.json`);
    await writeFile(draft, JSON.stringify({ number, createdAt, details }));
    await rename(draft, this.#file(id));
    return { id, number, createdAt, details };
  }

  /** Every entry, the newest first. */
  async list(): Promise<Entry<Details>[]> {
    const ids = await readdir(this.#folder).catch(whenMissing([]));
    const entries = await Promise.all(ids.map((id) => this.find(id)));
    return entries.filter((entry) => entry !== undefined).sort((a, b) => b.number - a.number);
  }

  async find(id: string): Promise<Entry<Details> | undefined> {
    const text = await readFile(this.#file(id), "utf8").catch(whenMissing(undefined));
    return text === undefined ? undefined : { id, ...this.#schema.parse(JSON.parse(text)) };
  }

  async remove(id: string): Promise<void> {
    await rm(this.folderOf(id), { recursive: true, force: true });
  }

  #file(id: string): string {
    return join(this.folderOf(id), "entry.json");
  }
}

/** Turns "no such file" into a value. */
export function whenMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (isErrno(error, "ENOENT")) return value;
    throw error;
  };
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
