import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { BadArchive, type ImageArchive, readArchive } from "../../src/images/archive.ts";
import { fullName } from "../../src/images/reference.ts";
import {
  compressed,
  digestOf,
  dockerSaveNew,
  dockerSaveOld,
  goContainerRegistry,
  json,
  named,
  ociImage,
  ociIndex,
  ociLayout,
  sample,
  writeArchive,
} from "./archives.ts";
import { type Member, pax, summed, tar } from "./tar-files.ts";

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
    if (!(error instanceof BadArchive)) throw error;
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
  for (const { names, id, target, documents, layers } of images) {
    demand(names.length > 0 && names.every((name) => fullName(name) === name), `has the names ${names}`);
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

const [web, arm] = [sample("web"), sample("arm", { platform: "linux/arm64" })];
const amdImage = ociImage(web, "zstd");
const index = ociIndex([
  { of: ociImage(arm).manifest, platform: "linux/arm64" },
  { of: amdImage.manifest, platform: "linux/amd64" },
  { of: ociImage(arm).manifest, platform: "unknown/unknown" },
]);
const outer = ociIndex([{ of: index }]);

/** An archive of every layout: mutations of them reach all that there is to be read. */
const layouts: readonly (readonly Member[])[] = [
  dockerSaveOld([
    { image: web, tags: ["web:1", "localhost/web"] },
    { image: sample("web", { layers: 3 }), tags: ["ghcr.io/shop/web:2"] },
  ]),
  dockerSaveOld([{ image: web, tags: ["web:1"] }]).flatMap((member) =>
    member.kind === undefined
      ? [pax({ path: member.name, size: String(member.content?.length) }), member]
      : [member],
  ),
  goContainerRegistry([{ image: web, tags: ["web:1"] }]),
  dockerSaveNew([{ image: web, tags: ["web:1", "web:2"] }]),
  ociLayout([{ ...ociImage(web).manifest.descriptor, ...named("web:1") }], ociImage(web).blobs),
  ociLayout([{ ...outer.descriptor, ...named("web:1") }], [outer, index, ...amdImage.blobs]),
];

/** Where, between 0 and 1: what there is to choose from differs from archive to archive. */
const place = fc.noBias(fc.nat(999_999)).map((part) => part / 1_000_000);
const at = <T>(things: readonly T[], where: number): T | undefined =>
  things[Math.floor(where * things.length)];

const hostile = fc.oneof(
  fc.constantFrom<unknown>(
    ...[
      null,
      true,
      -1,
      0,
      1.5,
      1e300,
      2 ** 53,
      "",
      "\0",
      "::error::\n\u202e",
      "../../etc/passwd",
      "x".repeat(5_000),
    ],
    ...[
      [],
      {},
      [null],
      [[]],
      JSON.parse('{"__proto__": {"digest": 1}}'),
      `sha256:${"0".repeat(64)}`,
      `sha512:${"0".repeat(128)}`,
    ],
    ...[
      "linux",
      "unknown",
      "windows",
      "web:2",
      "application/vnd.oci.image.index.v1+json",
      "application/json",
    ],
  ),
  fc.jsonValue(),
);
const jsonMutation = fc.record({
  member: place,
  value: place,
  put: hostile,
  drop: fc.boolean(),
  repair: fc.boolean(),
});
const byteMutation = fc.record({
  kind: fc.constantFrom("flip", "flip", "cut", "remove", "repeat", "insert", "header", "header"),
  where: place,
  length: fc.integer({ min: 1, max: 2_000 }),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }),
});
type ByteMutation = typeof byteMutation extends fc.Arbitrary<infer T> ? T : never;

const mutatedArchive = fc
  .record({
    members: fc.constantFrom(...layouts),
    documents: fc.array(jsonMutation, { maxLength: 2 }),
    plain: fc.array(byteMutation, { maxLength: 2 }),
    compression: fc.constantFrom("none", "none", "gzip", "zstd"),
    packed: fc.array(byteMutation, { maxLength: 1 }),
  })
  .map(({ members, documents, plain, compression, packed }) => {
    const mutated = tar(documents.reduce(mutateDocument, members));
    return packed.reduce(mutateBytes, compressed(plain.reduce(mutateBytes, mutated), compression));
  });

/** Puts something else in the place of a value of one document, and mends what refers to the document if asked to. */
function mutateDocument(
  members: readonly Member[],
  { member, value, put, drop, repair }: typeof jsonMutation extends fc.Arbitrary<infer T> ? T : never,
): readonly Member[] {
  const documents = members.filter(
    ({ content }) => content !== undefined && /^[[{]/.test(String(content.subarray(0, 1))),
  );
  const chosen = at(documents, member);
  if (chosen?.content === undefined) return members;
  const document: unknown = parsed(chosen.content);
  const spots = spotsIn(document);
  const spot = at(spots, value);
  if (spot === undefined) return members;
  if (drop) Reflect.deleteProperty(spot.parent, spot.key);
  else Reflect.set(spot.parent, spot.key, put);
  const content = json(document);
  const changed = members.map((each) => (each === chosen ? { ...each, content } : each));
  return repair ? repaired(changed, chosen.content, content) : changed;
}

function parsed(content: Buffer): unknown {
  try {
    return JSON.parse(String(content));
  } catch {
    return undefined;
  }
}

function spotsIn(document: unknown): { parent: object; key: string }[] {
  if (typeof document !== "object" || document === null) return [];
  return Object.entries(document).flatMap(([key, value]) => [{ parent: document, key }, ...spotsIn(value)]);
}

/** Lets every name, digest and size that was of a document's old content be of its new one. */
function repaired(members: readonly Member[], old: Buffer, content: Buffer): readonly Member[] {
  const [was, is] = [digestOf(old).slice(7), digestOf(content).slice(7)];
  let mended = members.map((member) => ({ ...member, name: member.name.replace(was, is) }));
  for (const { content: text } of mended) {
    if (text === undefined || text === content || !text.includes(was)) continue;
    const next = Buffer.from(
      String(text)
        .replaceAll(`${was}","size":${old.length}`, `${is}","size":${content.length}`)
        .replaceAll(was, is),
    );
    mended = mended.map((member) => (member.content === text ? { ...member, content: next } : member));
    mended = [...repaired(mended, text, next)];
  }
  return mended;
}

function mutateBytes(archive: Buffer, { kind, where, length, bytes }: ByteMutation): Buffer {
  const position = Math.floor(where * archive.length);
  const [head, tail] = [archive.subarray(0, position), archive.subarray(position)];
  const block = position - (position % 512);
  switch (kind) {
    case "cut":
      return head;
    case "remove":
      return Buffer.concat([head, tail.subarray(length)]);
    case "repeat":
      return Buffer.concat([archive.subarray(0, block + 512), archive.subarray(block)]);
    case "insert":
      return Buffer.concat([head, bytes, tail]);
    case "header": {
      // Every field is as likely: name, mode, size, sum, type, target, magic.
      const mutated = Buffer.from(archive);
      const field = at([0, 100, 124, 148, 156, 157, 257, 345], length / 2_001) ?? 0;
      mutated.set(
        bytes.subarray(0, Math.max(0, archive.length - block - field)),
        Math.min(block + field, archive.length),
      );
      if (archive.length - block >= 512 && field !== 148) summed(mutated.subarray(block, block + 512));
      return mutated;
    }
    default: {
      const mutated = Buffer.from(archive);
      bytes.forEach((byte, index) => {
        if (position + index < mutated.length) mutated[position + index] = byte;
      });
      return mutated;
    }
  }
}
