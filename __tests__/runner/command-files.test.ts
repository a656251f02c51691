import { appendFile, rm, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { CommandFiles, keyValues } from "./command-files.ts";
import { temporaryFolder } from "./temporary-folder.ts";

describe("GITHUB_ENV, GITHUB_OUTPUT and GITHUB_STATE", () => {
  test.each<[what: string, text: string, pairs: Record<string, string>]>([
    ["nothing", "", {}],
    ["a pair", "a=1\n", { a: "1" }],
    ["a last line without end", "a=1", { a: "1" }],
    ["empty lines and values", "\na=\n\nb=2\n", { a: "", b: "2" }],
    ["an equals sign in a value", "a=b=c\n", { a: "b=c" }],
    ["spaces, which all count", " a = 1 \n", { " a ": " 1 " }],
    ["a CR, which is part of the value", "a=1\r\n", { a: "1\r" }],
    ["a name given twice: the last value wins", "a=1\na=2\n", { a: "2" }],
    ["a heredoc", "a<<EOF\n1\n2\nEOF\n", { a: "1\n2" }],
    ["a heredoc that ends the file", "a<<EOF\n1\nEOF", { a: "1" }],
    ["an empty heredoc", "a<<EOF\nEOF\n", { a: "" }],
    ["a heredoc of one empty line", "a<<EOF\n\nEOF\n", { a: "" }],
    ["pairs in a heredoc, which are text", "a<<EOF\nb=1\nc<<X\nEOF\nd=2\n", { a: "b=1\nc<<X", d: "2" }],
    ["a delimiter that occurs within a line", "a<<EOF\nnot EOF\nEOF\n", { a: "not EOF" }],
    ["<< after =, which is text", "a=1<<EOF\n", { a: "1<<EOF" }],
    ["= after <<, which is the delimiter's", "a<<E=F\n1\nE=F\n", { a: "1" }],
  ])("may hold %s", (_, text, pairs) => {
    expect(Object.fromEntries(keyValues(text))).toEqual(pairs);
  });

  test.each([
    ["word\n", "Invalid format 'word'"],
    ["a<<\n1\n\n", "Invalid format 'a<<'. Name must not be empty and delimiter must not be empty"],
    ["<<EOF\n1\nEOF\n", "Invalid format '<<EOF'. Name must not be empty"],
    ["a<<EOF\n1\n", "Invalid value. Matching delimiter not found 'EOF'"],
  ])("may not hold %j", (text, message) => {
    expect(() => [...keyValues(text)]).toThrow(message);
  });
});

describe("the files of a step", () => {
  test("start empty, and are others for each step", async () => {
    const folder = await temporaryFolder();
    const first = await CommandFiles.create(folder);
    const second = await CommandFiles.create(folder);
    expect(Object.keys(first.env).sort()).toEqual([
      "GITHUB_ENV",
      "GITHUB_OUTPUT",
      "GITHUB_PATH",
      "GITHUB_STATE",
      "GITHUB_STEP_SUMMARY",
    ]);
    await appendFile(path(first, "GITHUB_STATE"), "a=1\n");
    expect(await second.read()).toMatchObject({ state: new Map(), errors: [], malformed: false });
    expect((await first.read()).state).toEqual(new Map([["a", "1"]]));
  });

  test("may be gone after the step", async () => {
    const files = await CommandFiles.create(await temporaryFolder());
    await Promise.all(Object.values(files.env).map((file) => rm(file)));
    expect(await files.read()).toMatchObject({ path: [], summary: "", errors: [], malformed: false });
  });

  test("hold paths line by line, whatever ends a line", async () => {
    const files = await CommandFiles.create(await temporaryFolder());
    await writeFile(path(files, "GITHUB_PATH"), "/a\r\n\n/b c\n/d");
    expect((await files.read()).path).toEqual(["/a", "/b c", "/d"]);
  });

  test("count up to the line that breaks the format, which fails the step", async () => {
    const files = await CommandFiles.create(await temporaryFolder());
    await writeFile(path(files, "GITHUB_STATE"), "intent=create\nfacts<<EOF\n{");
    expect(await files.read()).toMatchObject({
      state: new Map([["intent", "create"]]),
      errors: [
        "Unable to process file command 'state' successfully.",
        "Invalid value. Matching delimiter not found 'EOF'",
      ],
      malformed: true,
    });
  });

  test("cannot set NODE_OPTIONS for later steps", async () => {
    const files = await CommandFiles.create(await temporaryFolder());
    await writeFile(path(files, "GITHUB_ENV"), "Node_Options=--inspect\nA=1\n");
    expect(await files.read()).toMatchObject({
      env: new Map([["A", "1"]]),
      errors: ["Can't store NODE_OPTIONS output parameter using '$GITHUB_ENV' command."],
      malformed: false,
    });
  });

  test("take a summary of up to 1 MiB", async () => {
    const files = await CommandFiles.create(await temporaryFolder());
    await writeFile(path(files, "GITHUB_STEP_SUMMARY"), "x".repeat(1024 * 1024));
    expect((await files.read()).summary).toHaveLength(1024 * 1024);
    await appendFile(path(files, "GITHUB_STEP_SUMMARY"), "x");
    const { summary, errors } = await files.read();
    expect(summary).toBe("");
    expect(errors).toEqual([expect.stringContaining("supports content up to a size of 1024k, got 1024k")]);
  });
});

function path(files: CommandFiles, name: string): string {
  return files.env[name] ?? "";
}
