import { lstat } from "node:fs/promises";
import { dirname, sep } from "node:path";
import { DefaultArtifactClient } from "@actions/artifact";
import { getInput, setOutput } from "@actions/core";
import { create } from "@actions/glob";

const name = getInput("name");
const files = await search(getInput("path", { required: true }));
const { digest } = await new DefaultArtifactClient().uploadArtifact(name, files, commonFolder(files));
setOutput("artifact-digest", digest);

async function search(patterns) {
  const found = await (await create(patterns)).glob();
  const stats = await Promise.all(found.map((path) => lstat(path)));
  return found.filter((_, index) => stats[index]?.isFile());
}

/** What all paths have in common is no part of the artifact. */
function commonFolder(paths) {
  const [first = "", ...rest] = paths.map((path) => dirname(path).split(sep));
  const length = first.findIndex((part, index) => rest.some((other) => other[index] !== part));
  return first.slice(0, length < 0 ? first.length : length).join(sep) || sep;
}
