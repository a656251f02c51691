import { setTimeout as sleep } from "node:timers/promises";

/** Where time comes from. */
export interface Clock {
  /** In milliseconds. */
  now(): number;
  sleep(milliseconds: number, signal: AbortSignal): Promise<unknown>;
}

export const realClock: Clock = {
  now: () => performance.now(),
  sleep: (milliseconds, signal) => sleep(milliseconds, undefined, { signal }),
};

/** For how many milliseconds a line that stood still may catch up: timers are late by one or two. */
const credit = 20;

/**
 * A line that carries so many bytes a second for all who share it: a token bucket. It is given in the order in which it
 * is asked for, so those who take one piece after the other have equal shares.
 */
export class Bandwidth {
  readonly #bytesPerMillisecond: number;
  readonly #clock: Clock;
  /** When all that was taken has passed. */
  #freeAt = 0;

  constructor(bytesPerSecond: number, clock: Clock = realClock) {
    this.#bytesPerMillisecond = bytesPerSecond / 1000;
    this.#clock = clock;
  }

  /** Waits until so many bytes more have passed. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const now = this.#clock.now();
    this.#freeAt = Math.max(this.#freeAt, now - credit) + bytes / this.#bytesPerMillisecond;
    if (this.#freeAt > now) await this.#clock.sleep(this.#freeAt - now, signal);
  }
}
