import type { IncomingMessage, ServerResponse } from "node:http";
import { refuse } from "./api.ts";

/** Ways in which registries fail, and what stands before them. All but `blob-truncated` hit every request. */
export type Fault =
  | "error-500"
  /** A proxy's page in place of the answer, with the status 200. */
  | "html"
  /** 401 that does not say how to log in. */
  | "unauthorized"
  /** 401 that asks for a token. Where tokens are to be had, the answer is the same. */
  | "bearer-challenge"
  /** 429 with `Retry-After`. */
  | "too-many-requests"
  /** The connection is reset without an answer. */
  | "reset"
  /** Every answer takes so many seconds longer. */
  | { readonly delay: number }
  /** The connection is cut when half of a blob has passed. */
  | "blob-truncated";

/** Answers a request as the faults want it. @returns false when they want nothing */
export function answeredByFault(
  faults: readonly Fault[],
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  for (const fault of faults) {
    switch (fault) {
      case "error-500":
        refuse(response, 500, "UNKNOWN");
        return true;
      case "html":
        response.writeHead(200, { "content-type": "text/html" }).end("<html>Please log in.</html>");
        return true;
      case "unauthorized":
        refuse(response, 401, "UNAUTHORIZED");
        return true;
      case "bearer-challenge":
        response.setHeader(
          "www-authenticate",
          `Bearer realm="http://${request.headers.host}/token",service="upstream"`,
        );
        refuse(response, 401, "UNAUTHORIZED");
        return true;
      case "too-many-requests":
        response.setHeader("retry-after", 1);
        refuse(response, 429, "TOOMANYREQUESTS");
        return true;
      case "reset":
        request.socket.resetAndDestroy();
        return true;
    }
  }
  return false;
}

/** How much longer an answer takes, in milliseconds. */
export const delayOf = (faults: readonly Fault[]): number =>
  faults.reduce((sum, fault) => sum + (typeof fault === "object" ? fault.delay * 1000 : 0), 0);
