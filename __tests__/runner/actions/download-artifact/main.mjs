import { join, resolve } from "node:path";
import { DefaultArtifactClient } from "@actions/artifact";
import { getInput, setOutput } from "@actions/core";

const client = new DefaultArtifactClient();
const name = getInput("name");
const path = resolve(getInput("path"));
if (name === "") {
  const { artifacts } = await client.listArtifacts({ latest: true });
  for (const artifact of artifacts) {
    await client.downloadArtifact(artifact.id, { path: join(path, artifact.name) });
  }
} else {
  const { artifact } = await client.getArtifact(name);
  await client.downloadArtifact(artifact.id, { path, expectedHash: artifact.digest });
}
setOutput("download-path", path);
