import { lstat } from "node:fs/promises";
import { dirname, sep } from "node:path";
import { DefaultArtifactClient } from "@actions/artifact";
import { getInput, info, setFailed, setOutput, warning } from "@actions/core";
import { create } from "@actions/glob";

const name = getInput("name");
const files = await search(getInput("path", { required: true }));
if (files.length > 0) {
  const { id, digest } = await new DefaultArtifactClient().uploadArtifact(name, files, commonFolder(files));
  setOutput("artifact-id", id);
  setOutput("artifact-digest", digest);
} else {
  const report = { warn: warning, error: setFailed, ignore: info }[getInput("if-no-files-found")];
  report(`No files were found with the provided path: ${getInput("path")}. No artifacts will be uploaded.`);
}

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
