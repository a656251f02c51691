import * as z from "zod";

/** A request to the cache worker. Paths are relative to the folder of the worker. */
const cacheRequest = z.discriminatedUnion("call", [
  z.strictObject({
    call: z.literal("restore"),
    path: z.string(),
    key: z.string(),
    /** Prefixes of keys: if no entry has the key, the newest entry with one of them is restored. */
    prefixes: z.array(z.string()),
    /** Whether other restores have priority: the worker lowers its scheduling priority. */
    background: z.boolean(),
  }),
  z.strictObject({ call: z.literal("find"), path: z.string(), key: z.string() }),
  z.strictObject({ call: z.literal("save"), path: z.string(), key: z.string() }),
]);
export type CacheRequest = z.infer<typeof cacheRequest>;

const cacheReply = z.strictObject({
  /** `none`: no entry was found, or none was created. `unavailable`: the job has no cache service. */
  outcome: z.enum(["found", "saved", "none", "unavailable", "failed"]),
  /** The key of the entry that was found. */
  key: z.string().optional(),
  /** The error message of a request that failed. */
  reason: z.string().optional(),
});
export type CacheReply = z.infer<typeof cacheReply>;

const requestLine = z.strictObject({ id: z.uuid(), request: cacheRequest });

/**
 * Renders a request as the line that the worker reads.
 *
 * @param id an unguessable ID: the worker prints keys of entries, which can imitate a reply
 */
export const renderRequest = (id: string, request: CacheRequest): string => JSON.stringify({ id, request });

/** Parses a request line. @throws ZodError or SyntaxError when the line is invalid */
export const parseRequest = (line: string): { id: string; request: CacheRequest } =>
  requestLine.parse(JSON.parse(line));

/** The prefix of the line that contains the reply. */
const replyPrefix = (id: string) => `kind-action cache reply ${id}: `;

export const renderReply = (id: string, reply: CacheReply): string =>
  `\n${replyPrefix(id)}${JSON.stringify(reply)}\n`;

export const isReply = (id: string, line: string): boolean => line.startsWith(replyPrefix(id));

/**
 * Parses the output of the worker for one request.
 *
 * @returns the reply, if there is one; and the reason of the failure, if the request failed
 */
export function parseOutput(
  id: string,
  output: string,
): { reply: CacheReply | undefined; failure: string | undefined } {
  const line = output.split("\n").find((each) => isReply(id, each));
  const reply = line === undefined ? undefined : parseReply(line.slice(replyPrefix(id).length));
  return { reply, failure: findFailure(output) ?? reply?.reason };
}

/** Finds the reason of a failure in the warnings and errors that the client of the cache prints for the runner. */
export function findFailure(output: string): string | undefined {
  const failures = output.split("\n").flatMap((line) => {
    const [, text] = /^::(?:warning|error)[^:]*::(.*)$/.exec(line) ?? [];
    return text === undefined ? [] : [text.replace(/^Failed to (restore|save): ?/, "")];
  });
  const [failure] = failures.filter(Boolean);
  return failures.length === 0 ? undefined : (failure ?? "the cache client reported no reason");
}

/** Parses a reply. @returns undefined if it is invalid: the worker was killed while it wrote the line */
function parseReply(text: string): CacheReply | undefined {
  try {
    return cacheReply.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
