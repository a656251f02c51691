import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import * as z from "zod";
import { type Contexts, interpolate } from "./expressions.ts";

/** The part of an action.yml that decides how a JavaScript action runs. */
export interface Action {
  readonly directory: string;
  /** The defaults of the inputs: the empty string where none is declared. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly main: string;
  readonly post: string | undefined;
  readonly postIf: string;
}

/** YAML makes `default: 5m` a string but `default: 5` a number; the runner takes both as text. */
const input = z
  .object({ default: z.union([z.string(), z.number(), z.boolean()]).nullish() })
  .nullish()
  .transform((declaration) => String(declaration?.default ?? ""));

const Metadata = z.object({
  inputs: z.record(z.string(), input).nullish(),
  runs: z.object({
    using: z.enum(["node20", "node24"], "only JavaScript actions (node20, node24) can be run"),
    main: z.string(),
    post: z.string().optional(),
    "post-if": z.string().default("always()"),
  }),
});

/** Reads the action.yml of a directory. @throws for any but JavaScript actions */
export async function readAction(directory: string): Promise<Action> {
  const file = join(resolve(directory), "action.yml");
  const metadata = Metadata.safeParse(parse(await readFile(file, "utf8")));
  if (!metadata.success) throw new Error(`${file}: ${z.prettifyError(metadata.error)}`);
  const { inputs, runs } = metadata.data;
  return {
    directory: resolve(directory),
    inputs: inputs ?? {},
    main: runs.main,
    post: runs.post,
    postIf: runs["post-if"],
  };
}

/**
 * The `INPUT_*` variables of one step. Defaults are expressions, evaluated each time a step starts: post sees the
 * `job.status` of then. Values of `with:` pass as they are.
 *
 * @returns `unexpected`: the inputs that action.yml does not declare, of which the runner warns
 */
export function inputVariables(
  { inputs }: Action,
  given: Readonly<Record<string, string>>,
  contexts: Contexts,
): { readonly env: Readonly<Record<string, string>>; readonly unexpected: readonly string[] } {
  const variable = (name: string) => `INPUT_${name.replaceAll(" ", "_").toUpperCase()}`;
  const defaults = Object.entries(inputs).map(([name, text]) => [
    variable(name),
    interpolate(text, contexts),
  ]);
  const values = Object.entries(given).map(([name, value]) => [variable(name), value]);
  const declared = Object.keys(inputs).map(variable);
  return {
    env: Object.fromEntries([...defaults, ...values]),
    unexpected: Object.keys(given).filter((name) => !declared.includes(variable(name))),
  };
}
