import { execFileSync } from "node:child_process";
import * as z from "zod";
import { layers } from "../../.dependency-cruiser.mjs";

const cruised = z.looseObject({
  modules: z.array(
    z.looseObject({
      source: z.string(),
      dependencies: z.array(z.looseObject({ resolved: z.string(), typeOnly: z.boolean().optional() })),
    }),
  ),
});

/** An import of one file of src/ by another. */
export interface Import {
  readonly from: string;
  readonly to: string;
  readonly isTypeOnly: boolean;
}

/** The files below src/ and the imports between them, as dependency-cruiser sees them. @param cwd the folder that has src/ */
export function readImports(cwd: string): { files: string[]; imports: Import[] } {
  const program = "node_modules/.bin/depcruise";
  const json = execFileSync(program, ["--output-type", "json", "src"], {
    cwd,
    encoding: "utf8",
    maxBuffer: 64 * 1024 ** 2,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const modules = cruised.parse(JSON.parse(json)).modules.filter(({ source }) => source.startsWith("src/"));
  return {
    files: modules.map(({ source }) => source),
    imports: modules.flatMap(({ source, dependencies }) =>
      dependencies
        .filter(({ resolved }) => resolved.startsWith("src/"))
        .map(({ resolved, typeOnly = false }) => ({ from: source, to: resolved, isTypeOnly: typeOnly })),
    ),
  };
}

/** The folder of a file, as the layers name it. */
export function folderOf(file: string): string {
  const folders = layers.flat().toSorted((a, b) => b.length - a.length);
  const folder = folders.find((each) => file.startsWith(`src/${each}/`) || file === `src/${each}.ts`);
  if (folder === undefined) throw new Error(`${file} is in no layer of .dependency-cruiser.mjs.`);
  return folder;
}
