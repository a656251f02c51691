import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { withTimeout } from "../lib/poll.ts";
import { formatTimeout } from "../lib/units.ts";

/** An artifact of the workflow run. */
export interface UploadedArtifact {
  readonly name: string;
  readonly id: number | undefined;
}

/**
 * Uploads a folder as an artifact.
 *
 * If an artifact of the same name exists, the new one gets a random suffix.
 *
 * @param timeoutMs milliseconds
 * @returns undefined if the job has no artifact service
 * @throws Error when the upload fails or takes too long
 */
export async function uploadArtifact(
  name: string,
  folder: string,
  timeoutMs: number,
  env: NodeJS.ProcessEnv,
): Promise<UploadedArtifact | undefined> {
  if (!env.ACTIONS_RUNTIME_TOKEN || !env.ACTIONS_RESULTS_URL) return undefined;
  // The client is large, so it is loaded only for an upload.
  const { DefaultArtifactClient } = await import(/* webpackMode: "eager" */ "@actions/artifact");
  const client = new DefaultArtifactClient();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));

  const upload = async (artifact: string): Promise<UploadedArtifact> => {
    const { id } = await client.uploadArtifact(artifact, files, folder);
    return { name: artifact, id };
  };
  const uploadWithFreeName = async () => {
    try {
      return await upload(name);
    } catch (error) {
      // A job of a reusable workflow cannot see the matrix of its caller, so several jobs can use the same name.
      if (!(error instanceof Error && /409|conflict|already exists/i.test(error.message))) throw error;
      return await upload(`${name}-${randomBytes(4).toString("hex")}`);
    }
  };
  const artifact = await withTimeout(uploadWithFreeName(), timeoutMs);
  if (artifact === "timeout")
    throw new Error(`The artifact service did not store the logs within ${formatTimeout(timeoutMs)}.`);
  return artifact;
}
