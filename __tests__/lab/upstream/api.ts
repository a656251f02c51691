import type { IncomingMessage, ServerResponse } from "node:http";
import type { Descriptor, Images, Range } from "./images.ts";

/** Of what a client wants, what is to be sent. */
export interface Content extends Range {
  readonly digest: string;
}

/** The reading half of https://github.com/opencontainers/distribution-spec/blob/main/spec.md, but for the list of tags. */
export class Api {
  /** What a path names: a manifest or a blob. */
  readonly #descriptors = new Map<string, Descriptor>();

  constructor({ list }: Images) {
    for (const { repository, tag, manifests, config, otherConfigs, layers } of list) {
      const add = (kind: "manifests" | "blobs", reference: string, descriptor: Descriptor) =>
        this.#descriptors.set(`/v2/${repository}/${kind}/${reference}`, descriptor);
      add("manifests", tag, manifests[0]);
      for (const manifest of manifests) add("manifests", manifest.digest, manifest);
      for (const blob of [config, ...otherConfigs, ...layers]) add("blobs", blob.digest, blob);
    }
  }

  /** Answers a request, all but the content that its answer has. @returns the content, if there is any */
  answer(path: string, request: IncomingMessage, response: ServerResponse): Content | undefined {
    if (path === "/v2/") {
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
      return undefined;
    }
    const blob = path.includes("/blobs/");
    const found = this.#descriptors.get(path);
    if (found === undefined) return refuse(response, 404, blob ? "BLOB_UNKNOWN" : "MANIFEST_UNKNOWN");

    const { digest, size, mediaType } = found;
    const range = blob ? /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") : null;
    const start = Number(range?.[1] ?? 0);
    const end = Math.min(range?.[2] ? Number(range[2]) : size - 1, size - 1);
    response.setHeader("docker-content-digest", digest);
    if (start > end) {
      response.writeHead(416, { "content-range": `bytes */${size}` }).end();
      return undefined;
    }
    response.writeHead(range === null ? 200 : 206, {
      "content-type": blob ? "application/octet-stream" : mediaType,
      "content-length": end - start + 1,
      ...(blob && { "accept-ranges": "bytes" }),
      ...(range !== null && { "content-range": `bytes ${start}-${end}/${size}` }),
    });
    if (request.method !== "HEAD") return { digest, start, end };
    response.end();
    return undefined;
  }
}

/**
 * Answers with an error as the API has it.
 *
 * @param code of https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
 */
export function refuse(response: ServerResponse, status: number, code: string): undefined {
  const body = JSON.stringify({ errors: [{ code, message: code.toLowerCase().replaceAll("_", " ") }] });
  response.writeHead(status, { "content-type": "application/json" }).end(body);
}
