import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import type { Contexts, JobStatus } from "./expressions.ts";
import { inheritedEnvironment, pushEvent, runnerVariables } from "./job-variables.ts";
import { SecretMasker } from "./secret-masker.ts";

export interface JobOptions {
  /** `GITHUB_WORKSPACE`. Default: the current directory. */
  readonly workspace?: string | undefined;
  /**
   * The job's `env:`. `GITHUB_*` and `RUNNER_*` replace what the runner would say; `HOME` and `RUNNER_TEMP` name a folder
   * of the caller instead of one made for this job.
   */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** The `matrix` context. */
  readonly matrix?: Readonly<Record<string, string>> | undefined;
}

export interface Annotation {
  readonly level: "notice" | "warning" | "error";
  readonly message: string;
}

/** A job on its runner: what its steps share, and what they change for those that follow. */
export class Job implements AsyncDisposable {
  status: JobStatus = "success";
  /** What steps wrote to `GITHUB_ENV`. */
  readonly exported = new Map<string, string>();
  /** What steps wrote to `GITHUB_PATH`, in the order of `PATH`: the last one comes first. */
  path: readonly string[] = [];
  readonly masker = new SecretMasker();
  readonly annotations: Annotation[] = [];
  /** What the runner sets. */
  readonly variables: Readonly<Record<string, string>>;
  readonly #env: Readonly<Record<string, string>>;
  readonly #matrix: JobOptions["matrix"];
  readonly #folder = mkdtempSync(join(tmpdir(), "run-action-"));

  /** Makes the folders of a job. They are gone when it is disposed, but for those of the caller. */
  constructor({ workspace = process.cwd(), env = {}, matrix }: JobOptions) {
    const home = env.HOME ?? join(this.#folder, "home");
    const folders = {
      workspace: resolve(workspace),
      temp: env.RUNNER_TEMP ?? join(this.#folder, "_temp"),
      toolCache: join(this.#folder, "_tool"),
      eventPath: join(this.#folder, "event.json"),
    };
    for (const path of [home, folders.temp, folders.toolCache]) mkdirSync(path, { recursive: true });
    writeFileSync(folders.eventPath, pushEvent);

    const ofRunner = (name: string) => /^(GITHUB|RUNNER)_/.test(name);
    const split = (wanted: boolean) =>
      Object.fromEntries(Object.entries(env).filter(([name]) => ofRunner(name) === wanted));
    this.variables = { ...runnerVariables(folders), ...split(true) };
    this.#env = { HOME: home, ...split(false) };
    this.#matrix = matrix;
  }

  /** A step failed. A cancelled job stays cancelled. */
  fail(): void {
    if (this.status === "success") this.status = "failure";
  }

  addPath(entries: readonly string[]): void {
    for (const entry of entries) this.path = [entry, ...this.path.filter((other) => other !== entry)];
  }

  /** What the defaults of inputs and conditions can read. */
  contexts(): Contexts {
    return {
      github: this.#withPrefix("GITHUB_"),
      runner: this.#withPrefix("RUNNER_"),
      job: { status: this.status },
      matrix: this.#matrix ?? null,
    };
  }

  /** The environment of a step. What the runner says about itself comes last: no step can change it for the next. */
  environment(step: Readonly<Record<string, string>>): Record<string, string> {
    const env: Record<string, string> = {
      CI: "true",
      ...inheritedEnvironment(),
      ...this.#env,
      ...Object.fromEntries(this.exported),
      ...step,
    };
    return { ...env, PATH: [...this.path, env.PATH].join(delimiter), ...this.variables };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A process that a test left running may still write: try a few times.
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #withPrefix(prefix: string): Record<string, string> {
    const own = Object.entries(this.variables).filter(([name]) => name.startsWith(prefix));
    return Object.fromEntries(own.map(([name, value]) => [name.slice(prefix.length).toLowerCase(), value]));
  }
}
