import type { IncomingMessage, ServerResponse } from "node:http";
import { Transform } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import type { BlockBlob } from "./block-blob.ts";
import type { Fault } from "./faults.ts";

/** Answers a request to a blob as Azure's storage does: `PUT` in one piece or in blocks, `HEAD`, `GET` with ranges. */
export async function serveBlob(
  blob: BlockBlob,
  request: IncomingMessage,
  response: ServerResponse,
  { query, type, faults }: { query: URLSearchParams; type: string; faults: readonly Fault[] },
): Promise<void> {
  if (faults.includes("blob-503")) return refuse(response, 503, "ServerBusy");
  if (request.method !== "PUT") return get(blob, request, response, { type, faults });
  const operation = query.get("comp");
  if (operation === "block") {
    await blob.putBlock(query.get("blockid") ?? "", request);
  } else if (operation === "blocklist") {
    const list = await text(request);
    await blob.putBlockList([...list.matchAll(/<Latest>([^<]+)</g)].map(([, id = ""]) => id));
  } else {
    await blob.put(request);
  }
  response.writeHead(201, { "content-length": 0 }).end();
}

async function get(
  blob: BlockBlob,
  request: IncomingMessage,
  response: ServerResponse,
  { type, faults }: { type: string; faults: readonly Fault[] },
): Promise<void> {
  const size = await blob.size();
  if (size === undefined) return refuse(response, 404, "BlobNotFound");
  // Azure's SDK asks with a header of its own.
  const wanted = request.headers["x-ms-range"] ?? request.headers.range ?? "";
  const range = /^bytes=(\d+)-(\d*)$/.exec(String(wanted));
  const start = Number(range?.[1] ?? 0);
  const end = Math.min(range?.[2] ? Number(range[2]) : size - 1, size - 1);
  if (range !== null && start >= size) return refuse(response, 416, "InvalidRange");

  response.writeHead(range === null ? 200 : 206, {
    // Azure's SDK does not download without one.
    etag: `"${size}"`,
    "accept-ranges": "bytes",
    "content-type": type,
    "content-length": end - start + 1,
    ...(range !== null && { "content-range": `bytes ${start}-${end}/${size}` }),
  });
  if (request.method === "HEAD" || size === 0) {
    response.end();
  } else if (faults.includes("blob-stall")) {
    await pipeline(blob.read(start, Math.min(start + 99, end)), response, { end: false });
  } else if (faults.includes("blob-truncated")) {
    await pipeline(blob.read(start, start + Math.floor((end - start) / 2)), response, { end: false });
    response.destroy();
  } else if (faults.includes("blob-corrupt")) {
    await pipeline(blob.read(start, end), overwrite(Math.floor(size / 2) - start), response);
  } else {
    await pipeline(blob.read(start, end), response);
  }
}

/** Overwrites everything from an offset on. */
function overwrite(offset: number): Transform {
  let position = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const from = Math.max(0, offset - position);
      position += chunk.length;
      done(null, chunk.fill("A", Math.min(from, chunk.length)));
    },
  });
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "x-ms-error-code": code, "content-length": 0 }).end();
}
