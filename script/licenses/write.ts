// Prints the licences of the packages in the bundle. @param argv[2] webpack's statistics, as JSON
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { bundledPackages } from "./bundled-packages.ts";

const manifest = z.looseObject({
  name: z.string(),
  version: z.string(),
  license: z.string().default("see below"),
});

const stats: unknown = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
for (const folder of bundledPackages(stats)) {
  const { name, version, license } = manifest.parse(
    JSON.parse(readFileSync(join(folder, "package.json"), "utf8")),
  );
  const [file] = globSync("{LICENSE,LICENCE,license,licence,License,COPYING}*", { cwd: folder }).toSorted();
  const text = file === undefined ? "" : `\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
  console.log(`${name} ${version} (${license})\n${text}`);
}
