import { setTimeout as sleep } from "node:timers/promises";

/**
 * Calls a function until it returns a value: immediately, then at an interval.
 *
 * @param attempt returns undefined to be called again; an error ends the polling
 * @param options.intervalMs milliseconds between the end of a call and the next call
 * @param options.timeoutMs milliseconds after which there is no further call; the first call is made in any case
 * @returns the value; undefined after the timeout
 * @throws the error of `attempt`
 */
export async function poll<T>(
  attempt: () => Promise<T | undefined>,
  { intervalMs, timeoutMs }: { intervalMs: number; timeoutMs: number },
): Promise<T | undefined> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const result = await attempt();
    if (result !== undefined || performance.now() >= deadlineMs) return result;
    await sleep(intervalMs);
  }
}

/**
 * Waits for a promise with a timeout. The work behind the promise is not cancelled.
 *
 * @param timeoutMs milliseconds
 * @returns the value of the promise, or `"timeout"`
 * @throws the rejection of the promise
 */
export async function withTimeout<T>(promise: Promise<T>, timeoutMs: number): Promise<T | "timeout"> {
  const timer = new AbortController();
  const timeout = sleep(timeoutMs, "timeout" as const, { signal: timer.signal, ref: false });
  timeout.catch(() => {});
  return await Promise.race([promise, timeout]).finally(() => timer.abort());
}
