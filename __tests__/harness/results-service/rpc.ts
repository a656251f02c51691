import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type * as z from "zod";
import type { Fault } from "./faults.ts";

/** The methods of a Twirp service, by their names. Each parses its own request. */
export type RpcService = Readonly<Record<string, (request: unknown) => Promise<object>>>;

/** An error in Twirp's terms. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly code: keyof typeof statusOf;

  constructor(code: keyof typeof statusOf, message: string) {
    super(message);
    this.code = code;
  }
}

const statusOf = {
  already_exists: 409,
  bad_route: 404,
  internal: 500,
  malformed: 400,
  not_found: 404,
  resource_exhausted: 429,
  unauthenticated: 401,
} as const;

/** Parses a request as its method wants it. */
export function parseRequest<T>(schema: z.ZodType<T>, request: unknown): T {
  const parsed = schema.safeParse(request);
  if (!parsed.success) throw new RpcError("malformed", parsed.error.message);
  return parsed.data;
}

/** Answers the call of a method: Twirp, with JSON. Any token will do: only its run and job matter, to the client. */
export async function serveRpc(
  call: RpcService[string] | undefined,
  request: IncomingMessage,
  response: ServerResponse,
  faults: readonly Fault[],
): Promise<void> {
  const message: unknown = JSON.parse(await text(request));
  for (const fault of faults) {
    if (typeof fault === "object") await sleep(fault.rpcDelay * 1000, undefined, { ref: false });
  }
  if (faults.includes("rpc-reset")) {
    request.socket.destroy();
    return;
  }
  if (faults.includes("rpc-html")) {
    response.writeHead(502, { "content-type": "text/html" }).end("<html><body>502 Bad Gateway</body></html>");
    return;
  }
  if (faults.includes("rpc-401") || request.headers.authorization === undefined) {
    throw new RpcError("unauthenticated", "invalid token");
  }
  if (faults.includes("rpc-429")) {
    response.setHeader("retry-after", "60");
    throw new RpcError("resource_exhausted", "rate limit exceeded");
  }
  if (faults.includes("rpc-500")) throw new RpcError("internal", "internal error");
  if (call === undefined) throw new RpcError("bad_route", `no handler for ${request.url}`);
  sendJson(response, 200, await call(message));
}

/** Tells a client what went wrong, if it is still there to be told. */
export function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) response.destroy();
  else if (error instanceof RpcError) {
    sendJson(response, statusOf[error.code], { code: error.code, msg: error.message });
  } else sendJson(response, 500, { code: "internal", msg: String(error) });
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
