/** An input that cannot be used: which, what was given, and what would be right. */
export interface Problem {
  /** The input's name in action.yml; `runner` for what is wrong with the machine. */
  readonly input: string;
  /** As given; empty for an input that was not given. */
  readonly value: string;
  /** A sentence: what is wrong with it, and what is allowed or to be done. */
  readonly reason: string;
}

/** Everything that stands in the way of a run, found before anything was made. */
export class InvalidInputsError extends Error {
  override readonly name = "BadInputs";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const lines = problems.map(({ input, value, reason }) => {
      const given =
        value === "" ? "" : value.includes("\n") ? " (given inline)" : ` ${JSON.stringify(shortened(value))}`;
      return `${input}${given}: ${reason}`;
    });
    const count = problems.length === 1 ? "" : `${problems.length} problems, nothing was made:\n- `;
    super(`${count}${lines.join("\n- ")}`);
    this.problems = problems;
  }
}

const shortened = (text: string) => (text.length > 120 ? `${text.slice(0, 119)}…` : text);

/** What a caught value says: libraries throw more than errors. */
export const errorMessage = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** Why a file that somebody named cannot be read. */
export function describeFileError(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EISDIR") return "is a folder";
  if (code === "EACCES") return "may not be read by this user";
  return `cannot be read: ${errorMessage(error)}`;
}
