import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { killMarkedProcesses, ProgramError, processMarkVariable } from "./subprocess.ts";

/** A program that is asked one thing after another, a line each: to start it for each of them would take longer. */
export interface WorkerProcess {
  /**
   * Asks something. What was asked before has to be answered.
   *
   * @param isLast tells the line with which the answer ends
   * @param deadline milliseconds, after which the program and all it started are ended
   * @returns what the program has printed, that line included
   * @throws ProgramError when it ends without an answer, or is ended
   */
  request(question: string, isLast: (line: string) => boolean, deadline: number): Promise<string>;
  /** Whether it can be asked more. */
  readonly isRunning: boolean;
  /** Ends its input, and itself if it does not end then. */
  close(): Promise<void>;
}

export type SpawnWorker = (program: string, args: readonly string[]) => WorkerProcess;

/**
 * Makes a starter of programs that answer, beside that of programs which run once (`programRunner`).
 *
 * @param mark tells the processes of this job from all others on the machine
 * @param env the environment that every program gets
 */
export function createWorkerSpawner(mark: string, env: Readonly<Record<string, string>>): SpawnWorker {
  let started = 0;
  return (program, args) => {
    const own = `${mark}.asked-${++started}`;
    const child = spawn(program, args, { env: { ...env, [processMarkVariable]: own } });
    const said = { stdout: "", stderr: "" };
    let heard = () => {};
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said.stdout += text;
      heard();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said.stderr += text;
    });
    // It may end before it has read all.
    child.stdin.on("error", () => {});
    let lives = true;
    const ended = new Promise<number>((resolve) => {
      child.once("close", (exitCode) => resolve(exitCode ?? 1));
      child.once("error", (error) => {
        said.stderr += error;
        resolve(1);
      });
    }).finally(() => {
      lives = false;
    });
    // One that is just starting has no mark yet: it is looked for until it has ended.
    const stop = async () => {
      while (lives) await killMarkedProcesses(own);
    };
    return {
      async request(question, isLast, deadline) {
        Object.assign(said, { stdout: "", stderr: "" });
        const answered = new Promise<"answered">((resolve) => {
          heard = () => {
            if (said.stdout.split("\n").slice(0, -1).some(isLast)) resolve("answered");
          };
        });
        child.stdin.write(`${question}\n`);
        const what = await firstOf([answered, ended], deadline);
        if (what === "answered") return said.stdout;
        if (what === "late") await stop();
        const reason = what === "late" ? `was ended after ${deadline / 1000} s` : "ended without an answer";
        throw new ProgramError(program, args, { exitCode: await ended, ...said }, reason);
      },
      get isRunning() {
        return lives;
      },
      async close() {
        child.stdin.end();
        if ((await firstOf([ended], patience)) === "late") await stop();
      },
    };
  };
}

/** How long a program may take to end that has nothing to do, in milliseconds. */
const patience = 2_000;

/** Waits for what comes first, or until the time is up. */
async function firstOf<T extends readonly Promise<unknown>[]>(
  events: T,
  deadline: number,
): Promise<Awaited<T[number]> | "late"> {
  const timer = new AbortController();
  const late = sleep(deadline, "late" as const, { signal: timer.signal, ref: false });
  late.catch(() => {});
  return await Promise.race([...events, late]).finally(() => timer.abort());
}
