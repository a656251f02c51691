import { createCipheriv, createHash } from "node:crypto";

/** Bytes without a pattern, the same for the same seed: the keystream of a cipher. Nothing compresses them. */
export function noise(seed: string, bytes: number): Buffer {
  const key = createHash("sha256").update(seed).digest();
  return createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

/** What `code` is to gzip: so many bytes become one. */
export const ratio = 2.65;

const words = 512;
const shortest = 4;
const longest = 12;
const vocabulary = noise("words", words * longest);

/**
 * Bytes that compress as programs do, the same for the same seed. Programs are instructions that come again and again,
 * with operands between them that do not: here words of one vocabulary, each with a random byte after it.
 */
export function code(seed: string, bytes: number): Buffer {
  const choices = noise(seed, 3 * Math.ceil(bytes / (shortest + 1)));
  const text = Buffer.alloc(bytes);
  for (let at = 0, choice = 0; at < bytes; choice += 3) {
    const word = choices.readUInt16LE(choice) % words;
    const from = word * longest;
    const end = Math.min(from + shortest + (word % (longest - shortest + 1)), vocabulary.length);
    for (let index = from; index < end && at < bytes; index++) text[at++] = vocabulary[index] ?? 0;
    if (at < bytes) text[at++] = choices[choice + 2] ?? 0;
  }
  return text;
}
