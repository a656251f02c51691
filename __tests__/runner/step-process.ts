import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

/** How long a cancelled step gets: from SIGINT to SIGTERM, and from there to SIGKILL. In milliseconds. */
export interface CancelGrace {
  readonly term: number;
  readonly kill: number;
}

/** The runner's own times. */
export const runnerGrace: CancelGrace = { term: 7_500, kill: 2_500 };

export interface ProcessPlan {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Gets stdout and stderr line by line. Without it the process has the harness's own stdin, stdout and stderr. */
  readonly onLine?: ((line: string) => void) | undefined;
  /** When it aborts, the process is asked to stop, ever less politely. */
  readonly interrupt?: AbortSignal | undefined;
  /** When it aborts, the process is killed. */
  readonly kill?: AbortSignal | undefined;
  readonly grace: CancelGrace;
  /** How long to wait for output after the process itself has ended, in milliseconds. The runner's are 5 s. */
  readonly drain?: number;
}

export interface ProcessExit {
  /** 128 and the signal's number when a signal ended it, as a shell has it. */
  readonly exitCode: number;
  readonly signal: NodeJS.Signals | null;
  readonly seconds: number;
}

/**
 * Runs a step's process to its end.
 *
 * Signals go to that process alone, never to what it started: it has a process group of its own, so that a Ctrl-C at
 * the terminal reaches it only by way of the harness. What it leaves running stays, for tests to find. (The runner
 * kills such orphans when the job ends.)
 */
export async function runProcess(plan: ProcessPlan): Promise<ProcessExit> {
  const started = performance.now();
  const child = spawn(plan.program, plan.args, {
    cwd: plan.cwd,
    env: plan.env,
    detached: true,
    stdio: plan.onLine === undefined ? "inherit" : ["ignore", "pipe", "pipe"],
  });
  // A harness that dies must not leave a step behind that nobody watches.
  const abandon = () => child.kill("SIGKILL");
  process.once("exit", abandon);

  const stopping = new AbortController();
  whenAborted(plan.interrupt, stopping.signal, () => stop(child, plan.grace, stopping.signal));
  whenAborted(plan.kill, stopping.signal, () => child.kill("SIGKILL"));

  const output = readLines([child.stdout, child.stderr], plan.onLine);
  try {
    const { exitCode, signal } = await ended(child);
    await Promise.race([output.finished, after(plan.drain ?? 5_000, stopping.signal)]);
    return { exitCode, signal, seconds: (performance.now() - started) / 1000 };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    plan.onLine?.(`${plan.program}: ${error.message}`);
    return { exitCode: 127, signal: null, seconds: (performance.now() - started) / 1000 };
  } finally {
    output.close();
    stopping.abort();
    process.removeListener("exit", abandon);
  }
}

async function stop(child: ChildProcess, grace: CancelGrace, ended: AbortSignal): Promise<void> {
  child.kill("SIGINT");
  await after(grace.term, ended);
  if (ended.aborted) return;
  child.kill("SIGTERM");
  await after(grace.kill, ended);
  if (!ended.aborted) child.kill("SIGKILL");
}

function ended(child: ChildProcess): Promise<{ exitCode: number; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      resolve({ exitCode: code ?? 128 + (signal === null ? 0 : constants.signals[signal]), signal });
    });
  });
}

function readLines(streams: readonly (Readable | null)[], onLine: ((line: string) => void) | undefined) {
  const open = streams.filter((stream) => stream !== null);
  const readers = open.map((stream) =>
    createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }),
  );
  const finished = Promise.all(
    readers.map((reader) => {
      reader.on("line", (line) => onLine?.(line));
      return new Promise<void>((resolve) => reader.once("close", resolve));
    }),
  );
  const close = () => {
    for (const reader of readers) reader.close();
    for (const stream of open) stream.destroy();
  };
  return { finished, close };
}

/** Calls back once when `signal` aborts, or at once when it has, unless `until` aborts before. */
function whenAborted(signal: AbortSignal | undefined, until: AbortSignal, callback: () => void): void {
  if (signal?.aborted === true) callback();
  else signal?.addEventListener("abort", callback, { once: true, signal: until });
}

/** Waits, but not longer than until `signal` aborts. */
function after(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
