import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { planPacks, selectBlobs } from "../../../src/cache/entries/blob-packs.ts";

type Pack = ReturnType<typeof planPacks>[number];

const maxPackBytes = 128_000_000;
const nameOf = (number: number) => createHash("sha256").update(String(number)).digest("hex");
const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, number) => total + number, 0);
const sizeOf = ({ blobs }: Pack) => sum(Object.values(blobs));
const keysOf = (packs: readonly Pack[]) => packs.map(({ key }) => key).toSorted();

/** Sizes of blobs as in images, most of them small, and limits. */
const size = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 50_000 }) },
  { weight: 3, arbitrary: fc.integer({ min: 1_000_000, max: 200_000_000 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0, 1, 64_000_000, 64_000_001, maxPackBytes, maxPackBytes + 1, 5e9),
  },
);

/** Blobs with sizes that depend on their names only. */
const sizes = fc.array(size, { minLength: 1, maxLength: 60 });
const blobsOf = (all: readonly number[], selected: readonly number[] = [...all.keys()]) =>
  new Map(selected.map((number) => [nameOf(number), all[number] ?? 0] as const));

/** Checks that packs contain all blobs once and respect the maximum size. */
function expectPacked(blobs: ReadonlyMap<string, number>, packs: readonly Pack[]): void {
  const packed = packs.flatMap((pack) => Object.entries(pack.blobs));
  expect(packed.length).toBe(blobs.size);
  expect(new Map(packed)).toEqual(blobs);
  for (const pack of packs)
    expect(sizeOf(pack) <= maxPackBytes || Object.keys(pack.blobs).length === 1).toBe(true);
  expect(new Set(keysOf(packs)).size).toBe(packs.length);
}

describe("planPacks", () => {
  it("packs each blob once, into packs of at maxBytes 128 MB unless a blob is larger", () => {
    fc.assert(
      fc.property(sizes, (all) => {
        expectPacked(blobsOf(all), planPacks(blobsOf(all), []));
      }),
    );
  });

  it("fills packs so that no two of them fit into one", () => {
    fc.assert(
      fc.property(sizes, (all) => {
        const [least = 0, next = Number.POSITIVE_INFINITY] = planPacks(blobsOf(all), [])
          .map(sizeOf)
          .toSorted((a, b) => a - b);
        expect(least + next).toBeGreaterThan(maxPackBytes);
      }),
    );
  });

  it("gives packs keys that depend only on their blobs", () => {
    const shuffled = sizes.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray([...all.keys()], { minLength: all.length })),
    );
    fc.assert(
      fc.property(shuffled, ([all, order]) => {
        const packs = planPacks(blobsOf(all), []);
        expect(planPacks(blobsOf(all, order), [])).toEqual(packs);
        for (const { key, blobs } of packs) {
          expect(key).toMatch(/^kind-action-blobs-v1-[0-9a-f]{32}$/);
          expect(keysOf(planPacks(new Map(Object.entries(blobs)), []))).toEqual([key]);
        }
      }),
    );
  });

  it("reuses packs after any sequence of runs, and packs all blobs again after too many", () => {
    const history = sizes.chain((all) =>
      fc.tuple(fc.constant(all), fc.array(fc.subarray([...all.keys()]), { minLength: 1, maxLength: 40 })),
    );
    fc.assert(
      fc.property(history, ([all, steps]) => {
        let packs: readonly Pack[] = [];
        for (const step of steps) {
          const blobs = blobsOf(all, step);
          const before = packs;
          packs = planPacks(blobs, before);
          expectPacked(blobs, packs);
          const fewest = planPacks(blobs, []);
          expect(packs.length).toBeLessThanOrEqual(fewest.length + 16);
          const isRepacked = keysOf(packs).join() === keysOf(fewest).join();
          const reusable = before.filter((pack) => Object.keys(pack.blobs).every((blob) => blobs.has(blob)));
          if (!isRepacked) expect(keysOf(packs)).toEqual(expect.arrayContaining(keysOf(reusable)));
        }
      }),
      { numRuns: 50 },
    );
  });

  it("returns the existing packs for the same blobs", () => {
    fc.assert(
      fc.property(sizes, (all) => {
        const packs = planPacks(blobsOf(all), []);
        expect(planPacks(blobsOf(all), packs)).toEqual(packs);
      }),
    );
  });

  it("adds one pack for a new blob, even if there are many packs", () => {
    const large = fc.array(fc.integer({ min: 60_000_000, max: 120_000_000 }), {
      minLength: 17,
      maxLength: 40,
    });
    fc.assert(
      fc.property(large, sizes, (before, small) => {
        const all = [...before, ...small];
        const packs = planPacks(blobsOf(before), []);
        const more = planPacks(blobsOf(all, [...before.keys(), before.length]), packs);
        expect(more.slice(0, -1)).toEqual(packs);
        expect(Object.keys(more.at(-1)?.blobs ?? {})).toEqual([nameOf(before.length)]);
      }),
    );
  });
});

describe("selectBlobs", () => {
  const choice = fc.tuple(sizes, fc.integer({ min: 0, max: 3e9 })).chain(([all, maxBytes]) =>
    fc.record({
      all: fc.constant(all),
      used: fc.subarray([...all.keys()]).map((numbers) => new Set(numbers.map(nameOf))),
      maxBytes: fc.constant(maxBytes),
    }),
  );

  it("selects all blobs if they fit", () => {
    fc.assert(
      fc.property(choice, ({ all, used }) => {
        expect(selectBlobs(blobsOf(all), used, sum(all))).toEqual(blobsOf(all));
      }),
    );
  });

  it("otherwise selects used blobs that fit, the smallest first", () => {
    fc.assert(
      fc.property(choice, ({ all, used, maxBytes }) => {
        const blobs = blobsOf(all);
        fc.pre(sum(all) > maxBytes);
        const chosen = selectBlobs(blobs, used, maxBytes);
        const bytes = sum(chosen.values());
        expect(bytes).toBeLessThanOrEqual(maxBytes);
        for (const [blob, size] of chosen) {
          expect(used.has(blob)).toBe(true);
          expect(size).toBe(blobs.get(blob));
        }
        const largest = Math.max(0, ...chosen.values());
        for (const [blob, size] of blobs) {
          if (!used.has(blob) || chosen.has(blob)) continue;
          expect(size).toBeGreaterThanOrEqual(largest);
          expect(bytes + size).toBeGreaterThan(maxBytes);
        }
      }),
    );
  });
});
