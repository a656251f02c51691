import { describe, expect, it } from "vitest";
import { checkMutatedArchives } from "./mutations.ts";

describe("readArchive", () => {
  it("reads or rejects each of 200 mutated archives", { timeout: 60_000 }, async () => {
    const { read, refused, reasons } = await checkMutatedArchives(200);
    expect(read + refused).toBe(200);
    // Otherwise all mutations would have the same effect.
    expect(read).toBeGreaterThan(20);
    expect(reasons).toBeGreaterThan(20);
  });
});
