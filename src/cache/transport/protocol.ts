import * as z from "zod";

/** What the program that talks to the Actions cache is asked for. Paths are relative to its folder. */
const cacheRequest = z.discriminatedUnion("call", [
  z.strictObject({
    call: z.literal("restore"),
    path: z.string(),
    key: z.string(),
    /** Beginnings of keys: the newest entry of one that fits is taken where there is none of `key`. */
    prefixes: z.array(z.string()),
    /** Whether others are needed sooner, and get the processors first. */
    background: z.boolean(),
  }),
  z.strictObject({ call: z.literal("find"), path: z.string(), key: z.string() }),
  z.strictObject({ call: z.literal("save"), path: z.string(), key: z.string() }),
]);
export type CacheRequest = z.infer<typeof cacheRequest>;

const cacheReply = z.strictObject({
  /** `none`: there is no such entry, or none was made. */
  outcome: z.enum(["found", "saved", "none", "unavailable", "failed"]),
  /** That of the entry which was found. */
  key: z.string().optional(),
  /** Why it failed. */
  reason: z.string().optional(),
});
export type CacheReply = z.infer<typeof cacheReply>;

const question = z.strictObject({ id: z.uuid(), request: cacheRequest });

/**
 * A request, as the line that the program reads.
 *
 * @param id that nobody else can know: keys, which the program prints, may be a stranger's
 */
export const renderRequest = (id: string, request: CacheRequest): string => JSON.stringify({ id, request });

export const parseRequest = (line: string): { id: string; request: CacheRequest } =>
  question.parse(JSON.parse(line));

/** Begins the line with which an answer ends. */
const mark = (id: string) => `kind-action cache reply ${id}: `;

export const renderReply = (id: string, reply: CacheReply): string =>
  `\n${mark(id)}${JSON.stringify(reply)}\n`;

export const isReply = (id: string, line: string): boolean => line.startsWith(mark(id));

/**
 * Reads what the program has printed.
 *
 * @returns the reply, if it came to one, and why the client failed, as it says that to the runner
 */
export function parseOutput(
  id: string,
  output: string,
): { reply: CacheReply | undefined; failure: string | undefined } {
  const last = output.split("\n").find((line) => isReply(id, line));
  const reply = last === undefined ? undefined : parseReply(last.slice(mark(id).length));
  return { reply, failure: failureIn(output) ?? reply?.reason };
}

/** Why the client failed, as it says that to the runner. */
export function failureIn(output: string): string | undefined {
  const failures = output.split("\n").flatMap((line) => {
    const [, text] = /^::(?:warning|error)[^:]*::(.*)$/.exec(line) ?? [];
    return text === undefined ? [] : [text.replace(/^Failed to (restore|save): ?/, "")];
  });
  const [failure] = failures.filter(Boolean);
  return failures.length === 0 ? undefined : (failure ?? "its client does not say why");
}

/** One that cannot be read is none: the program was ended while it wrote. */
function parseReply(text: string): CacheReply | undefined {
  try {
    return cacheReply.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
