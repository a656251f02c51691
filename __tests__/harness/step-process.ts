import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

/** What is left after a cancellation, in milliseconds. */
export interface CancelGrace {
  /** For a step, from SIGINT to SIGTERM. */
  readonly term: number;
  /** For a step, from there to SIGKILL. */
  readonly kill: number;
  /** For the job: for post, above all. */
  readonly job: number;
}

/** GitHub's own times. */
export const runnerGrace: CancelGrace = { term: 7_500, kill: 2_500, job: 300_000 };

/** How long the runner waits for output after the process itself has ended, in milliseconds. */
const drainMs = 5_000;

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
}

export interface ProcessExit {
  /** 128 and the signal's number when a signal ended it, 127 when it could not be started: as a shell has it. */
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

  const over = new AbortController();
  whenAborted(plan.interrupt, over.signal, () => stop(child, plan.grace, over.signal));
  whenAborted(plan.kill, over.signal, () => child.kill("SIGKILL"));
  const streams = [child.stdout, child.stderr].filter((stream) => stream !== null);
  for (const stream of streams) {
    createInterface({ input: stream }).on("line", (line) => plan.onLine?.(line));
  }
  const closed = new Promise<void>((resolve) => child.once("close", resolve));
  try {
    const exit = await ended(child);
    await Promise.race([closed, after(drainMs, over.signal)]);
    return { ...exit, seconds: (performance.now() - started) / 1000 };
  } catch (error) {
    plan.onLine?.(`${plan.program}: ${error}`);
    return { exitCode: 127, signal: null, seconds: (performance.now() - started) / 1000 };
  } finally {
    // Something that the step left running may hold on to them.
    for (const stream of streams) stream.destroy();
    over.abort();
    process.removeListener("exit", abandon);
  }
}

async function stop(child: ChildProcess, grace: CancelGrace, over: AbortSignal): Promise<void> {
  child.kill("SIGINT");
  await after(grace.term, over);
  if (over.aborted) return;
  child.kill("SIGTERM");
  await after(grace.kill, over);
  if (!over.aborted) child.kill("SIGKILL");
}

function ended(child: ChildProcess): Promise<Pick<ProcessExit, "exitCode" | "signal">> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      resolve({ exitCode: code ?? 128 + (signal === null ? 0 : constants.signals[signal]), signal });
    });
  });
}

/** Calls back once when `signal` aborts, or at once when it has, unless `until` aborts before. */
function whenAborted(signal: AbortSignal | undefined, until: AbortSignal, callback: () => void): void {
  if (signal?.aborted === true) callback();
  else signal?.addEventListener("abort", callback, { once: true, signal: until });
}

/** Waits, but not longer than until `signal` aborts. */
const after = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  sleep(milliseconds, undefined, { signal }).catch(() => undefined);
