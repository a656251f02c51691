import { expect, it } from "vitest";
import { checkMutatedArchives } from "./mutations.ts";

it("reads a damaged archive rightly, or refuses it by name: 200 of them", { timeout: 60_000 }, async () => {
  const { read, refused, reasons } = await checkMutatedArchives(200);
  expect(read + refused).toBe(200);
  // Otherwise the damage would be all of one kind.
  expect(read).toBeGreaterThan(20);
  expect(reasons).toBeGreaterThan(20);
});
