/** What clients asked a registry for, answered or not, since it started or since `reset`. */
export class Traffic {
  #requests: string[] = [];

  /** As `METHOD /path`, without what follows a question mark. */
  get requests(): readonly string[] {
    return this.#requests;
  }

  /** How often each blob was asked for with `GET`, by digest: a `HEAD` brings nothing. */
  get blobRequests(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const request of this.#requests) {
      const digest = /^GET .*\/blobs\/(.+)$/.exec(request)?.[1];
      if (digest !== undefined) counts.set(digest, (counts.get(digest) ?? 0) + 1);
    }
    return counts;
  }

  add(method: string, path: string): void {
    this.#requests.push(`${method} ${path}`);
  }

  reset(): void {
    this.#requests = [];
  }
}
