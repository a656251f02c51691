export interface CancellationOptions {
  /** Cancels when it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** How long everything after the cancellation may take, in milliseconds. */
  readonly deadline: number;
  readonly onCancel: () => void;
}

/** The cancellation of a job: asked for by a signal or a timer, and over after a deadline. */
export class Cancellation implements Disposable {
  readonly #cancelled = new AbortController();
  readonly #expired = new AbortController();
  readonly #disposed = new AbortController();

  constructor(options: CancellationOptions) {
    const once = { once: true, signal: this.#disposed.signal };
    this.signal.addEventListener(
      "abort",
      () => {
        options.onCancel();
        this.#after(options.deadline, () => this.#expired.abort());
      },
      once,
    );
    if (options.signal?.aborted === true) this.#cancelled.abort();
    options.signal?.addEventListener("abort", () => this.#cancelled.abort(), once);
  }

  /** Aborts when the job is cancelled. */
  get signal(): AbortSignal {
    return this.#cancelled.signal;
  }

  /** Aborts when a cancelled job has used up its time. */
  get deadline(): AbortSignal {
    return this.#expired.signal;
  }

  /** Cancels the job in so many milliseconds. */
  cancelAfter(milliseconds: number): void {
    this.#after(milliseconds, () => this.#cancelled.abort());
  }

  /**
   * Aborts when the job is cancelled from now on while `condition` does not hold. A running step whose condition
   * still holds, like a post with `always()`, is left to finish.
   */
  unless(condition: () => boolean): AbortSignal {
    const stop = new AbortController();
    this.signal.addEventListener(
      "abort",
      () => {
        if (!condition()) stop.abort();
      },
      { once: true, signal: this.#disposed.signal },
    );
    return stop.signal;
  }

  [Symbol.dispose](): void {
    this.#disposed.abort();
  }

  #after(milliseconds: number, callback: () => void): void {
    const timer = setTimeout(callback, milliseconds);
    this.#disposed.signal.addEventListener("abort", () => clearTimeout(timer));
  }
}
