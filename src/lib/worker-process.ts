import { spawn } from "node:child_process";
import { withTimeout } from "./poll.ts";
import { killMarkedProcesses, ProgramError, processMarkVariable } from "./subprocess.ts";
import { formatTimeout } from "./units.ts";

/** A program that answers requests one after another, one line each: starting it for each request would take longer. */
export interface WorkerProcess {
  /**
   * Sends a request. The previous request must have been answered.
   *
   * @param isLast whether a line is the last one of the response
   * @param timeoutMs milliseconds after which the program and its descendants are killed
   * @returns the output of the program, including the last line
   * @throws ProgramError when the program exits without a response, or times out
   */
  request(message: string, isLast: (line: string) => boolean, timeoutMs: number): Promise<string>;
  /** Whether it accepts requests. */
  readonly isRunning: boolean;
  /** Closes stdin, and kills the program if it does not exit. */
  close(): Promise<void>;
}

export type SpawnWorker = (program: string, args: readonly string[]) => WorkerProcess;

/**
 * Creates a function that starts worker processes. Programs that run once are started by `createProgramRunner`.
 *
 * @param mark identifies the processes of this job on the machine
 * @param env environment of every program
 */
export function createWorkerSpawner(mark: string, env: Readonly<Record<string, string>>): SpawnWorker {
  let count = 0;
  return (program, args) => {
    const workerMark = `${mark}.worker-${++count}`;
    const child = spawn(program, args, { env: { ...env, [processMarkVariable]: workerMark } });
    const output = { stdout: "", stderr: "" };
    let onOutput = () => {};
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text;
      onOutput();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text;
    });
    // EPIPE: the program may exit before it has read everything.
    child.stdin.on("error", () => {});
    let isRunning = true;
    const exited = new Promise<number>((resolve) => {
      child.once("close", (exitCode) => resolve(exitCode ?? 1));
      child.once("error", (error) => {
        output.stderr += error;
        resolve(1);
      });
    }).finally(() => {
      isRunning = false;
    });
    // A process that is just starting does not have its mark yet: search until the program has exited.
    const kill = async () => {
      while (isRunning) await killMarkedProcesses(workerMark);
    };
    return {
      async request(message, isLast, timeoutMs) {
        Object.assign(output, { stdout: "", stderr: "" });
        const answered = new Promise<"answered">((resolve) => {
          onOutput = () => {
            if (output.stdout.split("\n").slice(0, -1).some(isLast)) resolve("answered");
          };
        });
        child.stdin.write(`${message}\n`);
        const outcome = await withTimeout(Promise.race([answered, exited]), timeoutMs);
        if (outcome === "answered") return output.stdout;
        if (outcome === "timeout") await kill();
        const reason =
          outcome === "timeout" ? `timed out after ${formatTimeout(timeoutMs)}` : "exited without a response";
        throw new ProgramError(program, args, { exitCode: await exited, ...output }, reason);
      },
      get isRunning() {
        return isRunning;
      },
      async close() {
        child.stdin.end();
        if ((await withTimeout(exited, closeGraceMs)) === "timeout") await kill();
      },
    };
  };
}

/** Time for an idle program to exit after its stdin was closed. */
const closeGraceMs = 2_000;
