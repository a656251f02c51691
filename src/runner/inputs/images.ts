import { type ArchiveFile, findArchives } from "../../archive/find-archives.ts";
import type { NodeSelection } from "../../node/nodes.ts";
import { normalizeReference } from "../../oci/reference.ts";
import type { ImageInputs } from "../../plan/inputs.ts";
import type { InputReader } from "./reader.ts";

/** Reads the images to load and the nodes to load them into: inputs of the main action and of `load`. */
export const readImageInputs = async (reader: InputReader): Promise<ImageInputs> => ({
  archives: await readArchives(reader),
  images: readImages(reader),
  nodes: readNodes(reader),
});

async function readArchives(reader: InputReader): Promise<ArchiveFile[]> {
  const lines = reader.lines("load_archives");
  const found = await Promise.all(lines.map((line) => findArchives(line, reader.workspace)));
  const archives = found.flatMap((result, index) => {
    if (!("problem" in result)) return result;
    reader.problem("load_archives", result.problem, lines[index]);
    return [];
  });
  return [...new Map(archives.map((archive) => [archive.path, archive])).values()];
}

function readImages(reader: InputReader): string[] {
  const lines = [...new Set(reader.lines("load_images"))];
  for (const line of lines) {
    const name = normalizeReference(line);
    if (typeof name !== "string")
      reader.problem("load_images", `${name.problem}; must be image names, one per line`, line);
    else if (name.includes("@"))
      reader.problem("load_images", "has a digest, which `docker save` does not export: use a tag", line);
  }
  return lines;
}

/** Reads names of nodes, one per line or, as in `kind load --nodes`, separated by commas. */
function readNodes(reader: InputReader): NodeSelection {
  const names = reader.lines("load_nodes").flatMap((line) =>
    line
      .split(",")
      .map((name) => name.trim())
      .filter(Boolean),
  );
  const [first = "all"] = names;
  if (names.length <= 1 && (first === "all" || first === "workers")) return first;
  for (const name of names) {
    if (name === "all" || name === "workers" || !/^[a-z0-9][a-z0-9.-]*$/.test(name))
      reader.problem("load_nodes", "must be `all`, `workers`, or names of nodes, one per line", name);
  }
  return names;
}
