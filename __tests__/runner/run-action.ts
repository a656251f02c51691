import { resolve } from "node:path";
import { readAction } from "./action-metadata.ts";
import { ActionSteps } from "./action-steps.ts";
import { Cancellation } from "./cancellation.ts";
import { type JobStatus, statusFunctions } from "./contexts.ts";
import { evaluate } from "./expressions/evaluate.ts";
import { isTruthy } from "./expressions/value.ts";
import { type Annotation, Job, type JobOptions } from "./job.ts";
import { type ResultsService, startResultsService } from "./results-service/server.ts";
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
  /** How long a cancelled job may take in all, in milliseconds. GitHub gives it 5 minutes. */
  readonly cancelDeadline?: number | undefined;
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
  /** These folders are gone, unless `keep` was set or the caller gave them. */
  readonly runnerTemp: string;
  readonly home: string;
  /** Holds the folders that were made for the job: what is to be removed after a run with `keep`. */
  readonly folder: string;
}

const repositoryRoot = resolve(import.meta.dirname, "../..");

const fiveMinutes = 5 * 60 * 1000;

/** Runs an action's main, a command after it, and then always its post, as GitHub's runner does in a job. */
export async function runAction(options: RunActionOptions = {}): Promise<ActionRun> {
  const action = await readAction(options.action ?? repositoryRoot);
  await using ownService =
    options.cacheDir === undefined ? undefined : await startResultsService({ dir: options.cacheDir });
  await using job = await Job.start(options);
  using cancellation = new Cancellation({
    signal: options.signal,
    deadline: options.cancelDeadline ?? fiveMinutes,
    onCancel: () => job.cancel(),
  });
  const steps = new ActionSteps(action, options.inputs ?? {}, job, options.resultsService ?? ownService);
  const { print = () => undefined, cancelGrace: grace = runnerGrace } = options;

  print("Run the action");
  if (options.cancelAfter !== undefined) cancellation.cancelAfter(options.cancelAfter * 1000);
  const main = await steps.main({ interrupt: cancellation.signal, grace, print });

  let command: StepRun | undefined;
  if (options.command !== undefined && job.status === "success") {
    command = await runCommand(options.command, job, {
      interrupt: cancellation.signal,
      grace,
      print,
      inheritStdio: options.inheritStdio === true,
    });
  }

  const wantsPost = () => holds(action.postIf, job);
  let post: StepRun | undefined;
  if (action.post !== undefined && wantsPost()) {
    print("Post Run the action");
    post = await steps.post(action.post, main.state, {
      interrupt: cancellation.unless(wantsPost),
      kill: cancellation.deadline,
      grace,
      print,
    });
  }

  return {
    exitCode: exitCodeOf([main, command, post], job.status),
    jobStatus: job.status,
    main,
    ...(command && { command }),
    ...(post && { post }),
    outputs: Object.fromEntries(main.outputs),
    env: Object.fromEntries(job.exported),
    path: job.addedPath,
    state: Object.fromEntries(main.state),
    summary: main.summary + (post?.summary ?? ""),
    annotations: job.annotations,
    runnerTemp: job.temp,
    home: job.home,
    folder: job.folder,
  };
}

/** A `run:` step: it has the job's environment and nothing of the action's own. */
function runCommand(
  command: readonly string[],
  job: Job,
  plan: Pick<StepPlan, "interrupt" | "grace" | "print" | "inheritStdio">,
): Promise<StepRun> {
  const [program = "", ...args] = command;
  plan.print(`Run ${command.join(" ")}`);
  return runStep({ ...plan, program, args, env: { GITHUB_ACTION: "__run" }, announceExitCode: true }, job);
}

/** Whether a step's `if` is true as things stand. */
function holds(condition: string, job: Job): boolean {
  const contexts = { ...job.contexts(), env: Object.fromEntries(job.env) };
  return isTruthy(evaluate(condition, { contexts, functions: statusFunctions(job.status) }));
}

/** A step can fail without an exit code to show for it, and a job can be cancelled without a step that fails. */
function exitCodeOf(steps: readonly (StepRun | undefined)[], status: JobStatus): number {
  const failed = steps.find((step) => step !== undefined && step.exitCode !== 0);
  return failed?.exitCode ?? { success: 0, failure: 1, cancelled: 130 }[status];
}
