import { setTimeout as sleep } from "node:timers/promises";

/**
 * Ways in which the real service has been seen to fail.
 *
 * `rpc-*` hit every call, `reserve-taken` and `finalize-fail` the one call they name, `blob-*` up- and downloads.
 */
export type Fault =
  | "rpc-401"
  | "rpc-429"
  | "rpc-500"
  /** A proxy's error page in place of JSON. */
  | "rpc-html"
  /** The connection is cut without an answer. */
  | "rpc-reset"
  /** Every call takes so many seconds longer. */
  | { readonly rpcDelay: number }
  /** Another job is about to save the same. */
  | "reserve-taken"
  | "finalize-fail"
  | "blob-503"
  /** A download breaks off half way. */
  | "blob-truncated"
  /** The second half of a download is not what was uploaded. */
  | "blob-corrupt"
  /** A download starts and then stands still. */
  | "blob-stall";

/** The faults that are switched on right now. */
export class Faults {
  #active: readonly Fault[] = [];

  /** Replaces all faults. */
  set(faults: readonly Fault[]): void {
    this.#active = faults;
  }

  has(fault: Exclude<Fault, object>): boolean {
    return this.#active.includes(fault);
  }

  async delay(signal: AbortSignal): Promise<void> {
    for (const fault of this.#active) {
      if (typeof fault === "object") await sleep(fault.rpcDelay * 1000, undefined, { signal });
    }
  }
}
