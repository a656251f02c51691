import fc from "fast-check";
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
} from "./archives.ts";
import { type Member, pax, tar, withChecksum } from "./tar-files.ts";

const [web, arm] = [sample("web"), sample("arm", { platform: "linux/arm64" })];
const amdImage = ociImage(web, "zstd");
const index = ociIndex([
  { of: ociImage(arm).manifest, platform: "linux/arm64" },
  { of: amdImage.manifest, platform: "linux/amd64" },
  { of: ociImage(arm).manifest, platform: "unknown/unknown" },
]);
const outer = ociIndex([{ of: index }]);

/** An archive of every layout, so that mutations reach every field that is read. */
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

/** A relative position between 0 and 1: archives have different numbers of values. */
const position = fc.noBias(fc.nat(999_999)).map((part) => part / 1_000_000);
const at = <T>(items: readonly T[], relative: number): T | undefined =>
  items[Math.floor(relative * items.length)];

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
  member: position,
  value: position,
  replacement: hostile,
  drop: fc.boolean(),
  repair: fc.boolean(),
});
const byteMutation = fc.record({
  kind: fc.constantFrom("flip", "flip", "cut", "remove", "repeat", "insert", "header", "header"),
  where: position,
  length: fc.integer({ min: 1, max: 2_000 }),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }),
});
type ByteMutation = typeof byteMutation extends fc.Arbitrary<infer T> ? T : never;

/**
 * Mutated archives: JSON values replaced (in half of them with all digests updated), bytes and header fields changed, parts
 * removed, repeated and inserted, before and after compression.
 */
export const mutatedArchive: fc.Arbitrary<Buffer> = fc
  .record({
    members: fc.constantFrom(...layouts),
    jsonFiles: fc.array(jsonMutation, { maxLength: 2 }),
    plain: fc.array(byteMutation, { maxLength: 2 }),
    compression: fc.constantFrom("none", "none", "gzip", "zstd"),
    packed: fc.array(byteMutation, { maxLength: 1 }),
  })
  .map(({ members, jsonFiles, plain, compression, packed }) => {
    const mutated = tar(jsonFiles.reduce(mutateJson, members));
    return packed.reduce(mutateBytes, compressed(plain.reduce(mutateBytes, mutated), compression));
  });

/** Replaces or deletes a value of one JSON file, and updates the references to the file if `repair` is set. */
function mutateJson(
  members: readonly Member[],
  { member, value, replacement, drop, repair }: typeof jsonMutation extends fc.Arbitrary<infer T> ? T : never,
): readonly Member[] {
  const jsonFiles = members.filter(
    ({ content }) => content !== undefined && /^[[{]/.test(String(content.subarray(0, 1))),
  );
  const chosen = at(jsonFiles, member);
  if (chosen?.content === undefined) return members;
  const root: unknown = parsed(chosen.content);
  const spots = spotsIn(root);
  const spot = at(spots, value);
  if (spot === undefined) return members;
  if (drop) Reflect.deleteProperty(spot.parent, spot.key);
  else Reflect.set(spot.parent, spot.key, replacement);
  const content = json(root);
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

function spotsIn(value: unknown): { parent: object; key: string }[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [{ parent: value, key }, ...spotsIn(child)]);
}

/** Updates every name, digest and size of a JSON file after a change of its content. */
function repaired(members: readonly Member[], old: Buffer, content: Buffer): readonly Member[] {
  const [oldHex, newHex] = [digestOf(old).slice(7), digestOf(content).slice(7)];
  let updated = members.map((member) => ({ ...member, name: member.name.replace(oldHex, newHex) }));
  for (const { content: text } of updated) {
    if (text === undefined || text === content || !text.includes(oldHex)) continue;
    const next = Buffer.from(
      String(text)
        .replaceAll(`${oldHex}","size":${old.length}`, `${newHex}","size":${content.length}`)
        .replaceAll(oldHex, newHex),
    );
    updated = updated.map((member) => (member.content === text ? { ...member, content: next } : member));
    updated = [...repaired(updated, text, next)];
  }
  return updated;
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
      // Every field with the same probability: name, mode, size, checksum, type, target, magic.
      const mutated = Buffer.from(archive);
      const field = at([0, 100, 124, 148, 156, 157, 257, 345], length / 2_001) ?? 0;
      mutated.set(
        bytes.subarray(0, Math.max(0, archive.length - block - field)),
        Math.min(block + field, archive.length),
      );
      if (archive.length - block >= 512 && field !== 148) withChecksum(mutated.subarray(block, block + 512));
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
