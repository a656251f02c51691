import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Readable, Transform } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import type { BlockBlob } from "./block-blob.ts";
import type { Faults } from "./faults.ts";

/** Answers a request to a blob as Azure's storage does: `PUT` in one piece or in blocks, `HEAD`, `GET` with ranges. */
export async function serveBlob(
  blob: BlockBlob,
  request: IncomingMessage,
  response: ServerResponse,
  { query, faults }: { readonly query: URLSearchParams; readonly faults: Faults },
): Promise<void> {
  response.setHeader("x-ms-request-id", randomUUID());
  response.setHeader("x-ms-version", request.headers["x-ms-version"] ?? "2025-11-05");
  if (faults.has("blob-503")) return refuse(response, 503, "ServerBusy");
  if (request.method === "PUT") return put(blob, request, response, query);
  return get(blob, request, response, faults);
}

async function put(
  blob: BlockBlob,
  request: IncomingMessage,
  response: ServerResponse,
  query: URLSearchParams,
): Promise<void> {
  const contentType = header(request, "x-ms-blob-content-type") ?? "application/octet-stream";
  const operation = query.get("comp");
  if (operation === "block") {
    await blob.putBlock(query.get("blockid") ?? "", request);
  } else if (operation === "blocklist") {
    const list = await text(request);
    const ids = [...list.matchAll(/<(?:Latest|Committed|Uncommitted)>([^<]+)</g)].map(([, id]) => id ?? "");
    await blob.putBlockList(ids, contentType);
  } else {
    await blob.put(request, contentType);
  }
  const { etag, modified } = await validators(blob);
  response.writeHead(201, { ...(etag && { etag }), "last-modified": modified, "content-length": 0 });
  response.end();
}

async function get(
  blob: BlockBlob,
  request: IncomingMessage,
  response: ServerResponse,
  faults: Faults,
): Promise<void> {
  const properties = await blob.properties();
  if (properties === undefined) return refuse(response, 404, "BlobNotFound");
  const { size, contentType } = properties;
  const range = /^bytes=(\d+)-(\d*)$/.exec(header(request, "x-ms-range") ?? header(request, "range") ?? "");
  const start = Number(range?.[1] ?? 0);
  const end = Math.min(range?.[2] ? Number(range[2]) : size - 1, size - 1);
  if (range !== null && start >= size) return refuse(response, 416, "InvalidRange");

  const { etag, modified } = await validators(blob);
  response.writeHead(range === null ? 200 : 206, {
    ...(etag && { etag }),
    "last-modified": modified,
    "accept-ranges": "bytes",
    "content-type": contentType,
    "content-length": end - start + 1,
    "x-ms-blob-type": "BlockBlob",
    ...(range !== null && { "content-range": `bytes ${start}-${end}/${size}` }),
  });
  if (request.method === "HEAD" || size === 0) {
    response.end();
  } else if (faults.has("blob-stall")) {
    await pipeline(blob.read(start, Math.min(start + 99, end)), response, { end: false });
  } else if (faults.has("blob-truncated")) {
    await pipeline(blob.read(start, start + Math.floor((end - start) / 2)), response, { end: false });
    response.destroy();
  } else {
    const content: Readable = blob.read(start, end);
    const corrupted = faults.has("blob-corrupt")
      ? content.pipe(corruption(Math.floor(size / 2) - start))
      : content;
    await pipeline(corrupted, response);
  }
}

/** Overwrites everything from an offset on. */
function corruption(offset: number): Transform {
  let position = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const from = Math.max(0, offset - position);
      position += chunk.length;
      done(
        null,
        from < chunk.length
          ? Buffer.concat([chunk.subarray(0, from), Buffer.alloc(chunk.length - from, "A")])
          : chunk,
      );
    },
  });
}

async function validators(blob: BlockBlob): Promise<{ etag: string | undefined; modified: string }> {
  const properties = await blob.properties();
  const modified = properties?.modified ?? new Date();
  return {
    etag: properties && `"0x${modified.getTime().toString(16).toUpperCase()}${properties.size.toString(16)}"`,
    modified: modified.toUTCString(),
  };
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "x-ms-error-code": code, "content-length": 0 });
  response.end();
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
