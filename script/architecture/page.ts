import { layers } from "../../.dependency-cruiser.mjs";
import { folderOf, readImports } from "./imports.ts";

const marker = "<!-- script/arrows --draw writes what follows -->";

/** The page with the picture drawn anew. @param cwd the folder that has src/ @param page what the page has now */
export function drawPage(cwd: string, page: string): string {
  const { imports } = readImports(cwd);
  const arrows = new Set(
    imports
      .map(({ from, to }) => [folderOf(from), folderOf(to)])
      .filter(([from, to]) => from !== to)
      .map((arrow) => arrow.join(" ")),
  );
  const [head = ""] = page.split(marker);
  const graph = [
    "```mermaid",
    "flowchart TB",
    ...layers.flatMap((folders) => [
      `  subgraph ${id(folders[0] ?? "")}_layer[" "]`,
      ...folders.map((folder) => `    ${id(folder)}["${folder}"]`),
      "  end",
    ]),
    ...withoutImplied([...arrows]).map((arrow) => `  ${arrow.split(" ").map(id).join(" --> ")}`),
    "```",
  ];
  return `${head}${marker}\n\n${graph.join("\n")}\n`;
}

const id = (folder: string) => folder.replace("/", "_");

/** Arrows ("FROM TO") without those that a longer path implies. */
function withoutImplied(arrows: readonly string[]): string[] {
  const targets = (folder: string) =>
    arrows.filter((arrow) => arrow.startsWith(`${folder} `)).map((arrow) => arrow.split(" ")[1] ?? "");
  const reaches = (from: string, to: string): boolean =>
    targets(from).some((next) => next === to || reaches(next, to));
  return arrows
    .filter((arrow) => {
      const [from = "", to = ""] = arrow.split(" ");
      return !targets(from).some((next) => next !== to && reaches(next, to));
    })
    .toSorted();
}
