import { readFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { resolve } from "node:path";
import * as z from "zod";
import type { Job, WorkflowEvent } from "../plan/context.ts";

/** Reads the job from the environment that the runner sets. */
export function readJob(env: NodeJS.ProcessEnv): Job {
  const workspace = env.GITHUB_WORKSPACE ?? process.cwd();
  return {
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    workspace,
    temp: env.RUNNER_TEMP ?? tmpdir(),
    systemTemp: tmpdir(),
    home: env.HOME || homedir(),
    id: env.GITHUB_JOB ?? "job",
    workflow: env.GITHUB_WORKFLOW ?? "",
    workflowRunId: env.GITHUB_RUN_ID ?? "0",
    attempt: env.GITHUB_RUN_ATTEMPT ?? "1",
    selfHosted: env.RUNNER_ENVIRONMENT === "self-hosted",
    path: (env.PATH ?? "").split(":"),
    kubeconfig: firstOf(env.KUBECONFIG, workspace),
    clusterName: env.KIND_CLUSTER_NAME || undefined,
    network: env.KIND_EXPERIMENTAL_DOCKER_NETWORK || "kind",
  };
}

/** Returns the first path of a list such as KUBECONFIG, as an absolute path: steps start in the workspace. */
function firstOf(list: string | undefined, workspace: string): string | undefined {
  const first = list?.split(":").find(Boolean);
  return first === undefined ? undefined : resolve(workspace, first);
}

/** Reads the event that triggered the workflow. The default branch is undefined if the payload does not contain it. */
export async function readEvent(env: NodeJS.ProcessEnv): Promise<WorkflowEvent> {
  const payload = z.looseObject({ repository: z.looseObject({ default_branch: z.string() }) });
  const event: unknown = await readFile(env.GITHUB_EVENT_PATH ?? "", "utf8")
    .then(JSON.parse)
    .catch(() => undefined);
  const parsed = payload.safeParse(event);
  return {
    name: env.GITHUB_EVENT_NAME ?? "",
    ref: env.GITHUB_REF ?? "",
    defaultBranch: parsed.success ? parsed.data.repository.default_branch : undefined,
  };
}
