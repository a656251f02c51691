import { describe, expect, it } from "vitest";
import { poll, withTimeout } from "../../src/lib/poll.ts";

/** A function that returns undefined a number of times, then the number of its calls. */
function afterCalls(count: number) {
  let calls = 0;
  return async () => (++calls > count ? calls : undefined);
}

describe("poll", () => {
  it("returns the first value of the function", async () => {
    expect(await poll(afterCalls(0), { intervalMs: 1, timeoutMs: 0 })).toBe(1);
    expect(await poll(afterCalls(3), { intervalMs: 1, timeoutMs: 10_000 })).toBe(4);
  });

  it.each([false, 0, "", null])("takes %j for a value", async (value) => {
    expect(await poll(async () => value, { intervalMs: 1, timeoutMs: 0 })).toBe(value);
  });

  it("returns undefined after the timeout", async () => {
    expect(
      await poll(afterCalls(Number.POSITIVE_INFINITY), { intervalMs: 1, timeoutMs: 20 }),
    ).toBeUndefined();
  });

  it("calls the function once when the timeout is 0", async () => {
    let calls = 0;
    const attempt = async () => {
      calls++;
    };
    await poll(attempt, { intervalMs: 1, timeoutMs: 0 });
    expect(calls).toBe(1);
  });

  it("fails with the error of the function", async () => {
    const attempt = () => Promise.reject(new Error("refused"));
    await expect(poll(attempt, { intervalMs: 1, timeoutMs: 10_000 })).rejects.toThrow("refused");
  });
});

describe("withTimeout", () => {
  it("returns the value of the promise", async () => {
    expect(await withTimeout(Promise.resolve("value"), 10_000)).toBe("value");
  });

  it("fails with the rejection of the promise", async () => {
    await expect(withTimeout(Promise.reject(new Error("refused")), 10_000)).rejects.toThrow("refused");
  });

  it("returns a mark after the timeout, and ignores a later rejection", async () => {
    const late = Promise.withResolvers<string>();
    expect(await withTimeout(late.promise, 10)).toBe("timeout");
    late.reject(new Error("late"));
    // An unhandled rejection would fail the test run.
    await new Promise((resolve) => setImmediate(resolve));
  });
});
