import { CommandFiles } from "./command-files.ts";
import type { Job } from "./job.ts";
import { type CancelGrace, runProcess } from "./step-process.ts";
import { CommandReader } from "./workflow-commands.ts";

export interface StepPlan {
  readonly program: string;
  readonly args: readonly string[];
  /** What this step sees beyond the job's environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly warnings?: readonly string[];
  /** A step with the harness's own stdin, stdout and stderr: its log is not read, nor masked. */
  readonly inheritStdio?: boolean;
  /** Says `Process completed with exit code N.` after a failure, as `run:` steps do. */
  readonly announceExitCode?: boolean;
  readonly interrupt?: AbortSignal;
  readonly kill?: AbortSignal;
  readonly grace: CancelGrace;
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
  const files = await CommandFiles.create(job.temp);
  const lines: string[] = [];
  const outputs = new Map<string, string>();
  const state = new Map<string, string>();
  let failed = false;

  const print = (line: string) => {
    const masked = job.masker.mask(line);
    lines.push(masked);
    plan.print(masked);
  };
  const annotate = (level: "notice" | "warning" | "error", message: string) => {
    const masked = job.masker.mask(message);
    job.annotations.push({ level, message: masked });
    print(`${level.charAt(0).toUpperCase()}${level.slice(1)}: ${message}`);
  };
  const reader = new CommandReader(
    {
      print,
      annotate,
      addMask: (secret) => job.masker.add(secret),
      setOutput: (name, value) => outputs.set(name, value),
      saveState: (name, value) => state.set(name, value),
      fail: () => {
        failed = true;
      },
    },
    { debug: job.debug },
  );

  for (const warning of plan.warnings ?? []) annotate("warning", warning);
  const exit = await runProcess({
    program: plan.program,
    args: plan.args,
    cwd: job.workspace,
    env: { ...job.environment(plan.env), ...files.env },
    onLine: plan.inheritStdio === true ? undefined : (line) => reader.read(line),
    interrupt: plan.interrupt,
    kill: plan.kill,
    grace: plan.grace,
  });

  // The files are read whatever happened to the process: state saved before a kill reaches post.
  const contents = await files.read();
  job.exportEnv(contents.env);
  job.addPath(contents.path);
  for (const [name, value] of contents.outputs) outputs.set(name, value);
  for (const [name, value] of contents.state) state.set(name, value);
  for (const error of contents.errors) annotate("error", error);

  const cancelled = plan.interrupt?.aborted === true;
  if (cancelled) annotate("error", "The operation was canceled.");
  else if (exit.exitCode !== 0 && plan.announceExitCode === true) {
    annotate("error", `Process completed with exit code ${exit.exitCode}.`);
  }
  failed ||= exit.exitCode !== 0 || contents.malformed;
  if (failed) job.fail();
  return {
    outcome: cancelled ? "cancelled" : failed ? "failure" : "success",
    ...exit,
    log: lines.join("\n"),
    outputs,
    state,
    summary: contents.summary
      .split("\n")
      .map((line) => job.masker.mask(line))
      .join("\n"),
  };
}
