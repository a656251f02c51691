import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { type ImageArchive, InvalidArchiveError, readArchive } from "../../src/archive/read-archive.ts";
import { normalizeReference } from "../../src/oci/reference.ts";
import { digestOf, writeArchive } from "./archives.ts";
import { mutatedArchive } from "./mutated-archives.ts";

/** What became of the archives: how many were read, how many refused, and for how many different reasons. */
export interface Outcomes {
  readonly read: number;
  readonly refused: number;
  readonly reasons: number;
}

/** What one archive may take: they have some kilobytes, but the machine may be busy. */
const deadline = 5_000;
/** By how much the process may have grown at the end of any run. */
const mostGrowth = 512 * 1024 ** 2;

/**
 * Reads archives of every layout that were damaged in many ways, and checks that each is read rightly or refused by name:
 * no other error, no hang, no growth, nothing left open or lying about.
 *
 * @param seed the same gives the same archives; a failure says which it was
 */
export async function checkMutatedArchives(runs: number, seed = 1): Promise<Outcomes> {
  const outcomes = { read: 0, refused: 0, reasons: new Set<string>() };
  const before = process.memoryUsage.rss();
  const property = fc.asyncProperty(mutatedArchive, async (archive) => {
    const folder = mkdtempSync(join(tmpdir(), "kind-action-mutated-"));
    try {
      const reason = await check(writeArchive(folder, archive), mkdtempSync(join(folder, "scratch-")));
      if (reason === undefined) outcomes.read++;
      else {
        outcomes.refused++;
        outcomes.reasons.add(reason);
      }
      const open = readdirSync("/proc/self/fd").map(targetOf);
      demand(!open.some((target) => target.startsWith(folder)), "left a file open");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    demand(process.memoryUsage.rss() - before < mostGrowth, "grew the process");
  });
  await fc.assert(property, { numRuns: runs, seed });
  return { ...outcomes, reasons: outcomes.reasons.size };
}

/** @returns the reason of a refusal, without what differs from archive to archive; undefined for an archive that was read */
async function check(path: string, scratch: string): Promise<string | undefined> {
  const on = { platform: { os: "linux", architecture: "amd64" }, scratch };
  const stop = new AbortController();
  try {
    const late = sleep(deadline, undefined, { signal: stop.signal }).then(() =>
      Promise.reject(new Error("hung")),
    );
    late.catch(() => {});
    checkArchive(await Promise.race([readArchive(path, on), late]), scratch);
    return undefined;
  } catch (error) {
    if (!(error instanceof InvalidArchiveError)) throw error;
    const said = `${path} cannot be loaded: `;
    demand(error.message.startsWith(said), error.message);
    demand(/^[ -~…]{20,900}$/.test(error.message.slice(said.length)), `not fit for a log: ${error.message}`);
    demand(readdirSync(scratch).length === 0, "left a copy behind");
    return error.message.slice(said.length).replace(/\\u....|[0-9a-f]{4,}|\d+|"(?:[^"\\]|\\.)*"/g, "_");
  } finally {
    stop.abort();
  }
}

function checkArchive({ path, file, images }: ImageArchive, scratch: string): void {
  demand(file === path || file === join(scratch, readdirSync(scratch)[0] ?? ""), `reads ${file}`);
  const { size: end } = statSync(file);
  demand(images.length > 0, "has no images");
  demand(new Set(images.map(({ target }) => target.digest)).size === images.length, "has an image twice");
  for (const { names, id, target, manifests: documents, layers } of images) {
    demand(
      names.length > 0 && names.every((name) => normalizeReference(name) === name),
      `has the names ${names}`,
    );
    demand(documents[0]?.digest === target.digest && documents.at(-1)?.digest === id, "misses a document");
    for (const { bytes, digest, size } of documents) {
      demand(digestOf(bytes) === digest && bytes.length === size, `has another document for ${digest}`);
    }
    for (const { offset = 0, size, digest } of layers) {
      demand(Number.isSafeInteger(offset) && offset >= 0, `has a layer at ${offset}`);
      demand(Number.isSafeInteger(size) && size >= 0, `has a layer of ${size} bytes`);
      demand(/^sha256:[0-9a-f]{64}$/.test(digest), `has a layer with the digest ${digest}`);
    }
    const brought = layers.filter(({ offset }) => offset !== undefined);
    demand(
      brought.every(({ offset = 0, size }) => offset + size <= end),
      "has a layer outside of the file",
    );
  }
}

function demand(holds: boolean, problem: string): void {
  if (!holds) throw new Error(`An archive ${problem}`);
}

function targetOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    // It was the listing's own.
    return "";
  }
}
