import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { InvalidArchiveError } from "../../src/archive/errors.ts";
import type { ImageArchive } from "../../src/archive/image-archive.ts";
import { readArchive } from "../../src/archive/read-archive.ts";
import { normalizeReference } from "../../src/oci/reference.ts";
import { digestOf, writeArchive } from "./archives.ts";
import { mutatedArchive } from "./mutated-archives.ts";

/** The outcomes of {@link checkMutatedArchives}. */
export interface Outcomes {
  /** Archives that were read. */
  readonly read: number;
  /** Archives that were rejected. */
  readonly refused: number;
  /** Different reasons of rejections. */
  readonly reasons: number;
}

/** For one archive of some kilobytes, on a busy machine. */
const timeoutMs = 5_000;
/** Maximum growth of the process, in bytes. */
const maxGrowth = 512 * 1024 ** 2;

/**
 * Reads mutated archives of every layout, and checks that each is read correctly or rejected with an InvalidArchiveError:
 * no other error, no hang, no memory growth, no open or temporary files.
 *
 * @param seed the same seed generates the same archives; a failure prints it
 */
export async function checkMutatedArchives(runs: number, seed = 1): Promise<Outcomes> {
  const outcomes = { read: 0, refused: 0, reasons: new Set<string>() };
  const before = process.memoryUsage.rss();
  const property = fc.asyncProperty(mutatedArchive, async (archive) => {
    const folder = mkdtempSync(join(tmpdir(), "kind-action-mutated-"));
    try {
      const reason = await readMutated(writeArchive(folder, archive), mkdtempSync(join(folder, "scratch-")));
      if (reason === undefined) outcomes.read++;
      else {
        outcomes.refused++;
        outcomes.reasons.add(reason);
      }
      const open = readdirSync("/proc/self/fd").map(targetOf);
      check(!open.some((target) => target.startsWith(folder)), "left a file open");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    check(process.memoryUsage.rss() - before < maxGrowth, "grew the process");
  });
  await fc.assert(property, { numRuns: runs, seed });
  return { ...outcomes, reasons: outcomes.reasons.size };
}

/** @returns the reason of a rejection, without digests, numbers and names; undefined for an archive that was read */
async function readMutated(path: string, scratch: string): Promise<string | undefined> {
  const options = { platform: { os: "linux", architecture: "amd64" }, scratch };
  const stop = new AbortController();
  try {
    const timeout = sleep(timeoutMs, undefined, { signal: stop.signal }).then(() =>
      Promise.reject(new Error("hung")),
    );
    timeout.catch(() => {});
    checkArchive(await Promise.race([readArchive(path, options), timeout]), scratch);
    return undefined;
  } catch (error) {
    if (!(error instanceof InvalidArchiveError)) throw error;
    const prefix = `Could not load ${path}: `;
    check(error.message.startsWith(prefix), error.message);
    check(
      /^[ -~…]{20,900}$/.test(error.message.slice(prefix.length)),
      `is rejected with an unprintable message: ${error.message}`,
    );
    check(readdirSync(scratch).length === 0, "left a copy behind");
    return error.message.slice(prefix.length).replace(/\\u....|[0-9a-f]{4,}|\d+|"(?:[^"\\]|\\.)*"/g, "_");
  } finally {
    stop.abort();
  }
}

function checkArchive({ path, file, images }: ImageArchive, scratch: string): void {
  check(file === path || file === join(scratch, readdirSync(scratch)[0] ?? ""), `reads ${file}`);
  const { size: end } = statSync(file);
  check(images.length > 0, "has no images");
  check(new Set(images.map(({ target }) => target.digest)).size === images.length, "has an image twice");
  for (const { names, id, target, manifests, layers } of images) {
    check(
      names.length > 0 && names.every((name) => normalizeReference(name) === name),
      `has the names ${names}`,
    );
    check(manifests[0]?.digest === target.digest && manifests.at(-1)?.digest === id, "lacks a manifest");
    for (const { bytes, digest, size } of manifests) {
      check(digestOf(bytes) === digest && bytes.length === size, `has other content for ${digest}`);
    }
    for (const { offset = 0, size, digest } of layers) {
      check(Number.isSafeInteger(offset) && offset >= 0, `has a layer at ${offset}`);
      check(Number.isSafeInteger(size) && size >= 0, `has a layer of ${size} bytes`);
      check(/^sha256:[0-9a-f]{64}$/.test(digest), `has a layer with the digest ${digest}`);
    }
    const contained = layers.filter(({ offset }) => offset !== undefined);
    check(
      contained.every(({ offset = 0, size }) => offset + size <= end),
      "has a layer outside the file",
    );
  }
}

function check(holds: boolean, problem: string): void {
  if (!holds) throw new Error(`An archive ${problem}`);
}

function targetOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    // The descriptor of the listing itself.
    return "";
  }
}
