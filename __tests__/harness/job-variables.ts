import { randomInt, randomUUID } from "node:crypto";
import { arch } from "node:os";

/** The folders of a job on its runner, and the file with the event that has started it. */
export interface JobFolders {
  readonly workspace: string;
  readonly temp: string;
  readonly toolCache: string;
  readonly eventPath: string;
}

/**
 * What of the caller's environment a job may see: how to reach Docker and the network, and what programs need to run
 * at all. Nothing else, above all no KUBECONFIG: a run must not depend on who starts it.
 */
const inheritedNames = [
  "PATH",
  "LANG",
  "LC_ALL",
  "TZ",
  "DOCKER_HOST",
  "DOCKER_CONTEXT",
  "DOCKER_CONFIG",
  "DOCKER_CERT_PATH",
  "DOCKER_TLS_VERIFY",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "ALL_PROXY",
  "http_proxy",
  "https_proxy",
  "no_proxy",
  "all_proxy",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "NODE_EXTRA_CA_CERTS",
];

/** The part of the caller's environment that a job inherits. */
export function inheritedEnvironment(caller: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const inherited: Record<string, string> = {};
  for (const name of inheritedNames) {
    const value = caller[name];
    if (value !== undefined) inherited[name] = value;
  }
  return inherited;
}

/**
 * The variables that the runner itself sets, for a push to the default branch on a hosted Linux runner. A step cannot
 * change them. Each job is a workflow run of its own: it has its own `GITHUB_RUN_ID`.
 */
export function runnerVariables(folders: JobFolders): Record<string, string> {
  return {
    GITHUB_ACTIONS: "true",
    GITHUB_EVENT_NAME: "push",
    GITHUB_EVENT_PATH: folders.eventPath,
    GITHUB_JOB: "test",
    GITHUB_REF: "refs/heads/main",
    GITHUB_REPOSITORY: "org/repo",
    GITHUB_RETENTION_DAYS: "90",
    GITHUB_RUN_ATTEMPT: "1",
    GITHUB_RUN_ID: String(randomInt(10_000_000_000, 99_999_999_999)),
    GITHUB_SERVER_URL: "https://github.com",
    GITHUB_WORKFLOW: "test",
    GITHUB_WORKSPACE: folders.workspace,
    RUNNER_ARCH: arch() === "arm64" ? "ARM64" : "X64",
    RUNNER_ENVIRONMENT: "github-hosted",
    RUNNER_OS: "Linux",
    RUNNER_TEMP: folders.temp,
    RUNNER_TOOL_CACHE: folders.toolCache,
    RUNNER_TRACKING_ID: `github_${randomUUID()}`,
  };
}

/** The payload of the event that the variables speak of. */
export const pushEvent = JSON.stringify({
  ref: "refs/heads/main",
  repository: { full_name: "org/repo", default_branch: "main" },
});
