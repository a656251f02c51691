import { randomBytes } from "node:crypto";
import * as core from "@actions/core";
import { errorMessage } from "../lib/errors.ts";
import { createLog, type Log, type Printer } from "../lib/log.ts";
import { createProgramRunner, killMarkedProcesses, type RunProgram } from "../lib/subprocess.ts";
import { createWorkerSpawner, type SpawnWorker, type WorkerProcess } from "../lib/worker-process.ts";
import type { Job } from "../plan/context.ts";
import { readJob } from "./job.ts";

/** The services and data that a workflow gets from the runner. */
export interface ActionContext {
  readonly env: NodeJS.ProcessEnv;
  readonly job: Job;
  /** The ID of the run, which marks its processes and everything that it creates. */
  readonly runId: string;
  readonly runProgram: RunProgram;
  readonly spawnWorker: SpawnWorker;
  /** Prints to the log of the job. Tasks have their own logs. */
  readonly printer: Printer;
  /** The log for lines and warnings outside of tasks. */
  readonly log: Log;
  /** The start of the step, in milliseconds since the epoch. */
  readonly startedMs: number;
}

/**
 * Runs a workflow as a step of the job. Only this function catches all errors, handles the signals of the runner, and exits
 * the process.
 *
 * @param options.onCancel a sentence for the log when the step is cancelled
 */
export async function runAction(
  workflow: (ctx: ActionContext) => Promise<void>,
  { onCancel }: { onCancel?: string } = {},
): Promise<never> {
  const job = readJob(process.env);
  const runId = `${job.workflowRunId}-${job.attempt}-${randomBytes(3).toString("hex")}`;
  const env = programEnvironment(process.env);
  const programs = countPrograms(createProgramRunner(runId, env), createWorkerSpawner(runId, env));
  /** Whether this process is about to exit, so that nothing that happens meanwhile is reported. */
  let exiting = false;
  const cancel = (signal: string) => {
    if (exiting) return;
    exiting = true;
    const sentences = [`Cancelled (${signal}): stopping all programs.`, ...(onCancel ? [onCancel] : [])];
    core.info(sentences.join(" "));
    // The runner sends SIGINT to this process only. It waits 7.5 s before SIGTERM, and another 2.5 s before SIGKILL.
    killMarkedProcesses(runId, 3_000).finally(() => process.exit(1));
  };
  process.on("SIGINT", cancel).on("SIGTERM", cancel);
  // Node would print the line that threw, which in a minified bundle is most of the bundle.
  process.on("uncaughtException", (error) => {
    if (exiting) return;
    exiting = true;
    core.setFailed(
      `Unexpected error, please report it as an issue: ${error instanceof Error ? error.stack : error}`,
    );
    killMarkedProcesses(runId).finally(() => process.exit(1));
  });
  try {
    if (process.platform !== "linux") {
      throw new Error(
        `kind-action runs on Linux runners only, and the platform of this runner is ${process.platform}: the nodes of kind are Linux containers. Use \`runs-on: ubuntu-latest\`.`,
      );
    }
    if (process.arch !== "x64" && process.arch !== "arm64") {
      throw new Error(
        `kind-action runs on x64 and arm64 runners only, and the architecture of this runner is ${process.arch}: kind has no release for it.`,
      );
    }
    await workflow({
      env: process.env,
      job,
      runId,
      runProgram: programs.runProgram,
      spawnWorker: programs.spawnWorker,
      printer: core,
      log: createLog(core),
      startedMs: Date.now(),
    });
  } catch (error) {
    if (!exiting) core.setFailed(errorMessage(error));
  }
  // After a failed task, others may still run programs. Finding processes takes time, so it is skipped if none run.
  if (programs.running() > 0) await killMarkedProcesses(runId);
  if (exiting) await new Promise(() => {});
  // Keep-alive connections would keep the process running for minutes. setFailed has set the exit code.
  process.exit();
}

/** Wraps the functions that start programs, and counts the running ones. */
function countPrograms(
  runProgram: RunProgram,
  spawnWorker: SpawnWorker,
): { runProgram: RunProgram; spawnWorker: SpawnWorker; running(): number } {
  let running = 0;
  const workers: WorkerProcess[] = [];
  return {
    runProgram: (...args) => {
      running++;
      return runProgram(...args).finally(() => running--);
    },
    spawnWorker: (...args) => {
      const worker = spawnWorker(...args);
      workers.push(worker);
      return worker;
    },
    running: () => running + workers.filter(({ isRunning }) => isRunning).length,
  };
}

/** Returns the environment of programs, without the action's inputs, which may contain secrets. */
function programEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value === undefined || name.startsWith("INPUT_") ? [] : [[name, value]],
    ),
  );
}
