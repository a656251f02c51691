import { describe, expect, it } from "vitest";
import {
  type CacheReply,
  type CacheRequest,
  findFailure,
  isReply,
  parseOutput,
  parseRequest,
  renderReply,
  renderRequest,
} from "../../../src/cache/transport/protocol.ts";

const id = "01234567-89ab-4cde-8f01-23456789abcd";
const otherId = "fedcba98-7654-4210-8fed-cba987654321";

const found: CacheReply = { outcome: "found", key: "key-1" };

/** Output of the cache client during a request. */
const chatter = "Cache hit for: key-1\nReceived 4194304 of 4194304 (100.0%), 40.0 MBs/sec\n";

describe("parseOutput", () => {
  it.each<CacheReply>([found, { outcome: "saved" }, { outcome: "none" }, { outcome: "unavailable" }])(
    "parses a rendered reply: $outcome",
    (reply) => {
      expect(parseOutput(id, renderReply(id, reply))).toEqual({ reply, failure: undefined });
    },
  );

  it("returns the reason of a reply with the outcome `failed` as the failure", () => {
    const reply: CacheReply = {
      outcome: "failed",
      reason: "Key Validation Error: a,b cannot contain commas.",
    };
    expect(parseOutput(id, chatter + renderReply(id, reply))).toEqual({ reply, failure: reply.reason });
  });

  it("prefers the failure that the client printed to the reason of the reply", () => {
    const reply: CacheReply = { outcome: "failed", reason: "the reply" };
    const output = `::warning::Failed to restore: the client\n${renderReply(id, reply)}`;
    expect(parseOutput(id, output)).toEqual({ reply, failure: "the client" });
  });

  it("finds the reply after output that ends without a newline", () => {
    const output = `${chatter}::debug::a secret of the runner's\nno line end${renderReply(id, found)}`;
    expect(parseOutput(id, output)).toEqual({ reply: found, failure: undefined });
  });

  it("ignores replies with another ID, which keys of entries can imitate", () => {
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

  it("ignores a reply within a line", () => {
    const quoted = `Cache entry says:${renderReply(id, found).trim()}\n`;
    expect(parseOutput(id, quoted)).toEqual({ reply: undefined, failure: undefined });
  });

  it("returns no reply if the worker ended early", () => {
    for (const output of ["", chatter])
      expect(parseOutput(id, output)).toEqual({ reply: undefined, failure: undefined });
  });

  it.each([
    ["is cut off", renderReply(id, found).trimEnd().slice(0, -1)],
    ["is empty", renderReply(id, found).replace(/\{.*\}/, "")],
    ["is not JSON", renderReply(id, found).replace(/\{.*\}/, "found")],
    ["is not an object", renderReply(id, found).replace(/\{.*\}/, "[]")],
    ["has an unknown outcome", renderReply(id, found).replace('"found"', '"stolen"')],
    ["has an unknown field", renderReply(id, found).replace("{", '{"path":"/etc",')],
  ])("returns no reply if it %s", (_, output) => {
    expect(parseOutput(id, chatter + output)).toEqual({ reply: undefined, failure: undefined });
  });
});

describe("findFailure", () => {
  it.each([
    ["a warning", "::warning::Failed to restore: read ECONNRESET", "read ECONNRESET"],
    ["an error", "::error::Failed to save: our services aren't available", "our services aren't available"],
    [
      "a warning with another text",
      "::warning::Cache size of ~11 GB is over the limit",
      "Cache size of ~11 GB is over the limit",
    ],
    ["a warning with properties", "::warning title=Cache,line=1::the disk is full", "the disk is full"],
  ])("returns the message of a workflow command, without its prefix: %s", (_, line, failure) => {
    const reply: CacheReply = { outcome: "none" };
    expect(parseOutput(id, `${chatter}${line}\n${renderReply(id, reply)}`)).toEqual({ reply, failure });
  });

  it("returns the first of several failures", () => {
    const output = "::warning::the first\n::error::the second\n";
    expect(findFailure(output)).toBe("the first");
  });

  it.each(["::warning::\n", "::warning::Failed to restore: \n", "::warning::Failed to save:\n"])(
    "reports a failure without a reason: %j",
    (output) => {
      expect(findFailure(output)).toBe("the cache client reported no reason");
    },
  );

  it("prefers a failure with a reason to one without", () => {
    expect(findFailure("::warning::\n::warning::timed out\n")).toBe("timed out");
  });

  it("ignores other output: text, debug messages and groups", () => {
    const output = "Warning: none\n::debug::warning\n::group::warning\nsays ::warning::quoted\n";
    expect(findFailure(output)).toBeUndefined();
  });
});

describe("parseRequest", () => {
  it.each<CacheRequest>([
    { call: "restore", path: "kind", key: "key-1", prefixes: ["key-"], background: true },
    { call: "find", path: "kind\n", key: "key-1" },
    { call: "save", path: "kind", key: "key-1" },
  ])("parses a rendered request to $call an entry, which is one line", (request) => {
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
  ])("rejects an invalid request: %j", (request) => {
    expect(() => parseRequest(JSON.stringify({ id, request }))).toThrow();
  });
});
