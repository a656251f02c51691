import type { Wanted } from "./api.ts";

/** What clients asked a registry for, answered or not, since it started or since `reset`. */
export interface Traffic {
  /** As `METHOD /path`, without what follows a question mark. */
  readonly requests: readonly string[];
  /** Of manifests, `HEAD` and `GET` alike. */
  readonly manifestRequests: number;
  /** How often each blob was asked for with `GET`, by digest: a `HEAD` brings nothing. */
  readonly blobRequests: ReadonlyMap<string, number>;
  /** Of manifests and blobs, as far as they were sent. */
  readonly bytes: number;
  reset(): void;
}

export class CountedTraffic implements Traffic {
  #requests: string[] = [];
  #manifestRequests = 0;
  #blobRequests = new Map<string, number>();
  #bytes = 0;

  get requests(): readonly string[] {
    return this.#requests;
  }

  get manifestRequests(): number {
    return this.#manifestRequests;
  }

  get blobRequests(): ReadonlyMap<string, number> {
    return this.#blobRequests;
  }

  get bytes(): number {
    return this.#bytes;
  }

  reset(): void {
    this.#requests = [];
    this.#manifestRequests = 0;
    this.#blobRequests = new Map();
    this.#bytes = 0;
  }

  asked(method: string, path: string, wanted: Wanted | undefined): void {
    this.#requests.push(`${method} ${path}`);
    if (wanted?.kind === "manifests") this.#manifestRequests++;
    if (wanted?.kind === "blobs" && method === "GET") {
      this.#blobRequests.set(wanted.reference, (this.#blobRequests.get(wanted.reference) ?? 0) + 1);
    }
  }

  sent(bytes: number): void {
    this.#bytes += bytes;
  }
}
