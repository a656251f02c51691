import { z } from "zod";

/** What the program that talks to the Actions cache is asked for, as its argument. Paths are relative to its folder. */
export const cacheRequest = z.discriminatedUnion("call", [
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
  outcome: z.enum(["found", "saved", "none", "unavailable"]),
  /** That of the entry which was found. */
  key: z.string().optional(),
});
export type CacheReply = z.infer<typeof cacheReply>;

/** Begins the last line that the program prints. */
const mark = "kind-action cache reply: ";

export const renderReply = (reply: CacheReply): string => `\n${mark}${JSON.stringify(reply)}\n`;

/**
 * Reads what the program has printed.
 *
 * @returns the reply, if it came to one, and why the client failed, as it says that to the runner
 */
export function parseOutput(stdout: string): { reply: CacheReply | undefined; failure: string | undefined } {
  const lines = stdout.split("\n");
  const last = lines.findLast((line) => line.startsWith(mark));
  const failures = lines.flatMap((line) => {
    const [, text] = /^::(?:warning|error)[^:]*::(.*)$/.exec(line) ?? [];
    return text === undefined ? [] : [text.replace(/^Failed to (restore|save): ?/, "")];
  });
  const [failure] = failures.filter(Boolean);
  return {
    reply: last === undefined ? undefined : parseReply(last.slice(mark.length)),
    failure: failures.length === 0 ? undefined : (failure ?? "its client does not say why"),
  };
}

/** One that cannot be read is none: the program was ended while it wrote, or something else has printed the line. */
function parseReply(text: string): CacheReply | undefined {
  try {
    return cacheReply.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
