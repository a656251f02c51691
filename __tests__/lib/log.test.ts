import { describe, expect, it } from "vitest";
import { createLog, escapeWorkflowCommands } from "../../src/lib/log.ts";
import { recordingPrinter } from "../fixtures/recording.ts";

/** Whether the runner executes a line (its ActionCommand): `::` after white space, or `##[` anywhere. */
const isCommand = (line: string) => line.trimStart().startsWith("::") || line.includes("##[");

describe("escapeWorkflowCommands", () => {
  it.each([
    "::set-output name=kubeconfig::/tmp/evil",
    "::add-mask::a",
    "::stop-commands::x",
    "  ::error file=a.ts::indented",
    "\t::warning::after a tab",
    "\u00a0\u2003::warning::after white space of other kinds",
    ":::warning::",
    "::::",
    "##[group]a group that never ends",
    "text ##[error]in the middle",
    "####[error]",
    "##[##[error]",
    "loading…\r::warning::over a progress bar",
    "::warning::first\r  ##[error]second",
    "::warning::\r",
  ])("escapes the commands of %j", (line) => {
    expect(isCommand(escapeWorkflowCommands(line))).toBe(false);
    expect(escapeWorkflowCommands(line)).not.toContain("\r");
  });

  it.each(["::error::no space left", "  ::set-output name=a::b", "see ##[error]here"])(
    "adds only a space to %s",
    (line) => {
      const withoutSpaces = (text: string) => text.replaceAll(" ", "");
      expect(withoutSpaces(escapeWorkflowCommands(line))).toBe(withoutSpaces(line));
    },
  );

  it.each([
    "",
    " • Preparing nodes 📦",
    "a::b and namespace::name",
    "IPv6 fc00:f853:ccd:e793::2",
    "# [a heading]",
    "  indented",
    ":single",
  ])("does not change %j", (line) => {
    expect(escapeWorkflowCommands(line)).toBe(line);
  });

  it("keeps only the final state of a progress bar", () => {
    expect(escapeWorkflowCommands("99 %\r100 %")).toBe("100 %");
    expect(escapeWorkflowCommands("done\r")).toBe("done");
    expect(escapeWorkflowCommands("done\r\r")).toBe("done");
  });

  it("truncates a long line", () => {
    const line = escapeWorkflowCommands(`start ${"x".repeat(10_000_000)}`);
    expect(line.startsWith("start x")).toBe(true);
    expect(line.length).toBeLessThanOrEqual(4_000);
  });
});

describe("escapeWorkflowCommands of a hidden command", () => {
  it.each([
    ["after two updates of a progress bar", "10 %\r20 %\r::error::x"],
    ["after a line separator and an update", "a\u2028b\r::error::x"],
    ["after white space that only .NET trims", "\u0085::error::x"],
  ])("escapes a command %s", (_, line) => {
    expect(escapeWorkflowCommands(line).replace(/^[\s\u0085]+/, "")).not.toMatch(/^::/);
  });
});

describe("createLog", () => {
  it("prints lines without commands, and warnings as annotations", () => {
    const printer = recordingPrinter();
    const log = createLog(printer);
    log.line("first\n::error::second");
    log.warning("the cache is slow");
    expect(printer.shown).toEqual(["first", ": :error::second", "! the cache is slow"]);
  });
});
