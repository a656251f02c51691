import { describe, expect, it } from "vitest";
import {
  type CacheReply,
  type CacheRequest,
  failureIn,
  isReply,
  parseOutput,
  parseRequest,
  renderReply,
  renderRequest,
} from "../../../src/cache/transport/protocol.ts";

const id = "01234567-89ab-4cde-8f01-23456789abcd";
const otherId = "fedcba98-7654-4210-8fed-cba987654321";

const found: CacheReply = { outcome: "found", key: "key-1" };

/** What the client of the cache prints while it works. */
const chatter = "Cache hit for: key-1\nReceived 4194304 of 4194304 (100.0%), 40.0 MBs/sec\n";

describe("the reply of the program that talks to the cache", () => {
  it.each<CacheReply>([found, { outcome: "saved" }, { outcome: "none" }, { outcome: "unavailable" }])(
    "is read as it was written: $outcome",
    (reply) => {
      expect(parseOutput(id, renderReply(id, reply))).toEqual({ reply, failure: undefined });
    },
  );

  it("is found among what the client prints, though that ends in the middle of a line", () => {
    const output = `${chatter}::debug::a secret of the runner's\nno line end${renderReply(id, found)}`;
    expect(parseOutput(id, output)).toEqual({ reply: found, failure: undefined });
  });

  it("is the one to its own request: what looks like one may come from somewhere else, as keys do", () => {
    const forged = renderReply(otherId, { outcome: "found", key: "forged" });
    const output = forged + chatter + renderReply(id, { outcome: "none" });
    expect(parseOutput(id, output).reply).toEqual({ outcome: "none" });
    expect(forged.split("\n").filter((line) => isReply(id, line))).toEqual([]);
    expect(
      renderReply(id, found)
        .split("\n")
        .filter((line) => isReply(id, line)),
    ).toHaveLength(1);
  });

  it("begins a line: within one it is text that somebody quotes", () => {
    const quoted = `Cache entry says:${renderReply(id, found).trim()}\n`;
    expect(parseOutput(id, quoted)).toEqual({ reply: undefined, failure: undefined });
  });

  it("is none where the program came to no end", () => {
    for (const output of ["", chatter])
      expect(parseOutput(id, output)).toEqual({ reply: undefined, failure: undefined });
  });

  it.each([
    ["is broken off", renderReply(id, found).trimEnd().slice(0, -1)],
    ["is empty", renderReply(id, found).replace(/\{.*\}/, "")],
    ["is no JSON", renderReply(id, found).replace(/\{.*\}/, "found")],
    ["is of another kind", renderReply(id, found).replace(/\{.*\}/, "[]")],
    ["tells of an outcome that there is not", renderReply(id, found).replace('"found"', '"stolen"')],
    ["has more than anybody asked for", renderReply(id, found).replace("{", '{"path":"/etc",')],
  ])("is none where it %s, and that is no error", (_, output) => {
    expect(parseOutput(id, chatter + output)).toEqual({ reply: undefined, failure: undefined });
  });
});

describe("a failure of the client's", () => {
  it.each([
    ["a warning", "::warning::Failed to restore: read ECONNRESET", "read ECONNRESET"],
    ["an error", "::error::Failed to save: our services aren't available", "our services aren't available"],
    [
      "a warning of its own words",
      "::warning::Cache size of ~11 GB is over the limit",
      "Cache size of ~11 GB is over the limit",
    ],
    ["a warning with a place", "::warning title=Cache,line=1::the disk is full", "the disk is full"],
  ])("is what it tells the runner, without what it begins with: %s", (_, line, failure) => {
    const reply: CacheReply = { outcome: "none" };
    expect(parseOutput(id, `${chatter}${line}\n${renderReply(id, reply)}`)).toEqual({ reply, failure });
  });

  it("is the first of several", () => {
    const output = "::warning::the first\n::error::the second\n";
    expect(failureIn(output)).toBe("the first");
  });

  it.each(["::warning::\n", "::warning::Failed to restore: \n", "::warning::Failed to save:\n"])(
    "is one, though nobody says why: %j",
    (output) => {
      expect(failureIn(output)).toBe("its client does not say why");
    },
  );

  it("with a reason counts before one without", () => {
    expect(failureIn("::warning::\n::warning::timed out\n")).toBe("timed out");
  });

  it("is nothing that is printed otherwise: text, notes for debugging, groups", () => {
    const output = "Warning: none\n::debug::warning\n::group::warning\nsays ::warning::quoted\n";
    expect(failureIn(output)).toBeUndefined();
  });
});

describe("what the program is asked for", () => {
  it.each<CacheRequest>([
    { call: "restore", path: "kind", key: "key-1", prefixes: ["key-"], background: true },
    { call: "find", path: "kind\n", key: "key-1" },
    { call: "save", path: "kind", key: "key-1" },
  ])("is to $call an entry, in one line", (request) => {
    const line = renderRequest(id, request);
    expect(line).not.toContain("\n");
    expect(parseRequest(line)).toEqual({ id, request });
  });

  it.each([
    { call: "delete", path: "kind", key: "key-1" },
    { call: "restore", path: "kind", key: "key-1" },
    { call: "restore", path: "kind", key: "key-1", prefixes: [] },
    { call: "save", path: "kind", key: "key-1", prefixes: [] },
    { call: "save", key: "key-1" },
    "save",
  ])("is nothing else: %j", (request) => {
    expect(() => parseRequest(JSON.stringify({ id, request }))).toThrow();
  });
});
