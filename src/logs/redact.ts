import { lstat, open, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What nodes and pods write into logs and must not leave the runner, each with what stands in its place. */
const secrets: readonly (readonly [RegExp, string])[] = [
  // With its end, or cut off; in a file of its own, or as one string of JSON.
  [/-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\w+/=\s\\]{0,20000}(?:-----END \1-----)?/g, "[private key removed]"],
  [/^[\w+/=\s\\]{0,20000}-----END [A-Z ]*PRIVATE KEY-----/, "[private key removed]"],
  // Tokens of ServiceAccounts: three parts of base64url, the first two JSON objects.
  [/\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+/g, "[token removed]"],
  [/(client-key-data\\?"?:\s*\\?"?)[\w+/=]+/g, "$1[removed]"],
  [/(authorization\\?"?[:=]\s*\[?\s*\\?"?(?:basic|bearer)\s+)[\w.~+/=-]+/gi, "$1[removed]"],
  // Registry credentials in containerd's configuration, which it logs at start, as JSON in a quoted string.
  [/(\\?"?(?:auth|password|identitytoken)\\?"?\s*[:=]\s*\\?")[^"\\\s]{4,}(\\?")/gi, "$1[removed]$2"],
  // Proxy settings with a password: kind copies them into every node.
  [/(\w+:\/\/[^\s/:@"']*:)[^\s/"']+@/g, "$1[removed]@"],
];

/** Takes what must not be seen out of a text. */
export const redact = (text: string): string =>
  secrets.reduce((redacted, [pattern, replacement]) => redacted.replace(pattern, replacement), text);

/** Of a file longer than this, the end is kept: that is where the reason is. */
const longest = 20_000_000;

/**
 * Makes a folder of logs fit to be uploaded: without secrets, without files that are no files (a link may lead out of
 * the folder), and of bounded size.
 */
export async function redactFolder(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await redactFolder(path);
    else if (entry.isFile()) await redactFile(path);
    else await rm(path, { force: true });
  }
}

async function redactFile(path: string): Promise<void> {
  const { size } = await lstat(path);
  const text = await readEnd(path, size);
  const redacted = redact(text);
  if (size > longest) await writeFile(path, `[the first ${size - longest} bytes were left out]\n${redacted}`);
  else if (redacted !== text) await writeFile(path, redacted);
}

async function readEnd(path: string, size: number): Promise<string> {
  const length = Math.min(size, longest);
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.subarray(0, bytesRead).toString("utf8");
  } finally {
    await file.close();
  }
}
