/** An invalid input. */
export interface Problem {
  /** Name of the input in action.yml; `runner` for a problem with the machine. */
  readonly input: string;
  /** Value as given; empty if the input was not set. */
  readonly value: string;
  /** Clause that follows the input and its value: what is wrong with it, and what is allowed. */
  readonly reason: string;
}

/** The problems with all inputs of a run, found before anything is created. */
export class InvalidInputsError extends Error {
  override readonly name = "InvalidInputsError";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const lines = problems.map(({ input, value, reason }) => {
      const shown =
        value === "" ? "" : value.includes("\n") ? " (inline)" : ` ${JSON.stringify(truncate(value))}`;
      return `${input}${shown}: ${reason}`;
    });
    const heading = problems.length === 1 ? "" : `${problems.length} problems; nothing was created:\n- `;
    super(`${heading}${lines.join("\n- ")}`);
    this.problems = problems;
  }
}

const truncate = (text: string) => (text.length > 120 ? `${text.slice(0, 119)}…` : text);

/** Returns the message of a caught value, which need not be an Error. */
export const errorMessage = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** Returns why a file could not be read, as a clause that follows the file's name. */
export function describeFileError(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "does not exist";
  if (code === "EISDIR") return "is a directory";
  if (code === "EACCES") return "is not readable by this user";
  return `could not be read: ${errorMessage(error)}`;
}
