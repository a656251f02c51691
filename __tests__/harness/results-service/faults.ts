/**
 * Ways in which the real service has been seen to fail.
 *
 * `rpc-*` hit every call, `finalize-fail` the calls that end an upload, `blob-*` up- and downloads.
 */
export type Fault =
  | "rpc-401"
  | "rpc-429"
  | "rpc-500"
  /** A proxy's error page in place of JSON. */
  | "rpc-html"
  /** The connection is cut without an answer. */
  | "rpc-reset"
  /** Every call takes so many seconds longer. */
  | { readonly rpcDelay: number }
  | "finalize-fail"
  | "blob-503"
  /** A download breaks off half way. */
  | "blob-truncated"
  /** The second half of a download is not what was uploaded. */
  | "blob-corrupt"
  /** A download starts and then stands still. */
  | "blob-stall";
