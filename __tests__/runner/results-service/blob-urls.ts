import { createHmac, randomBytes } from "node:crypto";

/** `loopback`: this machine's address. `azure`: a name of Azure's storage, by which clients pick their code. */
export type BlobHost = "loopback" | "azure";

export type Container = "caches" | "artifacts";

const account = "acct";

/** Azure's hosts have the account in their name, any other has it in the path. */
const blobPath = new RegExp(`^(?:/${account})?/(?<container>caches|artifacts)/(?<id>[0-9a-f]{64})$`);

/** The signed addresses of blobs: with one, a client needs no token. Only the service that made one knows it. */
export class BlobUrls {
  readonly #key = randomBytes(32);
  readonly #base: string;

  constructor(host: BlobHost, port: number) {
    this.#base =
      host === "azure"
        ? `http://${account}.blob.core.windows.net:${port}`
        : `http://127.0.0.1:${port}/${account}`;
  }

  sign(container: Container, id: string): string {
    const url = new URL(`${this.#base}/${container}/${id}`);
    url.search = new URLSearchParams({
      sv: "2025-11-05",
      sr: "b",
      sig: this.#signature(container, id),
    }).toString();
    return url.href;
  }

  isSigned(container: Container, id: string, query: URLSearchParams): boolean {
    return query.get("sig") === this.#signature(container, id);
  }

  /** What a path names, if it is a blob's. */
  parse(pathname: string): { readonly container: Container; readonly id: string } | undefined {
    const { container, id } = blobPath.exec(pathname)?.groups ?? {};
    if ((container !== "caches" && container !== "artifacts") || id === undefined) return undefined;
    return { container, id };
  }

  #signature(container: Container, id: string): string {
    return createHmac("sha256", this.#key).update(`${container}/${id}`).digest("base64");
  }
}
