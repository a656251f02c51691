/**
 * Replaces secrets in what is printed, as the runner does.
 *
 * The runner also masks encodings of a secret (base64, URI, JSON). That is left out on purpose: a test that looks for
 * leaks sees them here, and the action has to mask what it derives from a secret itself.
 */
export class SecretMasker {
  readonly #secrets = new Set<string>();

  /** Adds a secret and each of its lines: a log is masked line by line, where the whole never appears. */
  add(secret: string): void {
    for (const part of [secret, ...secret.split(/[\r\n]+/)]) {
      if (part !== "") this.#secrets.add(part);
    }
  }

  /** Secrets that overlap or touch become one `***`, so that nothing between them can be guessed. */
  mask(text: string): string {
    const hits = [...this.#secrets]
      .flatMap((secret) => positions(text, secret))
      .sort((a, b) => a.start - b.start);
    let masked = "";
    let end = 0;
    for (const [index, hit] of hits.entries()) {
      if (index === 0 || hit.start > end) masked += `${text.slice(end, hit.start)}***`;
      end = Math.max(end, hit.end);
    }
    return masked + text.slice(end);
  }
}

function positions(text: string, secret: string): { start: number; end: number }[] {
  const found: { start: number; end: number }[] = [];
  for (let start = text.indexOf(secret); start >= 0; start = text.indexOf(secret, start + 1)) {
    found.push({ start, end: start + secret.length });
  }
  return found;
}
