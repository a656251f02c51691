import { ChildProcess } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { readdir, readFile } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import { setTimeout as sleep } from "node:timers/promises";
import { exec } from "@actions/exec";
import type { Log } from "./log.ts";
import { poll } from "./poll.ts";
import { formatTimeout } from "./units.ts";

/** The exit code and output of a program. */
export interface ProgramOutput {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  /** Gets every line of stdout and stderr as it is printed. */
  readonly log?: Log;
  readonly cwd?: string;
  /** Variables in addition to the environment of the runner. */
  readonly env?: Readonly<Record<string, string>>;
  /** Content of stdin. The program need not read it. */
  readonly input?: string;
  /** Milliseconds after which the program and its descendants are killed, and the call fails. */
  readonly timeoutMs?: number;
  /** Whether a non-zero exit code is a result instead of an error. */
  readonly mayFail?: boolean;
}

/**
 * Runs a program, without a shell.
 *
 * @throws ProgramError when it exits with a non-zero code (unless `mayFail`) or times out
 * @throws Error when it cannot be started
 */
export type RunProgram = (
  program: string,
  args: readonly string[],
  options?: ProgramOptions,
) => Promise<ProgramOutput>;

/** A program failed or timed out. */
export class ProgramError extends Error {
  override readonly name = "ProgramError";
  readonly output: ProgramOutput;

  constructor(program: string, args: readonly string[], output: ProgramOutput, reason: string) {
    const lastLines =
      output.stderr.trim().split("\n").slice(-10).join("\n") ||
      output.stdout.trim().split("\n").slice(-10).join("\n");
    super(`\`${[program.split("/").at(-1), ...args].join(" ")}\` ${reason}${lastLines && `:\n${lastLines}`}`);
    this.output = output;
  }
}

/** The environment variable that marks the processes of a job. Descendants inherit it. */
export const processMarkVariable = "KIND_ACTION_PROCESS";

/**
 * Creates the function that runs all programs of a step.
 *
 * @param mark identifies the processes of this job on the machine: letters, digits and hyphens
 * @param env environment of every program
 */
export function createProgramRunner(mark: string, env: Readonly<Record<string, string>>): RunProgram {
  let count = 0;
  return async (program, args, options = {}) => {
    const programMark = `${mark}.${++count}`;
    const stdout = new Collector(options.log);
    const stderr = new Collector(options.log);
    let timedOut = false;
    const timer = new AbortController();
    if (options.input !== undefined) subscribe(childProcessChannel, ignoreStdinErrors);
    if (options.timeoutMs !== undefined) {
      sleep(options.timeoutMs, undefined, { signal: timer.signal, ref: false })
        .then(async () => {
          timedOut = true;
          // A process that is just starting does not have its mark yet: search until the program has exited.
          while (!timer.signal.aborted) await killMarkedProcesses(programMark);
        })
        .catch(() => {});
    }
    try {
      // exec() splits its first argument as a command line; quoted, a path with spaces stays one word.
      const exitCode = await exec(`"${program.replaceAll('"', '\\"')}"`, [...args], {
        silent: true,
        ignoreReturnCode: true,
        env: { ...env, ...options.env, [processMarkVariable]: programMark },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        ...(options.input === undefined ? {} : { input: Buffer.from(options.input) }),
        listeners: { stdout: (data) => stdout.add(data), stderr: (data) => stderr.add(data) },
      });
      const output = { exitCode: exitCode ?? 1, stdout: stdout.end(), stderr: stderr.end() };
      if (timedOut) {
        const timeout = formatTimeout(options.timeoutMs ?? 0);
        throw new ProgramError(program, args, output, `timed out after ${timeout}`);
      }
      if (output.exitCode !== 0 && options.mayFail !== true) {
        throw new ProgramError(program, args, output, `failed with exit code ${output.exitCode}`);
      }
      return output;
    } finally {
      timer.abort();
      if (options.input !== undefined) unsubscribe(childProcessChannel, ignoreStdinErrors);
    }
  };
}

/** The diagnostics channel on which Node publishes every child process that it starts. */
const childProcessChannel = "child_process";

/** exec() does not expose stdin: without a listener, EPIPE of an unread stdin would crash this process. */
function ignoreStdinErrors(message: unknown): void {
  if (!(message instanceof Object && "process" in message && message.process instanceof ChildProcess)) return;
  const child = message.process;
  process.nextTick(() => child.stdin?.on("error", () => {}));
}

/** Collects the text of a stream, and logs its lines as they are completed. */
class Collector {
  readonly #decoder = new StringDecoder("utf8");
  readonly #log: Log | undefined;
  #text = "";
  #line = "";

  constructor(log: Log | undefined) {
    this.#log = log;
  }

  add(data: Buffer): void {
    this.#append(this.#decoder.write(data));
  }

  end(): string {
    this.#append(this.#decoder.end());
    if (this.#line !== "") this.#log?.line(this.#line);
    this.#line = "";
    return this.#text;
  }

  #append(text: string): void {
    this.#text += text;
    const lines = (this.#line + text).split("\n");
    this.#line = lines.pop() ?? "";
    for (const line of lines) this.#log?.line(line);
  }
}

/**
 * Stops every process with a mark, children before their parents, and waits until they have exited.
 *
 * @actions/exec cannot stop a program, and an orphaned process has another parent: both are found by the mark in their
 * environment (/proc/PID/environ).
 *
 * @param mark of a job, or of one program
 * @param graceMs milliseconds between SIGTERM and SIGKILL
 * @returns the number of processes
 */
export async function killMarkedProcesses(mark: string, graceMs = 2_000): Promise<number> {
  const graceEndMs = performance.now() + graceMs;
  const signalled = new Set<number>();
  let emptySearches = 0;
  const search = async () => {
    const processes = await markedProcesses(mark);
    emptySearches = processes.length === 0 ? emptySearches + 1 : 0;
    const inGracePeriod = performance.now() < graceEndMs;
    for (const { pid } of processes) {
      if (!inGracePeriod) signal(pid, "SIGKILL");
      else if (!signalled.has(pid)) signal(pid, "SIGTERM");
      signalled.add(pid);
    }
    // One search is not enough: a process that is just starting has an empty environment for a moment.
    return emptySearches < 2 ? undefined : true;
  };
  await poll(search, { intervalMs: 20, timeoutMs: graceMs + killMs });
  return signalled.size;
}

/** Time for a killed process to exit: one that waits for a disk takes longer. */
const killMs = 2_000;

async function markedProcesses(mark: string): Promise<{ pid: number; depth: number }[]> {
  const parents = new Map<number, number>();
  const marked: number[] = [];
  await Promise.all(
    (await readdir("/proc")).filter(isNumber).map(async (entry) => {
      const pid = Number(entry);
      // Unreadable if the process has exited since the listing, or belongs to another user: then it is not of this job.
      const [environ, stat] = await Promise.all([read(`/proc/${pid}/environ`), read(`/proc/${pid}/stat`)]);
      // "PID (NAME) STATE PARENT …"; the name may contain spaces and parentheses.
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      parents.set(pid, Number(parent));
      const markVariable = environ
        .split("\0")
        .find((variable) => variable.startsWith(`${processMarkVariable}=`));
      // The mark of a program is that of its job, a dot and a number: match `mark` itself and `mark.…`.
      if (
        `${markVariable}.`.startsWith(`${processMarkVariable}=${mark}.`) &&
        state !== "Z" &&
        pid !== process.pid
      )
        marked.push(pid);
    }),
  );
  const depth = (pid: number): number => {
    let steps = 0;
    for (
      let parent = parents.get(pid);
      parent !== undefined && parent > 1 && steps < 1_000;
      parent = parents.get(parent)
    )
      steps++;
    return steps;
  };
  return marked.map((pid) => ({ pid, depth: depth(pid) })).sort((a, b) => b.depth - a.depth);
}

const isNumber = (text: string) => /^\d+$/.test(text);

const read = (file: string) => readFile(file, "latin1").catch(() => "");

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has exited.
  }
}
