// usage: embed-scripts.mjs SOURCE OUTPUT
// Writes the exports of a module that reads files as literals: what it has read is then part of the bundle.
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";

const [source, output] = process.argv.slice(2).map((path) => resolve(path));
const exported = Object.entries(await import(source));
writeFileSync(
  output,
  exported.map(([name, value]) => `export const ${name} = ${JSON.stringify(value)};\n`).join(""),
);
