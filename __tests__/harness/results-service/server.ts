import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import * as z from "zod";
import { artifactService, artifactStore } from "./artifact-service.ts";
import { serveBlob } from "./blob-endpoint.ts";
import { cacheService, cacheStore } from "./cache-service.ts";
import type { Fault } from "./faults.ts";
import { RpcError, sendError, serveRpc } from "./rpc.ts";

export interface ResultsServiceOptions {
  /** Keeps entries and artifacts. Several services, also of several processes, may share one folder. */
  readonly dir: string;
  readonly faults?: readonly Fault[];
  /**
   * Where clients are sent for blobs. On GitHub that is Azure, and they use its SDK. With `azure` they do so here: `env`
   * makes node find this service under that name. With `loopback`, the default, they download by plain HTTP.
   */
  readonly blobHost?: "azure" | "loopback";
}

/** GitHub's results service: caches (v2) and artifacts (v4) with their blob storage, on a port of this machine. */
export interface ResultsService extends AsyncDisposable {
  /** What a step needs to find and use it, beside a token. */
  readonly env: Readonly<Record<string, string>>;
  /** From now on fails in these ways. Without any: works again. */
  inject(...faults: readonly Fault[]): void;
  close(): Promise<void>;
}

const methodPath = /^\/twirp\/github\.actions\.results\.api\.v1\.(?<service>\w+)\/(?<method>\w+)$/;

const account = "acct";

/** Azure's hosts have the account in their name, any other has it in the path. */
const blobPath = new RegExp(`^(?:/${account})?/(?<container>caches|artifacts)/(?<id>[0-9a-f]{64})$`);

export async function startResultsService(options: ResultsServiceOptions): Promise<ResultsService> {
  // Blobs of several GB take their time.
  const server = createServer({ requestTimeout: 0 });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = z.object({ port: z.number() }).parse(server.address());
  const azure = options.blobHost === "azure";
  const blobs = azure
    ? `http://${account}.blob.core.windows.net:${port}`
    : `http://127.0.0.1:${port}/${account}`;
  // Clients mask it. Nobody else can reach this port, so it is not checked.
  const signature = randomBytes(16).toString("hex");
  const signedUrl = (container: string) => (id: string) => `${blobs}/${container}/${id}?sig=${signature}`;

  let faults = options.faults ?? [];
  const caches = cacheStore(options.dir);
  const artifacts = artifactStore(options.dir);
  const services = new Map([
    ["CacheService", cacheService(caches, signedUrl("caches"), () => faults)],
    ["ArtifactService", artifactService(artifacts, signedUrl("artifacts"))],
  ]);

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams: query } = new URL(request.url ?? "/", "http://localhost");
    const { service = "", method = "" } = methodPath.exec(pathname)?.groups ?? {};
    if (method !== "") return serveRpc(services.get(service)?.[method], request, response, faults);
    const { container, id = "" } = blobPath.exec(pathname)?.groups ?? {};
    if (container === undefined) throw new RpcError("bad_route", `no handler for ${pathname}`);
    const [store, type] =
      container === "caches" ? [caches, "application/octet-stream"] : [artifacts, "application/zip"];
    return serveBlob(store.blob(id), request, response, { query, type, faults });
  };
  server.on("request", (request, response) => {
    answer(request, response).catch((error: unknown) => sendError(response, error));
  });

  const close = async () => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  };
  const url = `http://127.0.0.1:${port}/`;
  return {
    env: {
      ACTIONS_RESULTS_URL: url,
      ACTIONS_RUNTIME_URL: url,
      ACTIONS_CACHE_SERVICE_V2: "True",
      ...(azure && { NODE_OPTIONS: `--require ${join(import.meta.dirname, "azure-dns.cjs")}` }),
    },
    inject: (...active) => {
      faults = active;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
