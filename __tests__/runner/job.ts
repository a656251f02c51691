import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { defaultContexts, type JobStatus, type Matrix } from "./contexts.ts";
import type { Value } from "./expressions/value.ts";
import { inheritedEnvironment, pushEvent, runnerVariables } from "./job-variables.ts";
import { SecretMasker } from "./secret-masker.ts";

export interface JobOptions {
  /** `GITHUB_WORKSPACE`. Default: the current directory. */
  readonly workspace?: string | undefined;
  /**
   * The job's `env:`. `GITHUB_*` and `RUNNER_*` replace what the runner would say; `HOME`, `RUNNER_TEMP` and
   * `RUNNER_TOOL_CACHE` name a folder of the caller instead of one made for this job.
   */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly matrix?: Matrix | undefined;
  /** Leaves the folders made for the job when it ends. */
  readonly keep?: boolean | undefined;
}

export interface Annotation {
  readonly level: "notice" | "warning" | "error";
  readonly message: string;
}

/** A job on its runner: what its steps share, and what they change for those that follow. */
export class Job {
  readonly variables: Readonly<Record<string, string>>;
  readonly home: string;
  /** Holds every folder that was made for this job. */
  readonly folder: string;
  /** The `env` context: the job's `env:` and what steps wrote to `GITHUB_ENV`. */
  readonly env: Map<string, string>;
  /** What steps wrote to `GITHUB_ENV` alone. */
  readonly exported = new Map<string, string>();
  readonly masker = new SecretMasker();
  readonly annotations: Annotation[] = [];
  readonly #event: Value;
  readonly #matrix: Matrix | undefined;
  readonly #keep: boolean;
  #addedPath: string[] = [];
  #status: JobStatus = "success";

  private constructor(made: {
    readonly variables: Readonly<Record<string, string>>;
    readonly env: Readonly<Record<string, string>>;
    readonly home: string;
    readonly folder: string;
    readonly event: Value;
    readonly matrix: Matrix | undefined;
    readonly keep: boolean;
  }) {
    this.variables = made.variables;
    this.env = new Map(Object.entries(made.env));
    this.home = made.home;
    this.folder = made.folder;
    this.#event = made.event;
    this.#matrix = made.matrix;
    this.#keep = made.keep;
  }

  /** Makes the folders of a job and everything it starts with. */
  static async start(options: JobOptions): Promise<Job> {
    const given = options.env ?? {};
    const own = await mkdtemp(join(tmpdir(), "run-action-"));
    const folder = async (name: string, givenPath: string | undefined) => {
      const path = resolve(givenPath ?? join(own, name));
      await mkdir(path, { recursive: true });
      return path;
    };
    const temp = await folder("_temp", given.RUNNER_TEMP);
    const eventPath = join(temp, "_github_workflow", "event.json");
    await mkdir(dirname(eventPath), { recursive: true });
    await writeFile(eventPath, pushEvent());
    const folders = {
      workspace: resolve(options.workspace ?? process.cwd()),
      temp,
      toolCache: await folder("_tool", given.RUNNER_TOOL_CACHE),
      home: await folder("home", given.HOME),
      eventPath,
    };

    const isVariable = (name: string) => /^(GITHUB|RUNNER)_/.test(name);
    const split = (wanted: boolean) =>
      Object.fromEntries(Object.entries(given).filter(([name]) => isVariable(name) === wanted));
    const variables: Record<string, string> = {
      ...runnerVariables(folders),
      ...split(true),
      RUNNER_TEMP: folders.temp,
      RUNNER_TOOL_CACHE: folders.toolCache,
    };
    return new Job({
      variables,
      env: { ...split(false), ...(given.HOME !== undefined && { HOME: folders.home }) },
      home: folders.home,
      folder: own,
      event: z.json().parse(JSON.parse(await readFile(variables.GITHUB_EVENT_PATH ?? eventPath, "utf8"))),
      matrix: options.matrix,
      keep: options.keep === true,
    });
  }

  get workspace(): string {
    return this.variables.GITHUB_WORKSPACE ?? "";
  }

  get temp(): string {
    return this.variables.RUNNER_TEMP ?? "";
  }

  get debug(): boolean {
    return this.variables.RUNNER_DEBUG === "1";
  }

  get status(): JobStatus {
    return this.#status;
  }

  /** A step failed. A cancelled job stays cancelled. */
  fail(): void {
    if (this.#status === "success") this.#status = "failure";
  }

  cancel(): void {
    this.#status = "cancelled";
  }

  /** What steps wrote to `GITHUB_PATH`, in the order of `PATH`: the last one comes first. */
  get addedPath(): readonly string[] {
    return this.#addedPath;
  }

  addPath(entries: readonly string[]): void {
    for (const entry of entries) {
      this.#addedPath = [entry, ...this.#addedPath.filter((other) => other !== entry)];
    }
  }

  exportEnv(variables: ReadonlyMap<string, string>): void {
    for (const [name, value] of variables) {
      this.env.set(name, value);
      this.exported.set(name, value);
    }
  }

  contexts(): Record<string, Value> {
    return defaultContexts({
      status: this.status,
      variables: this.variables,
      event: this.#event,
      matrix: this.#matrix,
    });
  }

  /** The environment of a step. What the runner says about itself comes last: no step can change it for the next. */
  environment(step: Readonly<Record<string, string>>): Record<string, string> {
    const env: Record<string, string> = {
      CI: "true",
      ...inheritedEnvironment(),
      HOME: this.home,
      ...Object.fromEntries(this.env),
      ...step,
    };
    const path = [...this.#addedPath, env.PATH].filter((entry) => entry !== undefined).join(delimiter);
    return { ...env, PATH: path, ...this.variables };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#keep) return;
    // A process that a test left running may still write: try a few times.
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
