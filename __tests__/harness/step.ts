import { createCommandFiles, readCommandFiles } from "./command-files.ts";
import type { Annotation, Job } from "./job.ts";
import { type ProcessPlan, runProcess } from "./step-process.ts";
import { parseCommand } from "./workflow-commands.ts";

/** `env`: what this step sees beyond the job's environment. */
export interface StepPlan extends Omit<ProcessPlan, "cwd" | "onLine"> {
  /** What the runner has to say before the step starts. */
  readonly warnings?: readonly string[];
  /** A step with the harness's own stdin, stdout and stderr: its log is not read, nor masked. */
  readonly inheritStdio?: boolean;
  readonly print: (line: string) => void;
}

/** What became of a step. */
export interface StepRun {
  readonly outcome: "success" | "failure" | "cancelled";
  readonly exitCode: number;
  readonly signal: NodeJS.Signals | null;
  readonly seconds: number;
  /** What the job's log shows: masked, commands obeyed. */
  readonly log: string;
  readonly outputs: ReadonlyMap<string, string>;
  readonly state: ReadonlyMap<string, string>;
  readonly summary: string;
}

/** Runs one step of a job and passes on what it leaves: environment, path, annotations, and the job's status. */
export async function runStep(plan: StepPlan, job: Job): Promise<StepRun> {
  const files = await createCommandFiles(job.variables.RUNNER_TEMP ?? "");
  const lines: string[] = [];
  const print = (line: string) => {
    const masked = job.masker.mask(line);
    lines.push(masked);
    plan.print(masked);
  };
  const annotate = (level: Annotation["level"], message: string) => {
    job.annotations.push({ level, message: job.masker.mask(message) });
    print(`${level.charAt(0).toUpperCase()}${level.slice(1)}: ${message}`);
  };
  const onLine = (line: string) => {
    const command = parseCommand(line);
    if (command === undefined) return print(line);
    const { name, data } = command;
    if (name === "group") print(`▸ ${data}`);
    else if (name === "add-mask") job.masker.add(data);
    else if (name === "debug" && job.variables.RUNNER_DEBUG === "1") print(`##[debug]${data}`);
    else if (name === "notice" || name === "warning" || name === "error") annotate(name, data);
  };

  for (const warning of plan.warnings ?? []) annotate("warning", warning);
  const exit = await runProcess({
    ...plan,
    cwd: job.variables.GITHUB_WORKSPACE ?? "",
    env: { ...job.environment(plan.env), ...files },
    onLine: plan.inheritStdio === true ? undefined : onLine,
  });

  // The files are read whatever happened to the process: state saved before a kill reaches post.
  const { env, path, outputs, state, summary, errors } = await readCommandFiles(files);
  for (const [name, value] of env) job.exported.set(name, value);
  job.addPath(path);
  for (const error of errors) annotate("error", error);

  const cancelled = plan.interrupt?.aborted === true;
  const failed = exit.exitCode !== 0 || errors.length > 0;
  if (cancelled) annotate("error", "The operation was canceled.");
  if (failed) job.fail();
  return {
    outcome: cancelled ? "cancelled" : failed ? "failure" : "success",
    ...exit,
    log: lines.join("\n"),
    outputs,
    state,
    summary: job.masker.mask(summary),
  };
}
