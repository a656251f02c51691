import { readFile, statfs } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { resolve } from "node:path";
import { HttpClient } from "@actions/http-client";
import * as z from "zod";
import type { WorkflowEvent } from "../cache/keys.ts";
import { listLockedNames } from "../cluster/name-lock.ts";
import { type Endpoint, resolveEndpoint } from "../docker/endpoint.ts";
import { type DaemonInfo, Engine } from "../docker/engine.ts";
import { errorMessage } from "../lib/errors.ts";
import type { RunProgram } from "../lib/subprocess.ts";
import type { Architecture } from "../versions/releases.ts";

/** What the runner says of the job, from its environment. */
export interface Job {
  readonly architecture: Architecture;
  readonly workspace: string;
  /** The runner's, emptied with the job. */
  readonly temp: string;
  /** The machine's. */
  readonly systemTemp: string;
  readonly home: string;
  readonly id: string;
  readonly workflow: string;
  readonly runId: string;
  readonly attempt: string;
  readonly selfHosted: boolean;
  readonly path: readonly string[];
  /** The first file of $KUBECONFIG, which is the one that kind and kubectl write to. */
  readonly kubeconfig: string | undefined;
  /** kind's own variables, for what the user's other steps would see. */
  readonly clusterName: string | undefined;
  readonly network: string;
}

/** What the Docker daemon says. */
export interface Daemon {
  readonly endpoint: Endpoint;
  readonly info: DaemonInfo;
  /** Names of clusters that are there, or that another run is about to make. */
  readonly takenNames: readonly string[];
  /** Of the file system that holds images and volumes; unknown where the daemon is elsewhere. */
  readonly freeBytes: number | undefined;
}

/** Reads what the runner says of the job. */
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
    runId: env.GITHUB_RUN_ID ?? "0",
    attempt: env.GITHUB_RUN_ATTEMPT ?? "1",
    selfHosted: env.RUNNER_ENVIRONMENT === "self-hosted",
    path: (env.PATH ?? "").split(":"),
    kubeconfig: firstOf(env.KUBECONFIG, workspace),
    clusterName: env.KIND_CLUSTER_NAME || undefined,
    network: env.KIND_EXPERIMENTAL_DOCKER_NETWORK || "kind",
  };
}

/** The first path of a list such as $KUBECONFIG, made absolute: steps start in the workspace. */
function firstOf(list: string | undefined, workspace: string): string | undefined {
  const first = list?.split(":").find(Boolean);
  return first === undefined ? undefined : resolve(workspace, first);
}

/**
 * Asks the Docker daemon what a plan depends on.
 *
 * @returns the facts, or why there are none: a sentence that says what to do
 */
export async function readDaemon(
  env: NodeJS.ProcessEnv,
  run: RunProgram,
): Promise<Daemon | { problem: string }> {
  let endpoint: Endpoint;
  try {
    endpoint = await resolveEndpoint(env, run);
  } catch (error) {
    return { problem: errorMessage(error) };
  }
  try {
    const engine = new Engine(endpoint);
    const [info, nodes, claimed] = await Promise.all([
      engine.info(),
      engine.containers.listNodes(),
      listLockedNames(engine),
    ]);
    const disk = info.local ? await statfs(info.rootDirectory).catch(() => undefined) : undefined;
    return {
      endpoint,
      info,
      takenNames: [...new Set([...nodes.map((node) => node.cluster), ...claimed])],
      freeBytes: disk === undefined ? undefined : disk.bavail * disk.bsize,
    };
  } catch (error) {
    return {
      problem: `The Docker daemon at ${endpoint.DOCKER_HOST} does not answer (${errorMessage(error)}). Start it, for instance with \`sudo systemctl start docker\`; if it runs, this user must be allowed to use its socket (group \`docker\`).`,
    };
  }
}

/** The newest release of kind, from where GitHub redirects to. @throws when GitHub does not answer in time */
export async function latestKind(): Promise<string> {
  const client = new HttpClient("kind-action", [], { allowRedirects: false, socketTimeout: 10_000 });
  const response = await client.head("https://github.com/kubernetes-sigs/kind/releases/latest");
  const version = /\/tag\/(v0\.\d+\.\d+)$/.exec(response.message.headers.location ?? "")?.[1];
  if (version === undefined)
    throw new Error(`GitHub names no latest release of kind (status ${response.message.statusCode})`);
  return version;
}

/** Reads what set the job off. */
export async function readEvent(env: NodeJS.ProcessEnv): Promise<WorkflowEvent> {
  const payload = z.looseObject({ repository: z.looseObject({ default_branch: z.string() }) });
  const event: unknown = await readFile(env.GITHUB_EVENT_PATH ?? "", "utf8")
    .then(JSON.parse)
    .catch(() => undefined);
  const read = payload.safeParse(event);
  return {
    name: env.GITHUB_EVENT_NAME ?? "",
    ref: env.GITHUB_REF ?? "",
    defaultBranch: read.success ? read.data.repository.default_branch : undefined,
  };
}
