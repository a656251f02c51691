/**
 * Quotes untrusted text for a message: truncated, and escaped to printable ASCII, because it may contain newlines, escape
 * sequences and bidirectional control characters.
 */
export const quote = (text: string): string =>
  JSON.stringify(text.length > maxLength ? `${text.slice(0, maxLength)}...` : text).replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

/** In characters. A digest with its algorithm has 71, a path in an archive of an old `docker save` 75. */
const maxLength = 120;
