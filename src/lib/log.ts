/** Where a task writes. Lines of other programs pass through `line`, which takes the force out of workflow commands. */
export interface Log {
  /** One line of our own or of a program's output. */
  line(text: string): void;
  /** An annotation that people see without opening the log. */
  warning(message: string): void;
}

/** What a {@link Log} prints to: @actions/core in the action, an array in tests. */
export interface Printer {
  info(text: string): void;
  warning(text: string): void;
  startGroup(name: string): void;
  endGroup(): void;
}

/**
 * Makes a line safe to print: the runner obeys `::command::` at the start of a line and `##[command]` anywhere in it,
 * and what kind, kubectl or a pod prints is not ours to vouch for.
 * What a progress bar has overwritten (everything before a carriage return) is dropped.
 */
export function escapeWorkflowCommands(line: string): string {
  return (
    line
      .replace(/\r+$/, "")
      .replace(/^[\s\S]*\r/, "")
      // The runner trims what .NET takes for white space, which is more than JavaScript does.
      .replace(/^([\s\u0085]*):(?=:)/, "$1: ")
      .replaceAll("##[", "## [")
      .slice(0, longestLine)
  );
}

/** A line longer than this says nothing more to a reader and makes the log page slow. */
const longestLine = 4_000;
