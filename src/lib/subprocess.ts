import { ChildProcess } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { readdir, readFile } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import { setTimeout as sleep } from "node:timers/promises";
import { exec } from "@actions/exec";
import type { Log } from "./log.ts";

/** What a program left behind when it ended. */
export interface ProgramOutput {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  /** Gets every line of both streams as it comes. */
  readonly log?: Log;
  readonly cwd?: string;
  /** Added to the environment of the runner. */
  readonly env?: Readonly<Record<string, string>>;
  /** What the program finds on its stdin. It need not read it. */
  readonly input?: string;
  /** After this many milliseconds the program and all it started are ended, and the run fails. */
  readonly deadline?: number;
  /** A program that fails is an answer, not an error. */
  readonly mayFail?: boolean;
}

/** Starts programs: argv, never a shell. Every part of the action that runs one takes it as an argument. */
export type RunProgram = (
  program: string,
  args: readonly string[],
  options?: ProgramOptions,
) => Promise<ProgramOutput>;

/** A program ended with an error, or not in time. */
export class ProgramError extends Error {
  override readonly name = "ProgramError";
  readonly output: ProgramOutput;

  constructor(program: string, args: readonly string[], output: ProgramOutput, reason: string) {
    const said =
      output.stderr.trim().split("\n").slice(-10).join("\n") ||
      output.stdout.trim().split("\n").slice(-10).join("\n");
    super(`\`${[program.split("/").at(-1), ...args].join(" ")}\` ${reason}${said && `:\n${said}`}`);
    this.output = output;
  }
}

/** Marks the processes of one job in their environment, where their descendants inherit it. */
export const processMarkVariable = "KIND_ACTION_PROCESS";

/**
 * Makes the only starter of programs that a step has.
 *
 * @param mark tells the processes of this job from all others on the machine: letters, digits and hyphens
 * @param env the environment that every program gets
 */
export function createProgramRunner(mark: string, env: Readonly<Record<string, string>>): RunProgram {
  let started = 0;
  return async (program, args, options = {}) => {
    const own = `${mark}.${++started}`;
    const stdout = new Collector(options.log);
    const stderr = new Collector(options.log);
    let late = false;
    const stop = new AbortController();
    if (options.input !== undefined) subscribe(newPrograms, forgiveUnread);
    if (options.deadline !== undefined) {
      sleep(options.deadline, undefined, { signal: stop.signal, ref: false })
        .then(async () => {
          late = true;
          // A program that is just starting has no mark yet: it is looked for until it has ended.
          while (!stop.signal.aborted) await killMarkedProcesses(own);
        })
        .catch(() => {});
    }
    try {
      // exec() splits its first argument as a command line; quoted, a path with spaces stays one word.
      const exitCode = await exec(`"${program.replaceAll('"', '\\"')}"`, [...args], {
        silent: true,
        ignoreReturnCode: true,
        env: { ...env, ...options.env, [processMarkVariable]: own },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        ...(options.input === undefined ? {} : { input: Buffer.from(options.input) }),
        listeners: { stdout: (data) => stdout.add(data), stderr: (data) => stderr.add(data) },
      });
      const output = { exitCode: exitCode ?? 1, stdout: stdout.end(), stderr: stderr.end() };
      if (late)
        throw new ProgramError(program, args, output, `was ended after ${(options.deadline ?? 0) / 1000} s`);
      if (output.exitCode !== 0 && options.mayFail !== true) {
        throw new ProgramError(program, args, output, `failed with exit code ${output.exitCode}`);
      }
      return output;
    } finally {
      stop.abort();
      if (options.input !== undefined) unsubscribe(newPrograms, forgiveUnread);
    }
  };
}

/** Where Node tells of each program that it starts. */
const newPrograms = "child_process";

/** exec() keeps the stream to itself: the error of one that is closed unread would end this process. */
function forgiveUnread(message: unknown): void {
  if (!(message instanceof Object && "process" in message && message.process instanceof ChildProcess)) return;
  const started = message.process;
  process.nextTick(() => started.stdin?.on("error", () => {}));
}

/** Keeps a stream's text, and hands its lines on as they become whole. */
class Collector {
  readonly #decoder = new StringDecoder("utf8");
  readonly #log: Log | undefined;
  #text = "";
  #line = "";

  constructor(log: Log | undefined) {
    this.#log = log;
  }

  add(data: Buffer): void {
    this.#take(this.#decoder.write(data));
  }

  end(): string {
    this.#take(this.#decoder.end());
    if (this.#line !== "") this.#log?.line(this.#line);
    this.#line = "";
    return this.#text;
  }

  #take(text: string): void {
    this.#text += text;
    const lines = (this.#line + text).split("\n");
    this.#line = lines.pop() ?? "";
    for (const line of lines) this.#log?.line(line);
  }
}

/**
 * Ends every process that carries a mark, children before their parents, and waits until they are gone.
 *
 * @actions/exec cannot end what it started, and a process whose parent is gone has another parent: the mark in the
 * environment (/proc/PID/environ) finds both.
 *
 * @param mark that of a job, or of one program
 * @returns how many there were
 */
export async function killMarkedProcesses(mark: string, graceMilliseconds = 2_000): Promise<number> {
  const began = performance.now();
  const asked = new Set<number>();
  let quiet = 0;
  // One look is not enough: a process that is just starting shows no environment for a moment.
  while (quiet < 2 && performance.now() - began < graceMilliseconds + killMilliseconds) {
    const left = await markedProcesses(mark);
    quiet = left.length === 0 ? quiet + 1 : 0;
    const patient = performance.now() - began < graceMilliseconds;
    for (const { pid } of left) {
      if (!patient) signal(pid, "SIGKILL");
      else if (!asked.has(pid)) signal(pid, "SIGTERM");
      asked.add(pid);
    }
    await sleep(20);
  }
  return asked.size;
}

/** How long a killed process may take to be gone: one that waits for a disk takes its time. */
const killMilliseconds = 2_000;

async function markedProcesses(mark: string): Promise<{ pid: number; depth: number }[]> {
  const parents = new Map<number, number>();
  const marked: number[] = [];
  await Promise.all(
    (await readdir("/proc")).filter(isNumber).map(async (entry) => {
      const pid = Number(entry);
      // A process may end between the listing and the reading, or belong to somebody else: then it is not ours.
      const [environ, stat] = await Promise.all([read(`/proc/${pid}/environ`), read(`/proc/${pid}/stat`)]);
      // "PID (NAME) STATE PARENT …", where the name may hold spaces and parentheses.
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      parents.set(pid, Number(parent));
      const carried = environ.split("\0").find((variable) => variable.startsWith(`${processMarkVariable}=`));
      // A program's mark is its job's with a number behind: `mark` itself, or what begins with it and a dot.
      if (`${carried}.`.startsWith(`${processMarkVariable}=${mark}.`) && state !== "Z" && pid !== process.pid)
        marked.push(pid);
    }),
  );
  const depth = (pid: number): number => {
    let steps = 0;
    for (let at = parents.get(pid); at !== undefined && at > 1 && steps < 1_000; at = parents.get(at))
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
    // It ended by itself.
  }
}
