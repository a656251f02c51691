import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** An artifact of the workflow run. */
export interface UploadedArtifact {
  readonly name: string;
  readonly id: number | undefined;
}

/**
 * Uploads a folder as an artifact.
 *
 * @param deadline in milliseconds
 * @returns undefined where the job has no artifact service
 * @throws when the service does not take it
 */
export async function uploadArtifact(
  name: string,
  folder: string,
  deadline: number,
  env: NodeJS.ProcessEnv,
): Promise<UploadedArtifact | undefined> {
  if (!env.ACTIONS_RUNTIME_TOKEN || !env.ACTIONS_RESULTS_URL) return undefined;
  // The client is large: loaded where there is something to upload.
  const { DefaultArtifactClient } = await import(/* webpackMode: "eager" */ "@actions/artifact");
  const client = new DefaultArtifactClient();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));

  const upload = async (as: string): Promise<UploadedArtifact> => {
    const { id } = await client.uploadArtifact(as, files, folder);
    return { name: as, id };
  };
  const uploadOnce = async () => {
    try {
      return await upload(name);
    } catch (error) {
      // Jobs of a workflow that a matrix calls do not know that they are in one: their names can meet.
      if (!(error instanceof Error && /409|conflict|already exists/i.test(error.message))) throw error;
      return await upload(`${name}-${randomBytes(4).toString("hex")}`);
    }
  };
  const stop = new AbortController();
  const late = sleep(deadline, undefined, { signal: stop.signal, ref: false }).then(() => {
    throw new Error(`The artifact service did not take the logs within ${deadline / 1000} s`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([uploadOnce(), late]);
  } finally {
    stop.abort();
  }
}
