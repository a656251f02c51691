import { resolve } from "node:path";
import { DefaultArtifactClient } from "@actions/artifact";
import { getInput } from "@actions/core";

const client = new DefaultArtifactClient();
const { artifact } = await client.getArtifact(getInput("name", { required: true }));
const path = resolve(getInput("path"));
await client.downloadArtifact(artifact.id, { path, expectedHash: artifact.digest });
