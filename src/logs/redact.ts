import { lstat, open, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Patterns of secrets that nodes and pods write to logs, each with its replacement. */
const secrets: readonly (readonly [RegExp, string])[] = [
  // Complete or truncated; as PEM, or as a JSON string.
  [/-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\w+/=\s\\]{0,20000}(?:-----END \1-----)?/g, "[private key removed]"],
  [/^[\w+/=\s\\]{0,20000}-----END [A-Z ]*PRIVATE KEY-----/, "[private key removed]"],
  // JWTs of ServiceAccounts: three parts in base64url, of which the first two are JSON objects.
  [/\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+/g, "[token removed]"],
  [/(client-key-data\\?"?:\s*\\?"?)[\w+/=]+/g, "$1[removed]"],
  [/(authorization\\?"?[:=]\s*\[?\s*\\?"?(?:basic|bearer)\s+)[\w.~+/=-]+/gi, "$1[removed]"],
  // Registry credentials: containerd logs its configuration when it starts, as JSON in a quoted string.
  [/(\\?"?(?:auth|password|identitytoken)\\?"?\s*[:=]\s*\\?")[^"\\\s]{4,}(\\?")/gi, "$1[removed]$2"],
  // Passwords in proxy settings, which kind copies to every node.
  [/(\w+:\/\/[^\s/:@"']*:)[^\s/"']+@/g, "$1[removed]@"],
];

/** Replaces the secrets in a text. */
export const redact = (text: string): string =>
  secrets.reduce((redacted, [pattern, replacement]) => redacted.replace(pattern, replacement), text);

/** The maximum size of a file. Of a larger file the end remains, because it shows the failure. */
const maxBytes = 20_000_000;

/**
 * Prepares a folder of logs for the upload: replaces secrets, removes everything that is not a regular file (a symbolic
 * link may point outside of the folder), and truncates large files at the beginning.
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
  if (size > maxBytes)
    await writeFile(path, `[the first ${size - maxBytes} bytes were removed]\n${redacted}`);
  else if (redacted !== text) await writeFile(path, redacted);
}

async function readEnd(path: string, size: number): Promise<string> {
  const length = Math.min(size, maxBytes);
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.subarray(0, bytesRead).toString("utf8");
  } finally {
    await file.close();
  }
}
