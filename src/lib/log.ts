/** The log of a task. */
export interface Log {
  /** Prints one line, of the action or of a program's output. Workflow commands in it are escaped. */
  line(text: string): void;
  /** Creates a warning annotation on the run's summary page. */
  warning(message: string): void;
}

/** The output that a {@link Log} prints to: @actions/core in the action, an array in tests. */
export interface Printer {
  info(text: string): void;
  warning(text: string): void;
  startGroup(name: string): void;
  endGroup(): void;
}

/** Creates a log that prints immediately. */
export const createLog = (printer: Pick<Printer, "info" | "warning">): Log => ({
  line: (text) => {
    for (const line of text.split("\n")) printer.info(escapeWorkflowCommands(line));
  },
  warning: (message) => printer.warning(message),
});

/**
 * Escapes workflow commands in a line: the runner executes `::command::` at the start of a line and `##[command]`
 * anywhere in it, and the output of kind, kubectl or a pod is not trusted.
 * Text before a carriage return, which a progress bar has overwritten, is dropped.
 */
export function escapeWorkflowCommands(line: string): string {
  return (
    line
      .replace(/\r+$/, "")
      .replace(/^[\s\S]*\r/, "")
      // The runner trims white space as .NET defines it, which is more than JavaScript's.
      .replace(/^([\s\u0085]*):(?=:)/, "$1: ")
      .replaceAll("##[", "## [")
      .slice(0, maxLineLength)
  );
}

/** Longer lines make the log page slow. In characters. */
const maxLineLength = 4_000;
