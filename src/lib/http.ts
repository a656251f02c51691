import type { IncomingHttpHeaders } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { HttpClient } from "@actions/http-client";
import { errorMessage } from "./errors.ts";

export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** What is too much. */
export interface HttpLimits {
  /** Bytes of a body. */
  readonly bytes: number;
  /** When to give up, as `performance.now()` counts. */
  readonly until: number;
}

/**
 * Asks once, through the proxy that the environment names. A redirect is an answer.
 *
 * @throws when there is no whole answer in time, or a larger one than allowed
 */
export async function httpGet(
  url: URL,
  headers: Readonly<Record<string, string>>,
  { bytes, until }: HttpLimits,
): Promise<HttpResponse> {
  const left = Math.max(1, until - performance.now());
  // The client's own time-out, which tells what was asked for with all that is secret in it, is never the first.
  const client = new HttpClient("kind-action", [], { allowRedirects: false, socketTimeout: left + 5_000 });
  const done = new AbortController();
  const late = async (): Promise<never> => {
    await sleep(left, undefined, { signal: done.signal });
    throw new Error("there was no whole answer in time");
  };
  const answer = async (): Promise<HttpResponse> => {
    const { message } = await client.get(url.href, { ...headers });
    const body: AsyncIterable<Buffer> = message;
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of body) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > bytes) throw new Error(`the answer has more than ${bytes} bytes`);
    }
    return { status: message.statusCode ?? 0, headers: message.headers, body: Buffer.concat(chunks) };
  };
  try {
    return await Promise.race([answer(), late()]);
  } catch (error) {
    throw new Error(`${withoutQuery(url)} cannot be read: ${reasonOf(error)}`, { cause: error });
  } finally {
    done.abort();
    // A request cannot be taken back, but its connection can.
    client.dispose();
  }
}

/** A URL without what may be secret in it: the query of one that is signed. */
export const withoutQuery = (url: URL): string => `${url.protocol}//${url.host}${url.pathname}`.slice(0, 300);

/** Where several addresses were tried, Node's error has a code and says nothing. */
const reasonOf = (error: unknown): string =>
  errorMessage(error) ||
  (error instanceof Error && "code" in error ? String(error.code) : "it does not answer");
