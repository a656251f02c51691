import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { inheritedEnvironment } from "./job-variables.ts";
import type { ResultsService } from "./results-service/server.ts";
import { createRuntimeToken } from "./runtime-token.ts";

export interface RunWorkflowOptions {
  /** The workflow file, relative to the workspace. */
  readonly workflow: string;
  /** A git repository. `actions/checkout` gives every job a copy of its worktree. */
  readonly workspace: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Cache and artifacts of all jobs: act's own servers have no cache v2. */
  readonly resultsService: ResultsService;
}

export interface WorkflowRun {
  readonly exitCode: number;
  readonly log: string;
}

const repositoryRoot = resolve(import.meta.dirname, "../..");

/** GitHub's own actions that the folder `actions` has a stand-in for, at any version. */
const replaced = /\bactions\/(?<name>(?:up|down)load-artifact)@[\w./-]+/g;

/**
 * Runs a workflow for a push with nektos/act on this machine, without containers and without network. `act` must be on
 * PATH. A cancellation is not for act, which kills steps outright: `runAction` does it as GitHub does.
 *
 * Steps see little more than PATH of the caller's environment, as in `runAction`: act hands all of its own to them.
 */
export async function runWorkflow(options: RunWorkflowOptions): Promise<WorkflowRun> {
  await using folder = await actFolder();
  const child = spawn("act", await actArguments(options), {
    cwd: options.workspace,
    env: folder.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text) => (log += text));
  await once(child, "close");
  return { exitCode: child.exitCode ?? 1, log };
}

async function actArguments(options: RunWorkflowOptions): Promise<string[]> {
  const runId = String(randomInt(10_000_000_000, 99_999_999_999));
  const env = {
    ...options.env,
    ...options.resultsService.env,
    ACTIONS_RUNTIME_TOKEN: createRuntimeToken({ run: runId, job: "1" }),
    GITHUB_RUN_ID: runId,
  };
  const labels = ["ubuntu-latest", "ubuntu-24.04", "ubuntu-24.04-arm"];
  return [
    ...["push", "--workflows", options.workflow],
    ...labels.flatMap((label) => ["--platform", `${label}=-self-hosted`]),
    ...["--pull=false", "--action-offline-mode", "--no-cache-server"],
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
