import type { IncomingHttpHeaders } from "node:http";
import { HttpClient } from "@actions/http-client";
import { errorMessage } from "./errors.ts";
import { withTimeout } from "./poll.ts";

export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface HttpLimits {
  /** Maximum size of a body, in bytes. */
  readonly maxBytes: number;
  /** Time of `performance.now()`, in milliseconds, by which the response must be complete. */
  readonly deadlineMs: number;
}

/**
 * Sends one GET request, through the proxy of the environment (`https_proxy`, `no_proxy`). Redirects are not followed.
 *
 * @returns the response, whatever its status
 * @throws Error when there is no complete response by the deadline, or the body is too large
 */
export async function httpGet(
  url: URL,
  headers: Readonly<Record<string, string>>,
  { maxBytes, deadlineMs }: HttpLimits,
): Promise<HttpResponse> {
  const timeoutMs = Math.max(1, deadlineMs - performance.now());
  // The client's own timeout must never fire first: its message contains the URL with the secrets of its query.
  const client = new HttpClient("kind-action", [], {
    allowRedirects: false,
    socketTimeout: timeoutMs + 5_000,
  });
  const request = async (): Promise<HttpResponse> => {
    const { message } = await client.get(url.href, { ...headers });
    const stream: AsyncIterable<Buffer> = message;
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of stream) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > maxBytes) throw new Error(`the response is larger than ${maxBytes} bytes`);
    }
    return { status: message.statusCode ?? 0, headers: message.headers, body: Buffer.concat(chunks) };
  };
  try {
    const response = await withTimeout(request(), timeoutMs);
    if (response === "timeout") throw new Error("no complete response in time");
    return response;
  } catch (error) {
    throw new Error(`Could not read ${withoutQuery(url)}: ${reasonOf(error)}`, { cause: error });
  } finally {
    // The client cannot abort a request, but it can close the connection.
    client.dispose();
  }
}

/** Formats a URL without its query, which contains secrets if the URL is signed. */
export const withoutQuery = (url: URL): string => `${url.protocol}//${url.host}${url.pathname}`.slice(0, 300);

/** If Node tried several addresses, its error has a code but an empty message. */
const reasonOf = (error: unknown): string =>
  errorMessage(error) || (error instanceof Error && "code" in error ? String(error.code) : "no response");
