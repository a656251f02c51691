import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join, resolve } from "node:path";
import { artifactService, artifactStore } from "./artifact-service.ts";
import { serveBlob } from "./blob-endpoint.ts";
import { type BlobHost, BlobUrls } from "./blob-urls.ts";
import { BlockBlob } from "./block-blob.ts";
import { cacheService, cacheStore } from "./cache-service.ts";
import { type Fault, Faults } from "./faults.ts";
import { RpcError } from "./rpc.ts";
import { parseMethod, type RpcServices, sendError, serveRpc } from "./rpc-endpoint.ts";

export interface ResultsServiceOptions {
  /** Keeps entries and artifacts. Several services, also of several processes, may share one folder. */
  readonly dir: string;
  readonly faults?: readonly Fault[];
  /**
   * Where clients are sent for blobs. On GitHub that is Azure, and they use its SDK. With `azure` they do so here: `env`
   * makes node find this service under that name. With `loopback`, the default, they download by plain HTTP.
   */
  readonly blobHost?: BlobHost;
}

/** A request as the service saw it. */
export interface LoggedRequest {
  readonly method: string;
  readonly path: string;
  /** 0 when the connection was cut instead of an answer. */
  readonly status: number;
  /** What a call was about. Blobs have none. */
  readonly message?: unknown;
}

/** GitHub's results service: caches (v2) and artifacts (v4) with their blob storage, on a port of this machine. */
export interface ResultsService extends AsyncDisposable {
  readonly url: string;
  /** What a step needs to find and use it, beside a token. */
  readonly env: Readonly<Record<string, string>>;
  /** Every request so far that is over. */
  readonly requests: readonly LoggedRequest[];
  /** From now on fails in these ways. Without any: works again. */
  inject(...faults: readonly Fault[]): void;
  close(): Promise<void>;
}

export async function startResultsService(options: ResultsServiceOptions): Promise<ResultsService> {
  const server = createServer({
    // Blobs of several GB take their time.
    requestTimeout: 0,
  });
  const port = await listen(server);
  const dir = resolve(options.dir);
  const stores = { caches: cacheStore(dir), artifacts: artifactStore(dir) };
  const urls = new BlobUrls(options.blobHost ?? "loopback", port);
  const faults = new Faults();
  faults.set(options.faults ?? []);
  const services: RpcServices = new Map([
    ["CacheService", cacheService(stores.caches, { faults, signedUrl: (id) => urls.sign("caches", id) })],
    [
      "ArtifactService",
      artifactService(stores.artifacts, { faults, signedUrl: (id) => urls.sign("artifacts", id) }),
    ],
  ]);
  const requests: LoggedRequest[] = [];
  const closing = new AbortController();

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    const log = logWhenOver(requests, pathname, request, response);
    const method = parseMethod(pathname);
    if (method !== undefined) {
      await serveRpc(services, method, request, response, { faults, closing: closing.signal, log });
      return;
    }
    const blob = urls.parse(pathname);
    if (blob === undefined) throw new RpcError("bad_route", `no handler for ${pathname}`);
    if (!urls.isSigned(blob.container, blob.id, searchParams)) {
      throw new RpcError("permission_denied", "signature did not match");
    }
    const folder = stores[blob.container].folderOf(blob.id);
    await serveBlob(new BlockBlob(folder), request, response, { query: searchParams, faults });
  };
  server.on("request", (request, response) => {
    answer(request, response).catch((error: unknown) => sendError(response, error));
  });

  const url = `http://127.0.0.1:${port}/`;
  const close = async () => {
    if (!server.listening) return;
    closing.abort();
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  };
  return {
    url,
    env: {
      ACTIONS_RESULTS_URL: url,
      ACTIONS_RUNTIME_URL: url,
      ACTIONS_CACHE_SERVICE_V2: "True",
      ...(options.blobHost === "azure" && {
        NODE_OPTIONS: `--require ${join(import.meta.dirname, "azure-dns.cjs")}`,
      }),
    },
    requests,
    inject: (...active) => faults.set(active),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Adds a request to the log once it is over. The function returned adds its message. */
function logWhenOver(
  requests: LoggedRequest[],
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): (message: unknown) => void {
  let message: unknown;
  response.once("close", () => {
    const status = response.headersSent ? response.statusCode : 0;
    requests.push({ method: request.method ?? "", path, status, ...(message !== undefined && { message }) });
  });
  return (read) => {
    message = read;
  };
}

/** Takes a free port of this machine, out of reach for others. */
async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the service has no port");
  return address.port;
}
