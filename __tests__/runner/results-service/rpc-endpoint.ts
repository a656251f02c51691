import type { IncomingMessage, ServerResponse } from "node:http";
import type { Faults } from "./faults.ts";
import { authenticate, RpcError, type RpcService, readMessage } from "./rpc.ts";

/** The services of an endpoint, by name. */
export type RpcServices = ReadonlyMap<string, RpcService>;

/** What a path names, if it is a method's. */
export function parseMethod(
  pathname: string,
): { readonly service: string; readonly method: string } | undefined {
  const match = /^\/twirp\/github\.actions\.results\.api\.v1\.(?<service>\w+)\/(?<method>\w+)$/.exec(
    pathname,
  );
  const { service, method } = match?.groups ?? {};
  return service === undefined || method === undefined ? undefined : { service, method };
}

/** Answers the call of a method: Twirp, with JSON. */
export async function serveRpc(
  services: RpcServices,
  { service, method }: { readonly service: string; readonly method: string },
  request: IncomingMessage,
  response: ServerResponse,
  options: {
    readonly faults: Faults;
    readonly closing: AbortSignal;
    readonly log: (message: unknown) => void;
  },
): Promise<void> {
  const message = await readMessage(request);
  options.log(message);
  await options.faults.delay(options.closing);
  if (options.faults.has("rpc-reset")) {
    request.socket.destroy();
    return;
  }
  if (options.faults.has("rpc-html")) {
    send(response, 502, "text/html", "<html><body>502 Bad Gateway</body></html>");
    return;
  }
  if (options.faults.has("rpc-401")) throw new RpcError("unauthenticated", "token expired");
  if (options.faults.has("rpc-429")) {
    response.setHeader("retry-after", "60");
    throw new RpcError("resource_exhausted", "rate limit exceeded");
  }
  if (options.faults.has("rpc-500")) throw new RpcError("internal", "internal error");
  const call = services.get(service)?.[method];
  if (call === undefined) throw new RpcError("bad_route", `no handler for ${service}/${method}`);
  send(response, 200, "application/json", JSON.stringify(await call(message, authenticate(request))));
}

/** Tells a client what went wrong, if it is still there to be told. */
export function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const known = error instanceof RpcError ? error : new RpcError("internal", String(error));
  send(response, known.status, "application/json", JSON.stringify({ code: known.code, msg: known.message }));
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(body) });
  response.end(body);
}
