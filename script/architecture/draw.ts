// Draws the picture of docs/architecture.md anew: the folders of src/ and the imports between them.
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { drawPage } from "./page.ts";

const root = resolve(import.meta.dirname, "../..");
const page = join(root, "docs/architecture.md");
writeFileSync(page, drawPage(root, readFileSync(page, "utf8")));
