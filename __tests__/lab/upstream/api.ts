import type { IncomingMessage, ServerResponse } from "node:http";
import type { Descriptor, Images, Range } from "./images.ts";
import { refuse } from "./refusal.ts";

/** What a request to the API is about. */
export interface Wanted {
  readonly repository: string;
  readonly kind: "manifests" | "blobs";
  /** A tag or a digest. */
  readonly reference: string;
}

const wantedPath = /^\/v2\/(?<repository>.+)\/(?<kind>manifests|blobs)\/(?<reference>[^/]+)$/;

/** What a path names, if it is a manifest's or a blob's. */
export function parsePath(path: string): Wanted | undefined {
  const { repository, kind, reference } = wantedPath.exec(path)?.groups ?? {};
  if (repository === undefined || reference === undefined) return undefined;
  return kind === "manifests" || kind === "blobs" ? { repository, kind, reference } : undefined;
}

/** Of what a client wants, what is to be sent. */
export interface Content extends Range {
  readonly digest: string;
}

/** The reading half of https://github.com/opencontainers/distribution-spec/blob/main/spec.md, but for the list of tags. */
export class Api {
  readonly #repositories = new Map<string, Record<Wanted["kind"], Map<string, Descriptor>>>();

  constructor({ list }: Images) {
    for (const { repository, tag, manifests, config, otherConfigs, layers } of list) {
      const known = this.#repositories.get(repository) ?? { manifests: new Map(), blobs: new Map() };
      this.#repositories.set(repository, known);
      known.manifests.set(tag, manifests[0]);
      for (const manifest of manifests) known.manifests.set(manifest.digest, manifest);
      for (const blob of [config, ...otherConfigs, ...layers]) known.blobs.set(blob.digest, blob);
    }
  }

  /** Answers a request, all but the content that its answer has. @returns the content, if there is any */
  answer(
    wanted: Wanted | undefined,
    { path, request, response }: { path: string; request: IncomingMessage; response: ServerResponse },
  ): Content | undefined {
    if (request.method !== "GET" && request.method !== "HEAD") return refuse(response, 405, "UNSUPPORTED");
    if (path === "/v2/") {
      response.writeHead(200, { "content-type": "application/json", "content-length": 2 }).end("{}");
      return undefined;
    }
    if (wanted === undefined) return refuse(response, 404, "UNSUPPORTED");
    const { repository, kind, reference } = wanted;
    const known = this.#repositories.get(repository);
    if (known === undefined) return refuse(response, 404, "NAME_UNKNOWN", { name: repository });
    const found = known[kind].get(reference);
    if (found === undefined)
      return refuse(response, 404, kind === "manifests" ? "MANIFEST_UNKNOWN" : "BLOB_UNKNOWN", { reference });

    const { digest, size, mediaType } = found;
    const range = kind === "blobs" ? parseRange(request.headers.range, size) : undefined;
    response.setHeader("docker-content-digest", digest).setHeader("etag", `"${digest}"`);
    if (range === "outside") {
      response.writeHead(416, { "content-range": `bytes */${size}`, "content-length": 0 }).end();
      return undefined;
    }
    const { start, end } = range ?? { start: 0, end: size - 1 };
    response.writeHead(range === undefined ? 200 : 206, {
      "content-type": kind === "manifests" ? mediaType : "application/octet-stream",
      "content-length": end - start + 1,
      ...(kind === "blobs" && { "accept-ranges": "bytes" }),
      ...(range !== undefined && { "content-range": `bytes ${start}-${end}/${size}` }),
    });
    if (request.method === "GET") return { digest, start, end };
    response.end();
    return undefined;
  }
}

/** One range of RFC 9110. Several of them, or what is none, are ignored, as they may be. */
function parseRange(header: string | undefined, size: number): Range | "outside" | undefined {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  const suffix = first === "";
  const start = suffix ? Math.max(0, size - Number(last)) : Number(first);
  const end = suffix || last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (!suffix && last !== "" && Number(last) < start) return undefined;
  return start > end ? "outside" : { start, end };
}
