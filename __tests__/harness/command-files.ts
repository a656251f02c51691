import { randomUUID } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The paths of the files in which a step leaves what it has for the runner, by the variables that name them. */
export type CommandFiles = Awaited<ReturnType<typeof createCommandFiles>>;

/** Makes new, empty command files for a step, below `RUNNER_TEMP`. */
export async function createCommandFiles(temp: string) {
  const folder = join(temp, "_runner_file_commands");
  await mkdir(folder, { recursive: true });
  const create = async (name: string) => {
    const path = join(folder, `${name}_${randomUUID()}`);
    await writeFile(path, "");
    return path;
  };
  return {
    GITHUB_ENV: await create("set_env"),
    GITHUB_OUTPUT: await create("set_output"),
    GITHUB_PATH: await create("add_path"),
    GITHUB_STATE: await create("save_state"),
    GITHUB_STEP_SUMMARY: await create("step_summary"),
  };
}

/** Reads the command files of a step that has ended. @returns `errors`: what breaks the format, which fails the step */
export async function readCommandFiles(files: CommandFiles) {
  const errors: string[] = [];
  const pairs = async (variable: keyof CommandFiles) => {
    const read = new Map<string, string>();
    try {
      for (const [name, value] of keyValues(await readFile(files[variable], "utf8"))) read.set(name, value);
    } catch (error) {
      errors.push(`Unable to process the file command ${variable}: ${error}`);
    }
    return read;
  };
  const path = await readFile(files.GITHUB_PATH, "utf8");
  return {
    env: await pairs("GITHUB_ENV"),
    path: path.split("\n").filter((line) => line !== ""),
    state: await pairs("GITHUB_STATE"),
    outputs: await pairs("GITHUB_OUTPUT"),
    summary: await readFile(files.GITHUB_STEP_SUMMARY, "utf8"),
    errors,
  };
}

/**
 * The pairs of `NAME=VALUE` lines and heredocs (`NAME<<DELIMITER`, lines, `DELIMITER`). Whichever sign comes first in
 * a line decides what it is. What stands before a line that is neither still counts.
 */
function* keyValues(text: string): Generator<[name: string, value: string]> {
  const lines = text.split("\n");
  for (let line = lines.shift(); line !== undefined; line = lines.shift()) {
    if (line === "") continue;
    const [, name = "", sign, rest = ""] = /^(.*?)(=|<<)(.*)$/s.exec(line) ?? [];
    if (name === "") throw new Error(`Invalid format '${line}'`);
    if (sign === "=") {
      yield [name, rest];
      continue;
    }
    const end = lines.indexOf(rest);
    if (end < 0) throw new Error(`Matching delimiter not found '${rest}'`);
    yield [name, lines.slice(0, end).join("\n")];
    lines.splice(0, end + 1);
  }
}
