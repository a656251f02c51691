import { createHash, randomInt, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { BlockBlob } from "./block-blob.ts";

/** Something that was uploaded completely. */
export interface Entry<Details> {
  /** Names its folder. */
  readonly id: string;
  /** Names it to clients, and grows with time. */
  readonly number: number;
  readonly details: Details;
}

/**
 * A folder of entries, each a folder of its own. Several services may work on one: whoever makes an entry's folder
 * first has reserved it, and the entry exists for all once its `entry.json` is there. Entries never go away.
 */
export class EntryStore<Details> {
  readonly #folder: string;
  readonly #schema: z.ZodType<{ number: number; details: Details }>;

  constructor(folder: string, details: z.ZodType<Details>) {
    this.#folder = folder;
    this.#schema = z.object({ number: z.number(), details });
  }

  /** The id of what has these names. They may be long and hold any character, so a hash stands for them. */
  idOf(...names: readonly string[]): string {
    return createHash("sha256").update(JSON.stringify(names)).digest("hex");
  }

  /** What is or will be uploaded for an entry. */
  blob(id: string): BlockBlob {
    return new BlockBlob(join(this.#folder, id));
  }

  /** False when it was reserved before, by whomever. */
  async reserve(id: string): Promise<boolean> {
    await mkdir(this.#folder, { recursive: true });
    return mkdir(join(this.#folder, id)).then(() => true, whenErrno("EEXIST", false));
  }

  /** Makes a reserved entry visible. */
  async publish(id: string, details: Details): Promise<Entry<Details>> {
    const number = Date.now() * 1000 + randomInt(1000);
    const draft = join(this.#folder, id, `entry-${randomUUID()}.json`);
    await writeFile(draft, JSON.stringify({ number, details }));
    await rename(draft, join(this.#folder, id, "entry.json"));
    return { id, number, details };
  }

  /** Every entry, the newest first. */
  async list(): Promise<Entry<Details>[]> {
    const ids = await readdir(this.#folder).catch(whenErrno("ENOENT", []));
    const entries = await Promise.all(ids.map((id) => this.#find(id)));
    return entries.filter((entry) => entry !== undefined).sort((a, b) => b.number - a.number);
  }

  async #find(id: string): Promise<Entry<Details> | undefined> {
    const file = join(this.#folder, id, "entry.json");
    const text = await readFile(file, "utf8").catch(whenErrno("ENOENT", undefined));
    return text === undefined ? undefined : { id, ...this.#schema.parse(JSON.parse(text)) };
  }
}

/** Turns a system error into a value. */
function whenErrno<T>(code: string, value: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Error && "code" in error && error.code === code) return value;
    throw error;
  };
}
