import type { ServerResponse } from "node:http";

/** The codes of https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes. */
export type ErrorCode =
  | "BLOB_UNKNOWN"
  | "MANIFEST_UNKNOWN"
  | "NAME_UNKNOWN"
  | "TOOMANYREQUESTS"
  | "UNAUTHORIZED"
  /** Not of the specification; every registry has it. */
  | "UNKNOWN"
  | "UNSUPPORTED";

/** Answers with an error as the API has it. */
export function refuse(
  response: ServerResponse,
  status: number,
  code: ErrorCode,
  detail?: unknown,
): undefined {
  const message = code.toLowerCase().replaceAll("_", " ");
  const body = JSON.stringify({ errors: [{ code, message, ...(detail !== undefined && { detail }) }] });
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
}
