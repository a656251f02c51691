import { join, resolve } from "node:path";
import { inputVariables, readAction } from "./action.ts";
import { holds, type JobStatus } from "./expressions.ts";
import { type Annotation, Job, type JobOptions } from "./job.ts";
import { type ResultsService, startResultsService } from "./results-service/server.ts";
import { createRuntimeToken } from "./runtime-token.ts";
import { runStep, type StepPlan, type StepRun } from "./step.ts";
import { type CancelGrace, runnerGrace } from "./step-process.ts";

export interface RunActionOptions extends JobOptions {
  /** The folder of the action.yml. Default: the root of this repository. */
  readonly action?: string | undefined;
  /** The values of `with:`. */
  readonly inputs?: Readonly<Record<string, string>> | undefined;
  /** What the next step of the job runs, after a main that succeeded. */
  readonly command?: readonly string[] | undefined;
  /** Gives the command the harness's own stdin, stdout and stderr. Its log is then empty. */
  readonly inheritStdio?: boolean | undefined;
  /** Starts a results service for this job alone, with what is in this folder. */
  readonly cacheDir?: string | undefined;
  /** A results service that the caller started. */
  readonly resultsService?: ResultsService | undefined;
  /** Cancels the job when it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** Cancels the job so many seconds after main has started. */
  readonly cancelAfter?: number | undefined;
  readonly cancelGrace?: CancelGrace | undefined;
  /** Gets the job's log line by line, as it is written. */
  readonly print?: ((line: string) => void) | undefined;
}

/** What a job came to that runs this one action and perhaps a command after it. */
export interface ActionRun {
  /** Main's, else the command's, else post's; 130 when the job was cancelled and none of them minded. */
  readonly exitCode: number;
  readonly jobStatus: JobStatus;
  readonly main: StepRun;
  /** Absent when there was none, or it was skipped. */
  readonly command?: StepRun;
  readonly post?: StepRun;
  /** The outputs of main: when post runs, nobody is left to read any. */
  readonly outputs: Readonly<Record<string, string>>;
  /** What steps wrote to `GITHUB_ENV`, and to `GITHUB_PATH` in the order of `PATH`. */
  readonly env: Readonly<Record<string, string>>;
  readonly path: readonly string[];
  readonly state: Readonly<Record<string, string>>;
  /** Main's and post's. */
  readonly summary: string;
  readonly annotations: readonly Annotation[];
}

const repositoryRoot = resolve(import.meta.dirname, "../..");

/**
 * Runs an action's main, a command after it, and then its post, as GitHub's runner does in a job.
 *
 * A cancellation interrupts main and the command, never post: that has until the time of the cancelled job is up.
 */
export async function runAction(options: RunActionOptions = {}): Promise<ActionRun> {
  const action = await readAction(options.action ?? repositoryRoot);
  await using ownService =
    options.cacheDir === undefined ? undefined : await startResultsService({ dir: options.cacheDir });
  await using job = new Job(options);
  const services = serviceVariables(options.resultsService ?? ownService, job);
  const { print = () => undefined, cancelGrace: grace = runnerGrace } = options;

  /** Runs one of the action's scripts, as a step that sees inputs, state and services. */
  const runScript = (script: string, state: StepRun["state"], plan: Pick<StepPlan, "interrupt" | "kill">) => {
    const { env, unexpected } = inputVariables(action, options.inputs ?? {}, job.contexts());
    return runStep(
      {
        ...plan,
        warnings: unexpected.map((name) => `Unexpected input '${name}'`),
        program: process.execPath,
        args: [join(action.directory, script)],
        env: {
          ...Object.fromEntries([...state].map(([name, value]) => [`STATE_${name}`, value])),
          ...env,
          ...services,
          GITHUB_ACTION: "__self",
          GITHUB_ACTION_PATH: action.directory,
        },
        grace,
        print,
      },
      job,
    );
  };

  using cleanup = new DisposableStack();
  const { cancelled, expired } = cancellation(options, grace.job, job, cleanup);
  print("Run the action");
  const main = await runScript(action.main, new Map(), { interrupt: cancelled });

  let command: StepRun | undefined;
  if (options.command !== undefined && job.status === "success") {
    const [program = "", ...args] = options.command;
    print(`Run ${options.command.join(" ")}`);
    const inheritStdio = options.inheritStdio === true;
    const env = { GITHUB_ACTION: "__run" };
    command = await runStep({ program, args, env, interrupt: cancelled, grace, print, inheritStdio }, job);
  }

  let post: StepRun | undefined;
  if (action.post !== undefined && holds(action.postIf, job.contexts(), job.status)) {
    print("Post Run the action");
    post = await runScript(action.post, main.state, { kill: expired });
  }

  return {
    exitCode: exitCodeOf([main, command, post], job.status),
    jobStatus: job.status,
    main,
    ...(command && { command }),
    ...(post && { post }),
    outputs: Object.fromEntries(main.outputs),
    env: Object.fromEntries(job.exported),
    path: job.path,
    state: Object.fromEntries(main.state),
    summary: main.summary + (post?.summary ?? ""),
    annotations: job.annotations,
  };
}

/** @returns `cancelled`, which aborts when the job is cancelled, and `expired`, when it has used up its time then */
function cancellation(
  { signal, cancelAfter }: RunActionOptions,
  graceMs: number,
  job: Job,
  cleanup: DisposableStack,
): { readonly cancelled: AbortSignal; readonly expired: AbortSignal } {
  const cancelled = new AbortController();
  const expired = new AbortController();
  const after = (milliseconds: number, callback: () => void) => {
    const timer = setTimeout(callback, milliseconds);
    cleanup.defer(() => clearTimeout(timer));
  };
  const cancel = () => {
    if (cancelled.signal.aborted) return;
    job.status = "cancelled";
    after(graceMs, () => expired.abort());
    cancelled.abort();
  };
  signal?.addEventListener("abort", cancel);
  cleanup.defer(() => signal?.removeEventListener("abort", cancel));
  if (signal?.aborted === true) cancel();
  if (cancelAfter !== undefined) after(cancelAfter * 1000, cancel);
  return { cancelled: cancelled.signal, expired: expired.signal };
}

/** What leads an action to cache and artifacts. Only JavaScript actions get it: a `run:` step does not. */
function serviceVariables(service: ResultsService | undefined, job: Job): Readonly<Record<string, string>> {
  if (service === undefined) return {};
  const { GITHUB_RUN_ID = "", RUNNER_TRACKING_ID = "" } = job.variables;
  const token = createRuntimeToken({ run: GITHUB_RUN_ID, job: RUNNER_TRACKING_ID });
  job.masker.add(token);
  return { ...service.env, ACTIONS_RUNTIME_TOKEN: token };
}

/** A step can fail without an exit code to show for it, and a job can be cancelled without a step that fails. */
function exitCodeOf(steps: readonly (StepRun | undefined)[], status: JobStatus): number {
  const failed = steps.find((step) => step !== undefined && step.exitCode !== 0);
  return failed?.exitCode ?? { success: 0, failure: 1, cancelled: 130 }[status];
}
