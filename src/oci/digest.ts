import { sha256Hex } from "../lib/sha256.ts";

/** The only supported form of a digest (OCI image-spec, descriptor.md, "Digests"): `sha256:` and 64 hexadecimal digits. */
export const digestPattern = /^sha256:[0-9a-f]{64}$/;

/** Returns the digest of bytes. */
export const digestOf = (bytes: Uint8Array): string => `sha256:${sha256Hex(bytes)}`;

/** Returns a digest without its algorithm, for file names and cache keys. */
export const hexOf = (digest: string): string => digest.replace(/^sha256:/, "");
