import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";

/** What an action.yml says about an input. Without a default an input is the empty string. */
export interface InputDeclaration {
  readonly default: string;
  readonly deprecationMessage?: string | undefined;
}

/** The part of an action.yml that decides how the action runs. */
export interface ActionMetadata {
  readonly directory: string;
  readonly inputs: Readonly<Record<string, InputDeclaration>>;
  readonly main: string;
  readonly pre?: string | undefined;
  readonly post?: string | undefined;
  readonly postIf: string;
}

/** YAML makes `default: 5m` a string but `default: 5` a number; the runner takes both as text. */
const text = z
  .union([z.string(), z.number(), z.boolean()])
  .nullish()
  .transform((value) => String(value ?? ""));

const input = z
  .object({ default: text, deprecationMessage: z.string().optional() })
  .nullish()
  .transform((declaration) => declaration ?? { default: "" });

const schema = z.object({
  inputs: z.record(z.string(), input).nullish(),
  runs: z.object({
    using: z.enum(["node20", "node24"], "runs.using: only JavaScript actions (node20, node24) can be run"),
    main: z.string().min(1),
    pre: z.string().optional(),
    post: z.string().optional(),
    "post-if": z.string().default("always()"),
  }),
});

/** Reads the action.yml of a directory. */
export async function readAction(directory: string): Promise<ActionMetadata> {
  const file = join(resolve(directory), "action.yml");
  const metadata = schema.safeParse(parse(await readFile(file, "utf8")));
  if (!metadata.success) throw new Error(`${file}: ${z.prettifyError(metadata.error)}`);
  const { inputs, runs } = metadata.data;
  return {
    directory: resolve(directory),
    inputs: inputs ?? {},
    main: runs.main,
    pre: runs.pre,
    post: runs.post,
    postIf: runs["post-if"],
  };
}
