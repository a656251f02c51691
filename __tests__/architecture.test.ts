import { execFile } from "node:child_process";
import { appendFileSync, cpSync, globSync, readFileSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { readImports } from "../script/architecture/imports.ts";
import { drawPage } from "../script/architecture/page.ts";
import { temporaryFolder } from "./fixtures/temporary-folder.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "..");
const failure = z.looseObject({ stdout: z.string() });

/** Runs the check on a copy of src/ with a line added to a file. @returns what it prints when it fails */
async function violations(file: string, line: string): Promise<string> {
  const copy = temporaryFolder();
  for (const path of ["src", ".dependency-cruiser.mjs", "package.json"])
    cpSync(join(root, path), join(copy, path), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  appendFileSync(join(copy, file), `${line}\n`);
  return await run("node_modules/.bin/depcruise", ["--output-type", "err", "src"], { cwd: copy }).then(
    () => "",
    (error: unknown) => failure.parse(error).stdout,
  );
}

describe("the check of imports between folders", { timeout: 60_000 }, () => {
  it.each([
    ["an upward import", "node/nodes.ts", 'import "../plan/plan.ts";', "node-imports-downward"],
    [
      "an upward type import",
      "lib/units.ts",
      'import type { Plan } from "../plan/plan.ts"; export type P = Plan;',
      "lib-imports-downward",
    ],
    [
      "an import of a neighbour",
      "logs/redact.ts",
      'import "../cluster/kubeconfig.ts";',
      "logs-imports-no-neighbour",
    ],
    ["a circle of files", "lib/log.ts", 'import "./task-graph.ts";', "no-circular"],
    [
      "a program started elsewhere",
      "docker/volumes.ts",
      'import "node:child_process";',
      "child-process-in-lib",
    ],
  ])("fails for %s", async (_, file, line, rule) => {
    expect(await violations(`src/${file}`, line)).toContain(`error ${rule}: src/${file}`);
  });

  it("counts the files and imports that a search for them counts", () => {
    const { files, imports } = readImports(root);
    const found = globSync("src/**/*.ts", { cwd: root });
    const specifiers = found.flatMap((file) => {
      const text = readFileSync(join(root, file), "utf8");
      return [...text.matchAll(/\b(?:from|import)\s*\(?\s*(?:\/\*.*?\*\/\s*)?"(\.[^"]+)"/g)];
    });
    expect(files.toSorted()).toEqual(found.toSorted());
    expect(imports.length).toBe(specifiers.length);
  });
});

describe("docs/architecture.md", () => {
  it("has the picture that script/arrows --draw makes", () => {
    const page = readFileSync(join(root, "docs/architecture.md"), "utf8");
    expect(drawPage(root, page)).toBe(page);
  });
});
