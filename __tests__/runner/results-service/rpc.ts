import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { z } from "zod";

/** The methods of a Twirp service. Each parses its own request. */
export type RpcService = Readonly<Record<string, (request: unknown, caller: Caller) => Promise<object>>>;

/** Who calls, by the token: clients repeat these ids in each request about artifacts. */
export interface Caller {
  readonly run: string;
  readonly job: string;
}

/** An error in Twirp's terms. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly code: keyof typeof statusOf;

  constructor(code: keyof typeof statusOf, message: string) {
    super(message);
    this.code = code;
  }

  get status(): number {
    return statusOf[this.code];
  }
}

const statusOf = {
  already_exists: 409,
  bad_route: 404,
  internal: 500,
  malformed: 400,
  not_found: 404,
  permission_denied: 403,
  resource_exhausted: 429,
  unauthenticated: 401,
} as const;

/** Reads the caller's token. Its signature is not looked at: any runner's will do. */
export function authenticate(request: IncomingMessage): Caller {
  const payload = /^Bearer [^.]+\.([^.]+)\.[^.]*$/.exec(request.headers.authorization ?? "")?.[1];
  if (payload === undefined) throw new RpcError("unauthenticated", "invalid token");
  const claims = claimsSchema.safeParse(parseJson(Buffer.from(payload, "base64url").toString()));
  const scope = claims.data?.scp.split(" ").find((part) => part.startsWith("Actions.Results:"));
  const [, run, job] = scope?.split(":") ?? [];
  if (run === undefined || job === undefined) throw new RpcError("unauthenticated", "no scope for results");
  return { run, job };
}

const claimsSchema = z.object({ scp: z.string() });

/** The message of a call. */
export async function readMessage(request: IncomingMessage): Promise<unknown> {
  const body = parseJson(await text(request));
  if (body === undefined) throw new RpcError("malformed", "the json request could not be decoded");
  return body;
}

/** Parses a request as its method wants it. */
export function parseRequest<T>(schema: z.ZodType<T>, request: unknown): T {
  const parsed = schema.safeParse(request);
  if (!parsed.success) throw new RpcError("malformed", z.prettifyError(parsed.error));
  return parsed.data;
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
