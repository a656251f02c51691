import { randomBytes } from "node:crypto";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { killMarkedProcesses, ProgramError } from "../../src/lib/subprocess.ts";
import { createWorkerSpawner } from "../../src/lib/worker-process.ts";

// Programs take their time on a busy machine.
vi.setConfig({ testTimeout: 30_000 });

const long = 20_000;

/** Starts a program under a mark that no other test has; what carries it is ended with the test. */
function converse(script: string, mark = `unit-${randomBytes(6).toString("hex")}`) {
  onTestFinished(async () => void (await killMarkedProcesses(mark, 0)));
  return createWorkerSpawner(mark, { PATH: process.env.PATH ?? "", FROM_RUNNER: "a" })("sh", ["-c", script]);
}

const isDone = (line: string) => line.startsWith("done");

const answering = 'while read -r question; do echo "about $question"; echo "done $question"; done';

describe("a program that is asked one thing after another", () => {
  it("gives for each what it has printed", async () => {
    const dialogue = converse(answering);
    expect(await dialogue.request("one", isDone, long)).toBe("about one\ndone one\n");
    expect(await dialogue.request("another", isDone, long)).toBe("about another\ndone another\n");
    await dialogue.close();
  });

  it("has answered when the line is whole that says so", async () => {
    const dialogue = converse(
      "read -r question; printf 'half of a li'; sleep 0.1; printf 'ne\\ndo'; sleep 0.1; echo ne; cat",
    );
    expect(await dialogue.request("what", isDone, long)).toBe("half of a line\ndone\n");
    await dialogue.close();
  });

  it("has the runner's variables", async () => {
    const dialogue = converse('read -r question; echo "done $FROM_RUNNER $HOME."; cat');
    expect(await dialogue.request("what", isDone, long)).toBe("done a .\n");
    await dialogue.close();
  });

  it("ends when its input does", async () => {
    const dialogue = converse(answering);
    expect(dialogue.isRunning).toBe(true);
    await dialogue.close();
    expect(dialogue.isRunning).toBe(false);
  });

  it("is ended where its input has, and it goes on", async () => {
    const dialogue = converse("read -r question; echo done; sleep 300");
    await dialogue.request("what", isDone, long);
    await dialogue.close();
    expect(dialogue.isRunning).toBe(false);
  });

  it("is a failure where it ends instead, with what it has said", async () => {
    const dialogue = converse("read -r question; echo out; echo why >&2; exit 3");
    const asked = dialogue.request("what", isDone, long);
    await expect(asked).rejects.toBeInstanceOf(ProgramError);
    await expect(asked).rejects.toMatchObject({ output: { exitCode: 3, stdout: "out\n", stderr: "why\n" } });
    await expect(asked).rejects.toThrow(/ended without an answer:\nwhy$/);
    expect(dialogue.isRunning).toBe(false);
    await expect(dialogue.request("more", isDone, long)).rejects.toThrow("ended without an answer");
  });

  it("is a failure where there is none", async () => {
    const dialogue = createWorkerSpawner("unit-none", {})("/nonexistent/program", []);
    await expect(dialogue.request("what", isDone, long)).rejects.toThrow("/nonexistent/program");
    expect(dialogue.isRunning).toBe(false);
    await dialogue.close();
  });

  it("is ended with all that it started when an answer does not come in time", async () => {
    const mark = `unit-${randomBytes(6).toString("hex")}`;
    const dialogue = converse("sleep 300 & read -r question; sleep 300", mark);
    const asked = dialogue.request("what", isDone, 200);
    await expect(asked).rejects.toThrow("was ended after 0.2 s");
    expect(dialogue.isRunning).toBe(false);
    expect(await killMarkedProcesses(mark, 0)).toBe(0);
  });

  it("is found by the mark of its job, and ended with it", async () => {
    const mark = `unit-${randomBytes(6).toString("hex")}`;
    const dialogue = converse(`${answering}; sleep 300`, mark);
    await dialogue.request("one", isDone, long);
    expect(await killMarkedProcesses(mark)).toBe(1);
    await dialogue.close();
  });
});
