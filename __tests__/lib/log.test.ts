import { describe, expect, it } from "vitest";
import { escapeWorkflowCommands } from "../../src/lib/log.ts";

/** What the runner obeys, see its ActionCommand: `::` behind white space, or `##[` anywhere. */
const isObeyed = (line: string) => line.trimStart().startsWith("::") || line.includes("##[");

describe("a line of another program", () => {
  it.each([
    "::set-output name=kubeconfig::/tmp/evil",
    "::add-mask::a",
    "::stop-commands::x",
    "  ::error file=a.ts::indented",
    "\t::warning::behind a tab",
    "\u00a0\u2003::warning::behind white space of other kinds",
    ":::warning::",
    "::::",
    "##[group]a group that never ends",
    "text ##[error]in the middle",
    "####[error]",
    "##[##[error]",
    "loading…\r::warning::over a progress bar",
    "::warning::first\r  ##[error]second",
    "::warning::\r",
  ])("gives the runner no command: %j", (line) => {
    expect(isObeyed(escapeWorkflowCommands(line))).toBe(false);
    expect(escapeWorkflowCommands(line)).not.toContain("\r");
  });

  it.each(["::error::no space left", "  ::set-output name=a::b", "see ##[error]here"])(
    "still says what it said, but for a space: %s",
    (line) => {
      const letters = (text: string) => text.replaceAll(" ", "");
      expect(letters(escapeWorkflowCommands(line))).toBe(letters(line));
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
  ])("stays as it is where it is harmless: %j", (line) => {
    expect(escapeWorkflowCommands(line)).toBe(line);
  });

  it("is what a terminal would show of a progress bar in the end", () => {
    expect(escapeWorkflowCommands("99 %\r100 %")).toBe("100 %");
    expect(escapeWorkflowCommands("done\r")).toBe("done");
    expect(escapeWorkflowCommands("done\r\r")).toBe("done");
  });

  it("is cut where nobody reads on", () => {
    const line = escapeWorkflowCommands(`start ${"x".repeat(10_000_000)}`);
    expect(line.startsWith("start x")).toBe(true);
    expect(line.length).toBeLessThanOrEqual(4_000);
  });
});

describe("a line that hides a command", () => {
  it.each([
    ["behind two updates of a progress bar", "10 %\r20 %\r::error::x"],
    ["behind a line separator and an update", "a\u2028b\r::error::x"],
    ["behind white space that only .NET trims", "\u0085::error::x"],
  ])("%s is not obeyed", (_, line) => {
    expect(escapeWorkflowCommands(line).replace(/^[\s\u0085]+/, "")).not.toMatch(/^::/);
  });
});
