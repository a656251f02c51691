import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { inheritedEnvironment } from "./job-variables.ts";
import type { ResultsService } from "./results-service/server.ts";
import { createRuntimeToken } from "./runtime-token.ts";

export interface RunWorkflowOptions {
  /** The workflow file, relative to the workspace. */
  readonly workflow: string;
  /** A git repository. `actions/checkout` gives every job a copy of its worktree. */
  readonly workspace: string;
  /** Default: push. */
  readonly event?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Cache and artifacts of all jobs. */
  readonly resultsService: ResultsService;
  /** Gets the log line by line, as it is written. */
  readonly print?: ((line: string) => void) | undefined;
  /** Cancels the workflow when it aborts. act then kills steps outright: look at run-action for how GitHub does it. */
  readonly signal?: AbortSignal | undefined;
}

export interface WorkflowRun {
  readonly exitCode: number;
  readonly log: string;
  readonly seconds: number;
  /** The run that its artifacts belong to. */
  readonly runId: string;
}

const repositoryRoot = resolve(import.meta.dirname, "../..");

/** GitHub's own actions that the folder `actions` has a stand-in for, at any version. */
const replaced = /\bactions\/(?<name>(?:up|down)load-artifact)@[\w./-]+/g;

/**
 * Runs a workflow with nektos/act on this machine, without containers and without network. `act` must be on PATH.
 *
 * Steps see little more than PATH of the caller's environment, as in `runAction`: act hands all of its own to them.
 */
export async function runWorkflow(options: RunWorkflowOptions): Promise<WorkflowRun> {
  const started = performance.now();
  const runId = String(randomInt(10_000_000_000, 99_999_999_999));
  await using folder = await actFolder();
  const child = spawn("act", await actArguments(options, runId), {
    cwd: options.workspace,
    env: folder.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const cancel = () => child.kill("SIGINT");
  if (options.signal?.aborted === true) cancel();
  options.signal?.addEventListener("abort", cancel, { once: true });

  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      options.print?.(line);
    });
  }
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 1));
  }).finally(() => options.signal?.removeEventListener("abort", cancel));
  return { exitCode, log: lines.join("\n"), seconds: (performance.now() - started) / 1000, runId };
}

async function actArguments(options: RunWorkflowOptions, runId: string): Promise<string[]> {
  const env = {
    ...options.env,
    ...options.resultsService.env,
    ACTIONS_RUNTIME_TOKEN: createRuntimeToken({ run: runId, job: "1" }),
    GITHUB_RUN_ID: runId,
  };
  return [
    options.event ?? "push",
    ...["--workflows", options.workflow],
    ...["ubuntu-latest", "ubuntu-24.04", "ubuntu-24.04-arm"].flatMap((label) => [
      "--platform",
      `${label}=-self-hosted`,
    ]),
    "--pull=false",
    "--action-offline-mode",
    // act's own cache server speaks a protocol that current clients have left behind.
    "--no-cache-server",
    ...(await standIns(resolve(options.workspace, options.workflow))),
    ...Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
  ];
}

/** Leads act to the stand-ins in place of the actions that a workflow names. */
async function standIns(workflow: string): Promise<string[]> {
  const uses = (await readFile(workflow, "utf8")).matchAll(replaced);
  return [...uses].flatMap(([action, name = ""]) => [
    "--local-repository",
    `${action}=${join(import.meta.dirname, "actions", name)}`,
  ]);
}

/** A home for act that nothing of the machine's own gets into, and that is gone afterwards. */
async function actFolder(): Promise<AsyncDisposable & { readonly env: Record<string, string> }> {
  const folder = await mkdtemp(join(tmpdir(), "act-"));
  // Without a configuration act asks which image it shall run jobs in.
  await mkdir(join(folder, "config/act"), { recursive: true });
  await writeFile(join(folder, "config/act/actrc"), "");
  await mkdir(join(folder, "home"));
  // act copies actions to below its cache. There they find the packages they import.
  await symlink(join(repositoryRoot, "node_modules"), join(folder, "node_modules"));
  const inherited = inheritedEnvironment();
  return {
    env: {
      ...inherited,
      PATH: [dirname(process.execPath), inherited.PATH ?? ""].join(delimiter),
      HOME: join(folder, "home"),
      XDG_CONFIG_HOME: join(folder, "config"),
      XDG_CACHE_HOME: join(folder, "cache"),
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }),
  };
}
