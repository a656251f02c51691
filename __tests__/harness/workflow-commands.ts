/** A line that is an order to the runner: `::name key=value,key=value::data`. */
export interface WorkflowCommand {
  readonly name: string;
  readonly data: string;
}

/** The commands that today's runner obeys. Any other `::word::` is a line like all others. */
const known = new Set([
  "add-mask",
  "add-matcher",
  "debug",
  "echo",
  "endgroup",
  "error",
  "group",
  "notice",
  "remove-matcher",
  "warning",
]);

/** The command of a line, if it has one. Properties (`file`, `line`, `title`) only change how a log looks on the web. */
export function parseCommand(line: string): WorkflowCommand | undefined {
  const { name = "", data = "" } = /^\s*::(?<name>[^\s:]+)(?: .*?)?::(?<data>.*)$/s.exec(line)?.groups ?? {};
  if (!known.has(name.toLowerCase())) return undefined;
  // `%25` last: the other way round `%250A` would become a line break.
  const unescaped = data.replaceAll("%0D", "\r").replaceAll("%0A", "\n").replaceAll("%25", "%");
  return { name: name.toLowerCase(), data: unescaped };
}
