import { randomBytes } from "node:crypto";
import * as core from "@actions/core";
import { errorMessage } from "../lib/errors.ts";
import type { Printer } from "../lib/log.ts";
import { createProgramRunner, killMarkedProcesses, type RunProgram } from "../lib/subprocess.ts";
import { createWorkerSpawner, type SpawnWorker, type WorkerProcess } from "../lib/worker-process.ts";
import { type Job, readJob } from "./job.ts";

/** What a step finds around it. Stories take everything they touch from here. */
export interface ActionContext {
  readonly env: NodeJS.ProcessEnv;
  readonly job: Job;
  /** The run's name: on what it makes, and on its processes. */
  readonly runId: string;
  readonly runProgram: RunProgram;
  readonly spawnWorker: SpawnWorker;
  readonly printer: Printer;
  /** When the step began, in milliseconds since the epoch. */
  readonly startedMs: number;
}

/**
 * Runs one step of the action to its end, whatever that is: the only place that catches everything, that answers the
 * runner's signals, and that ends the process.
 *
 * @param afterwards what comes of a step that is cancelled, in a sentence
 */
export async function runAction(
  story: (on: ActionContext) => Promise<void>,
  { afterwards }: { afterwards?: string } = {},
): Promise<never> {
  const job = readJob(process.env);
  const run = `${job.runId}-${job.attempt}-${randomBytes(3).toString("hex")}`;
  const env = forPrograms(process.env);
  const programs = counting(createProgramRunner(run, env), createWorkerSpawner(run, env));
  let cancelled = false;
  const cancel = (signal: string) => {
    if (cancelled) return;
    cancelled = true;
    const said = [`Cancelled (${signal}): what was started is ended.`, ...(afterwards ? [afterwards] : [])];
    core.info(said.join(" "));
    // The runner sends SIGINT to this process alone, and waits 7.5 s before SIGTERM, 2.5 s more before it kills.
    killMarkedProcesses(run, 3_000).finally(() => process.exit(1));
  };
  process.on("SIGINT", cancel).on("SIGTERM", cancel);
  // Node would print the line of code that threw, which in a minified bundle is most of the bundle.
  process.on("uncaughtException", (error) => {
    core.setFailed(`Unexpected error, please report it: ${error instanceof Error ? error.stack : error}`);
    killMarkedProcesses(run).finally(() => process.exit(1));
  });
  try {
    if (process.platform !== "linux") {
      throw new Error(
        `kind-action runs on Linux runners, and this one is ${process.platform}: kind's nodes are Linux containers. Use \`runs-on: ubuntu-latest\`.`,
      );
    }
    if (process.arch !== "x64" && process.arch !== "arm64") {
      throw new Error(
        `kind-action runs on x64 and arm64 runners, and this one is ${process.arch}: kind is not published for it.`,
      );
    }
    await story({
      env: process.env,
      job,
      runId: run,
      runProgram: programs.start,
      spawnWorker: programs.converse,
      printer: core,
      startedMs: Date.now(),
    });
  } catch (error) {
    if (!cancelled) core.setFailed(errorMessage(error));
  }
  // Tasks that a failed one left behind may still run programs. To look for them takes a while: not where there are none.
  if (programs.running() > 0) await killMarkedProcesses(run);
  if (cancelled) await new Promise(() => {});
  // A kept-alive connection would hold the process for minutes. setFailed has set the exit code.
  process.exit();
}

/** Starts programs, and knows how many run. */
function counting(
  start: RunProgram,
  converse: SpawnWorker,
): { start: RunProgram; converse: SpawnWorker; running(): number } {
  let running = 0;
  const dialogues: WorkerProcess[] = [];
  return {
    start: (...args) => {
      running++;
      return start(...args).finally(() => running--);
    },
    converse: (...args) => {
      const dialogue = converse(...args);
      dialogues.push(dialogue);
      return dialogue;
    },
    running: () => running + dialogues.filter(({ isRunning: lives }) => lives).length,
  };
}

/** What programs get of the environment: the action's inputs, in which there are secrets, are not theirs. */
function forPrograms(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value === undefined || name.startsWith("INPUT_") ? [] : [[name, value]],
    ),
  );
}
