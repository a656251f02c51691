import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { planPacks, selectBlobs } from "../../../src/cache/entries/blob-packs.ts";

type Part = ReturnType<typeof planPacks>[number];

const largestPart = 128_000_000;
const nameOf = (number: number) => createHash("sha256").update(String(number)).digest("hex");
const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, number) => total + number, 0);
const sizeOf = ({ blobs }: Part) => sum(Object.values(blobs));
const keysOf = (parts: readonly Part[]) => parts.map(({ key }) => key).toSorted();

/** Sizes as images have them, most of them small, and the edges. */
const size = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 50_000 }) },
  { weight: 3, arbitrary: fc.integer({ min: 1_000_000, max: 200_000_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 64_000_000, 64_000_001, largestPart, largestPart + 1, 5e9) },
);

/** Blobs by their names, with sizes that a name always has. */
const sizes = fc.array(size, { minLength: 1, maxLength: 60 });
const blobsOf = (all: readonly number[], of: readonly number[] = [...all.keys()]) =>
  new Map(of.map((number) => [nameOf(number), all[number] ?? 0] as const));

/** What a cache's parts have to be for these blobs, however they came about. */
function expectEach(blobs: ReadonlyMap<string, number>, parts: readonly Part[]): void {
  const packed = parts.flatMap((part) => Object.entries(part.blobs));
  expect(packed.length).toBe(blobs.size);
  expect(new Map(packed)).toEqual(blobs);
  for (const part of parts)
    expect(sizeOf(part) <= largestPart || Object.keys(part.blobs).length === 1).toBe(true);
  expect(new Set(keysOf(parts)).size).toBe(parts.length);
}

describe("the parts in which blobs are kept", () => {
  it("hold each blob once, and are no larger than 128 MB unless they are a single one", () => {
    fc.assert(
      fc.property(sizes, (all) => {
        expectEach(blobsOf(all), planPacks(blobsOf(all), []));
      }),
    );
  });

  it("are as few as it takes: no two of them fit into one", () => {
    fc.assert(
      fc.property(sizes, (all) => {
        const [least = 0, next = Number.POSITIVE_INFINITY] = planPacks(blobsOf(all), [])
          .map(sizeOf)
          .toSorted((a, b) => a - b);
        expect(least + next).toBeGreaterThan(largestPart);
      }),
    );
  });

  it("have keys that depend on what is in them, and on nothing else", () => {
    const shuffled = sizes.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray([...all.keys()], { minLength: all.length })),
    );
    fc.assert(
      fc.property(shuffled, ([all, order]) => {
        const parts = planPacks(blobsOf(all), []);
        expect(planPacks(blobsOf(all, order), [])).toEqual(parts);
        for (const { key, blobs } of parts) {
          expect(key).toMatch(/^kind-action-blobs-v1-[0-9a-f]{32}$/);
          expect(keysOf(planPacks(new Map(Object.entries(blobs)), []))).toEqual([key]);
        }
      }),
    );
  });

  it("stay right through any history, and what is there already is seldom sent again", () => {
    const history = sizes.chain((all) =>
      fc.tuple(fc.constant(all), fc.array(fc.subarray([...all.keys()]), { minLength: 1, maxLength: 40 })),
    );
    fc.assert(
      fc.property(history, ([all, steps]) => {
        let parts: readonly Part[] = [];
        for (const step of steps) {
          const blobs = blobsOf(all, step);
          const before = parts;
          parts = planPacks(blobs, before);
          expectEach(blobs, parts);
          const fewest = planPacks(blobs, []);
          expect(parts.length).toBeLessThanOrEqual(fewest.length + 16);
          const packedAnew = keysOf(parts).join() === keysOf(fewest).join();
          const stayed = before.filter((part) => Object.keys(part.blobs).every((blob) => blobs.has(blob)));
          if (!packedAnew) expect(keysOf(parts)).toEqual(expect.arrayContaining(keysOf(stayed)));
        }
      }),
      { numRuns: 50 },
    );
  });

  it("are the same for the same blobs: then nothing is sent", () => {
    fc.assert(
      fc.property(sizes, (all) => {
        const parts = planPacks(blobsOf(all), []);
        expect(planPacks(blobsOf(all), parts)).toEqual(parts);
      }),
    );
  });

  it("are the old ones, and one with what is new, also where much is kept", () => {
    const large = fc.array(fc.integer({ min: 60_000_000, max: 120_000_000 }), {
      minLength: 17,
      maxLength: 40,
    });
    fc.assert(
      fc.property(large, sizes, (before, small) => {
        const all = [...before, ...small];
        const parts = planPacks(blobsOf(before), []);
        const more = planPacks(blobsOf(all, [...before.keys(), before.length]), parts);
        expect(more.slice(0, -1)).toEqual(parts);
        expect(Object.keys(more.at(-1)?.blobs ?? {})).toEqual([nameOf(before.length)]);
      }),
    );
  });
});

describe("what is kept where there is a bound", () => {
  const choice = fc.tuple(sizes, fc.integer({ min: 0, max: 3e9 })).chain(([all, most]) =>
    fc.record({
      all: fc.constant(all),
      used: fc.subarray([...all.keys()]).map((numbers) => new Set(numbers.map(nameOf))),
      most: fc.constant(most),
    }),
  );

  it("is all of it where that fits", () => {
    fc.assert(
      fc.property(choice, ({ all, used }) => {
        expect(selectBlobs(blobsOf(all), used, sum(all))).toEqual(blobsOf(all));
      }),
    );
  });

  it("is otherwise what was used, as much as fits, the small ones first", () => {
    fc.assert(
      fc.property(choice, ({ all, used, most }) => {
        const blobs = blobsOf(all);
        fc.pre(sum(all) > most);
        const chosen = selectBlobs(blobs, used, most);
        const bytes = sum(chosen.values());
        expect(bytes).toBeLessThanOrEqual(most);
        for (const [blob, size] of chosen) {
          expect(used.has(blob)).toBe(true);
          expect(size).toBe(blobs.get(blob));
        }
        const largest = Math.max(0, ...chosen.values());
        for (const [blob, size] of blobs) {
          if (!used.has(blob) || chosen.has(blob)) continue;
          expect(size).toBeGreaterThanOrEqual(largest);
          expect(bytes + size).toBeGreaterThan(most);
        }
      }),
    );
  });
});
