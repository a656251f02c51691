import { randomUUID } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What a step wrote into the files the runner gave it. */
export interface CommandFileContents {
  readonly env: ReadonlyMap<string, string>;
  readonly path: readonly string[];
  readonly state: ReadonlyMap<string, string>;
  readonly outputs: ReadonlyMap<string, string>;
  readonly summary: string;
  /** What the runner says about content it does not take. */
  readonly errors: readonly string[];
  /** A file that breaks the format fails the step; content that is refused does not. */
  readonly malformed: boolean;
}

type CommandFile = "env" | "path" | "state" | "output" | "step_summary";

const summaryLimit = 1024 * 1024;

/** The files of one step: `GITHUB_ENV`, `GITHUB_PATH`, `GITHUB_STATE`, `GITHUB_OUTPUT`, `GITHUB_STEP_SUMMARY`. */
export class CommandFiles {
  readonly #paths: Readonly<Record<CommandFile, string>>;

  private constructor(paths: Readonly<Record<CommandFile, string>>) {
    this.#paths = paths;
  }

  /** Fresh, empty files for a step. */
  static async create(runnerTemp: string): Promise<CommandFiles> {
    const directory = join(runnerTemp, "_runner_file_commands");
    await mkdir(directory, { recursive: true });
    const suffix = randomUUID();
    const paths = {
      env: join(directory, `set_env_${suffix}`),
      path: join(directory, `add_path_${suffix}`),
      state: join(directory, `save_state_${suffix}`),
      output: join(directory, `set_output_${suffix}`),
      step_summary: join(directory, `step_summary_${suffix}`),
    };
    await Promise.all(Object.values(paths).map((path) => writeFile(path, "")));
    return new CommandFiles(paths);
  }

  /** The variables that tell a step where its files are. */
  get env(): Record<string, string> {
    return Object.fromEntries(
      Object.entries(this.#paths).map(([name, path]) => [`GITHUB_${name.toUpperCase()}`, path]),
    );
  }

  /** Reads the files after the step. One that the step removed counts as empty. */
  async read(): Promise<CommandFileContents> {
    const errors: string[] = [];
    let malformed = false;
    const pairs = async (file: CommandFile) => {
      const read = new Map<string, string>();
      try {
        for (const [name, value] of keyValues(await this.#text(file))) read.set(name, value);
      } catch (error) {
        malformed = true;
        errors.push(`Unable to process file command '${file}' successfully.`, messageOf(error));
      }
      return read;
    };

    const env = await pairs("env");
    for (const name of env.keys()) {
      if (name.toUpperCase() !== "NODE_OPTIONS") continue;
      env.delete(name);
      errors.push("Can't store NODE_OPTIONS output parameter using '$GITHUB_ENV' command.");
    }
    const path = (await this.#text("path")).split(/\r\n|\r|\n/).filter((line) => line !== "");
    const state = await pairs("state");
    const outputs = await pairs("output");
    let summary = await this.#text("step_summary");
    const size = Buffer.byteLength(summary);
    if (size > summaryLimit) {
      errors.push(summaryTooLarge(size));
      summary = "";
    }
    return { env, path, state, outputs, summary, errors, malformed };
  }

  async #text(file: CommandFile): Promise<string> {
    return readFile(this.#paths[file], "utf8").catch((error: unknown) => {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
      throw error;
    });
  }
}

/**
 * The pairs of `NAME=VALUE` lines and heredocs (`NAME<<DELIMITER`, lines, `DELIMITER`). Whichever sign comes first in
 * a line decides what it is. What stands before a line that is neither still counts.
 */
export function* keyValues(text: string): Generator<[name: string, value: string]> {
  // Only \n ends a line on Linux: the \r of a CRLF file becomes part of the value.
  const lines = text.split("\n");
  for (let line = lines.shift(); line !== undefined; line = lines.shift()) {
    if (line === "") continue;
    const equals = line.indexOf("=");
    const heredoc = line.indexOf("<<");
    if (equals >= 0 && (heredoc < 0 || equals < heredoc)) {
      yield [line.slice(0, equals), line.slice(equals + 1)];
    } else if (heredoc >= 0) {
      const name = line.slice(0, heredoc);
      const delimiter = line.slice(heredoc + 2);
      if (name === "" || delimiter === "") {
        throw new Error(`Invalid format '${line}'. Name must not be empty and delimiter must not be empty`);
      }
      const end = lines.indexOf(delimiter);
      if (end < 0) throw new Error(`Invalid value. Matching delimiter not found '${delimiter}'`);
      yield [name, lines.slice(0, end).join("\n")];
      lines.splice(0, end + 1);
    } else {
      throw new Error(`Invalid format '${line}'`);
    }
  }
}

function summaryTooLarge(size: number): string {
  return `$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of ${summaryLimit / 1024}k, got ${Math.floor(size / 1024)}k. For more information see: https://docs.github.com/actions/using-workflows/workflow-commands-for-github-actions#adding-a-markdown-summary`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
