import { describe, expect, it } from "vitest";
import { mapConcurrently } from "../../src/lib/concurrency.ts";

describe("mapConcurrently", () => {
  it("returns the results in the order of the items", async () => {
    const gates = [1, 2, 3].map(() => Promise.withResolvers<void>());
    const results = mapConcurrently([0, 1, 2], 3, async (index) => {
      await gates[index]?.promise;
      return `result ${index}`;
    });
    for (const gate of gates.toReversed()) {
      gate.resolve();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await results).toEqual(["result 0", "result 1", "result 2"]);
  });

  it("makes at most that many calls at a time", async () => {
    let running = 0;
    let maximum = 0;
    const items = Array.from({ length: 20 }, (_, index) => index);
    const results = await mapConcurrently(items, 4, async (item) => {
      maximum = Math.max(maximum, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return item;
    });
    expect(results).toEqual(items);
    expect(maximum).toBe(4);
  });

  it("fails with the first error", async () => {
    const work = async (item: number) => {
      if (item === 2) throw new Error(`item ${item}`);
      return item;
    };
    await expect(mapConcurrently([1, 2, 3], 2, work)).rejects.toThrow("item 2");
  });

  it("returns no results for no items", async () => {
    expect(await mapConcurrently([], 3, () => Promise.reject(new Error("not called")))).toEqual([]);
  });
});
