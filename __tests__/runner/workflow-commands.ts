/** A line that is an order to the runner: `::name key=value,key=value::data`. */
export interface WorkflowCommand {
  readonly name: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly data: string;
}

/** The commands the runner knows. Any other `::word::` is a line like all others. */
const known = new Set([
  "add-mask",
  "add-matcher",
  "add-path",
  "debug",
  "echo",
  "endgroup",
  "error",
  "group",
  "notice",
  "remove-matcher",
  "save-state",
  "set-env",
  "set-output",
  "stop-commands",
  "warning",
]);

/** What a step's output makes the runner do. */
export interface CommandEffects {
  print(line: string): void;
  annotate(level: "notice" | "warning" | "error", message: string): void;
  addMask(secret: string): void;
  setOutput(name: string, value: string): void;
  saveState(name: string, value: string): void;
  /** The step fails, whatever its exit code. */
  fail(): void;
}

/** Reads one step's output line by line, obeys the commands in it and prints the rest. */
export class CommandReader {
  readonly #effects: CommandEffects;
  readonly #debug: boolean;
  #resumeToken: string | undefined;

  constructor(effects: CommandEffects, options: { readonly debug: boolean }) {
    this.#effects = effects;
    this.#debug = options.debug;
  }

  read(line: string): void {
    if (this.#resumeToken !== undefined) {
      this.#effects.print(line);
      if (parseCommand(line, new Set([this.#resumeToken])) !== undefined) this.#resumeToken = undefined;
      return;
    }
    const command = parseCommand(line, known);
    if (command === undefined) this.#effects.print(line);
    else this.#obey(command, line);
  }

  #obey(command: WorkflowCommand, line: string): void {
    const effects = this.#effects;
    switch (command.name) {
      case "stop-commands":
        effects.print(line);
        this.#resumeToken = command.data.toLowerCase();
        return;
      case "group":
        effects.print(`▸ ${command.data}`);
        return;
      case "notice":
      case "warning":
      case "error":
        effects.annotate(command.name, command.data);
        return;
      case "debug":
        if (this.#debug) effects.print(`##[debug]${command.data}`);
        return;
      case "add-mask":
        effects.addMask(command.data);
        return;
      case "set-output":
      case "save-state":
        this.#store(command, line);
        return;
      case "set-env":
      case "add-path":
        this.#reject(line, disabled(command.name));
        return;
      default:
        // endgroup, echo and the problem matchers change how a log looks on the web, nothing here.
        return;
    }
  }

  #store(command: WorkflowCommand, line: string): void {
    const name = command.properties.name;
    if (name === undefined) {
      this.#reject(line, `Required field 'name' is missing in ##[${command.name}] command.`);
      return;
    }
    this.#effects.annotate("warning", deprecated(command.name));
    if (command.name === "set-output") this.#effects.setOutput(name, command.data);
    else this.#effects.saveState(name, command.data);
  }

  #reject(line: string, reason: string): void {
    this.#effects.annotate("error", `Unable to process command '${line.trim()}' successfully.`);
    this.#effects.annotate("error", reason);
    this.#effects.fail();
  }
}

/**
 * Finds the command of a line: `::name::data` at its start, or the older `##[name]data` anywhere in it.
 * Names have no case.
 */
export function parseCommand(line: string, names: ReadonlySet<string>): WorkflowCommand | undefined {
  const current = /^\s*::(?<head>.*?)::(?<data>.*)$/s.exec(line)?.groups;
  const old = /##\[(?<head>[^\]]*)\](?<data>.*)$/s.exec(line)?.groups;
  return (
    (current && command(current, ",", names, currentEscapes)) ?? (old && command(old, ";", names, oldEscapes))
  );
}

interface Escapes {
  readonly property: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, string>>;
}

const lineEscapes = { "%0D": "\r", "%0A": "\n" };
const currentEscapes: Escapes = {
  property: { ...lineEscapes, "%3A": ":", "%2C": ",", "%25": "%" },
  data: { ...lineEscapes, "%25": "%" },
};
const everyOldEscape = { "%3B": ";", ...lineEscapes, "%5D": "]", "%25": "%" };
const oldEscapes: Escapes = { property: everyOldEscape, data: everyOldEscape };

function command(
  { head = "", data = "" }: Readonly<Record<string, string>>,
  separator: string,
  names: ReadonlySet<string>,
  escapes: Escapes,
): WorkflowCommand | undefined {
  const [name = "", ...rest] = head.split(" ");
  if (!names.has(name.toLowerCase())) return undefined;
  const properties: Record<string, string> = {};
  for (const pair of rest.join(" ").trim().split(separator)) {
    const [key, ...value] = pair.split("=");
    if (key && value.join("=") !== "") properties[key] = unescaped(value.join("="), escapes.property);
  }
  return { name: name.toLowerCase(), properties, data: unescaped(data, escapes.data) };
}

/** One replacement after the other, `%25` last: the other way round `%250A` would become a line break. */
function unescaped(text: string, escapes: Readonly<Record<string, string>>): string {
  return Object.entries(escapes).reduce((current, [token, plain]) => current.replaceAll(token, plain), text);
}

function disabled(name: string): string {
  return `The \`${name}\` command is disabled. Please upgrade to using Environment Files or opt into unsecure command execution by setting the \`ACTIONS_ALLOW_UNSECURE_COMMANDS\` environment variable to \`true\`. For more information see: https://github.blog/changelog/2020-10-01-github-actions-deprecating-set-env-and-add-path-commands/`;
}

function deprecated(name: string): string {
  return `The \`${name}\` command is deprecated and will be disabled soon. Please upgrade to using Environment Files. For more information see: https://github.blog/changelog/2022-10-11-github-actions-deprecating-save-state-and-set-output-commands/`;
}
