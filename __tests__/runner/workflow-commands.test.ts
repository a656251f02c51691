import { describe, expect, test } from "vitest";
import { CommandReader, parseCommand } from "./workflow-commands.ts";

describe("parseCommand", () => {
  const names = new Set(["error", "set-output", "group"]);

  test.each([
    ["::error::text", { name: "error", properties: {}, data: "text" }],
    ["  ::error::text", { name: "error", properties: {}, data: "text" }],
    ["::ERROR::text", { name: "error", properties: {}, data: "text" }],
    ["::error::", { name: "error", properties: {}, data: "" }],
    ["::error::a::b", { name: "error", properties: {}, data: "a::b" }],
    ["::error file=a.js,line=1::x", { name: "error", properties: { file: "a.js", line: "1" }, data: "x" }],
    ["::error file=a=b::x", { name: "error", properties: { file: "a=b" }, data: "x" }],
    ["::error file=,line=1::x", { name: "error", properties: { line: "1" }, data: "x" }],
    ["::error file=a%3Ab%2Cc::x%0Ay", { name: "error", properties: { file: "a:b,c" }, data: "x\ny" }],
    ["::error::100%25 %250A %3A", { name: "error", properties: {}, data: "100% %0A %3A" }],
    ["text ##[error]a]b", { name: "error", properties: {}, data: "a]b" }],
    ["##[error line=1;col=2]x%5D", { name: "error", properties: { line: "1", col: "2" }, data: "x]" }],
  ])("%s", (line, command) => {
    expect(parseCommand(line, names)).toEqual(command);
  });

  test.each(["error::text", "::error", "text ::error::text", "::unknown::text", "##[unknown]text", ""])(
    "'%s' is a line like all others",
    (line) => {
      expect(parseCommand(line, names)).toBeUndefined();
    },
  );
});

describe("a step's output", () => {
  test("is printed, but for the commands in it", () => {
    expect(
      read("hello", "::group::Install kind", "inside", "::endgroup::", "::debug::d", "::echo::on"),
    ).toEqual(["print hello", "print ▸ Install kind", "print inside"]);
  });

  test("shows debug lines when the job is run with debug logging", () => {
    expect(readWith({ debug: true }, "::debug::details")).toEqual(["print ##[debug]details"]);
  });

  test("annotates and masks", () => {
    expect(read("::notice::n", "::warning title=T::w", "::error::e", "::add-mask::secret")).toEqual([
      "notice n",
      "warning w",
      "error e",
      "mask secret",
    ]);
  });

  test("may stop commands until its own word", () => {
    expect(
      read("::stop-commands::pause-1", "::error::theirs", "::other::", "::PAUSE-1::", "::error::ours"),
    ).toEqual([
      "print ::stop-commands::pause-1",
      "print ::error::theirs",
      "print ::other::",
      "print ::PAUSE-1::",
      "error ours",
    ]);
  });

  test("may still set outputs and state, with a warning", () => {
    expect(read("::set-output name=a::1", "::save-state name=b::2")).toEqual([
      expect.stringContaining("warning The `set-output` command is deprecated"),
      "output a=1",
      expect.stringContaining("warning The `save-state` command is deprecated"),
      "state b=2",
    ]);
  });

  test.each([
    ["::set-env name=A::1", "The `set-env` command is disabled."],
    ["::add-path::/x", "The `add-path` command is disabled."],
    ["::set-output::1", "Required field 'name' is missing in ##[set-output] command."],
  ])("fails the step with %s", (line, reason) => {
    expect(read(line)).toEqual([
      `error Unable to process command '${line}' successfully.`,
      expect.stringContaining(`error ${reason}`),
      "fail",
    ]);
  });
});

function read(...lines: readonly string[]): string[] {
  return readWith({ debug: false }, ...lines);
}

/** What the lines make the runner do, in words. */
function readWith(options: { readonly debug: boolean }, ...lines: readonly string[]): string[] {
  const effects: string[] = [];
  const reader = new CommandReader(
    {
      print: (line) => effects.push(`print ${line}`),
      annotate: (level, message) => effects.push(`${level} ${message}`),
      addMask: (secret) => effects.push(`mask ${secret}`),
      setOutput: (name, value) => effects.push(`output ${name}=${value}`),
      saveState: (name, value) => effects.push(`state ${name}=${value}`),
      fail: () => effects.push("fail"),
    },
    options,
  );
  for (const line of lines) reader.read(line);
  return effects;
}
