/**
 * Replaces secrets in what is printed, as the runner does.
 *
 * The runner also masks encodings of a secret (base64, URI, JSON). That is left out on purpose: a test that looks for
 * leaks sees them here, and the action has to mask what it derives from a secret itself.
 */
export class SecretMasker {
  #secrets: readonly string[] = [];

  /** Adds a secret and each of its lines: a log is masked line by line, where the whole never appears. */
  add(secret: string): void {
    const parts = [secret, ...secret.split(/[\r\n]+/)].filter((part) => part !== "");
    // A secret that contains another one has to go first.
    this.#secrets = [...this.#secrets, ...parts].sort((a, b) => b.length - a.length);
  }

  mask(text: string): string {
    return this.#secrets.reduce((masked, secret) => masked.replaceAll(secret, "***"), text);
  }
}
