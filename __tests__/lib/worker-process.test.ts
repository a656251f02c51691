import { randomBytes } from "node:crypto";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { killMarkedProcesses, ProgramError } from "../../src/lib/subprocess.ts";
import { createWorkerSpawner } from "../../src/lib/worker-process.ts";

// Programs are slow to start on a busy machine.
vi.setConfig({ testTimeout: 30_000 });

const timeoutMs = 20_000;

/** Starts a worker with a unique mark. It is killed at the end of the test. */
function startWorker(script: string, mark = `unit-${randomBytes(6).toString("hex")}`) {
  onTestFinished(async () => void (await killMarkedProcesses(mark, 0)));
  return createWorkerSpawner(mark, { PATH: process.env.PATH ?? "", FROM_RUNNER: "a" })("sh", ["-c", script]);
}

const isDone = (line: string) => line.startsWith("done");

const echoing = 'while read -r request; do echo "about $request"; echo "done $request"; done';

describe("WorkerProcess", () => {
  it("returns the output for each request", async () => {
    const worker = startWorker(echoing);
    expect(await worker.request("one", isDone, timeoutMs)).toBe("about one\ndone one\n");
    expect(await worker.request("another", isDone, timeoutMs)).toBe("about another\ndone another\n");
    await worker.close();
  });

  it("waits until the last line of a response is complete", async () => {
    const worker = startWorker(
      "read -r request; printf 'half of a li'; sleep 0.1; printf 'ne\\ndo'; sleep 0.1; echo ne; cat",
    );
    expect(await worker.request("what", isDone, timeoutMs)).toBe("half of a line\ndone\n");
    await worker.close();
  });

  it("has the given environment", async () => {
    const worker = startWorker('read -r request; echo "done $FROM_RUNNER $HOME."; cat');
    expect(await worker.request("what", isDone, timeoutMs)).toBe("done a .\n");
    await worker.close();
  });

  it("exits when it is closed", async () => {
    const worker = startWorker(echoing);
    expect(worker.isRunning).toBe(true);
    await worker.close();
    expect(worker.isRunning).toBe(false);
  });

  it("is killed when it does not exit after it was closed", async () => {
    const worker = startWorker("read -r request; echo done; sleep 300");
    await worker.request("what", isDone, timeoutMs);
    await worker.close();
    expect(worker.isRunning).toBe(false);
  });

  it("fails with its output when it exits without a response", async () => {
    const worker = startWorker("read -r request; echo out; echo why >&2; exit 3");
    const response = worker.request("what", isDone, timeoutMs);
    await expect(response).rejects.toBeInstanceOf(ProgramError);
    await expect(response).rejects.toMatchObject({
      output: { exitCode: 3, stdout: "out\n", stderr: "why\n" },
    });
    await expect(response).rejects.toThrow(/exited without a response:\nwhy$/);
    expect(worker.isRunning).toBe(false);
    await expect(worker.request("more", isDone, timeoutMs)).rejects.toThrow("exited without a response");
  });

  it("fails when the program does not exist", async () => {
    const worker = createWorkerSpawner("unit-none", {})("/nonexistent/program", []);
    await expect(worker.request("what", isDone, timeoutMs)).rejects.toThrow("/nonexistent/program");
    expect(worker.isRunning).toBe(false);
    await worker.close();
  });

  it("is killed with its descendants when a request times out", async () => {
    const mark = `unit-${randomBytes(6).toString("hex")}`;
    const worker = startWorker("sleep 300 & read -r request; sleep 300", mark);
    const response = worker.request("what", isDone, 200);
    await expect(response).rejects.toThrow("timed out after 0.2 s");
    expect(worker.isRunning).toBe(false);
    expect(await killMarkedProcesses(mark, 0)).toBe(0);
  });

  it("is killed by the mark of its job", async () => {
    const mark = `unit-${randomBytes(6).toString("hex")}`;
    const worker = startWorker(`${echoing}; sleep 300`, mark);
    await worker.request("one", isDone, timeoutMs);
    expect(await killMarkedProcesses(mark)).toBe(1);
    await worker.close();
  });
});
