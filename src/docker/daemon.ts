import { statfs } from "node:fs/promises";
import { errorMessage } from "../lib/errors.ts";
import type { RunProgram } from "../lib/subprocess.ts";
import { type Endpoint, resolveEndpoint } from "./endpoint.ts";
import { type DaemonInfo, Engine } from "./engine.ts";

/** The Docker daemon, and what a plan depends on of it. */
export interface Daemon {
  readonly endpoint: Endpoint;
  readonly info: DaemonInfo;
  /** Free bytes of the file system that holds images and volumes; undefined for a daemon on another machine. */
  readonly freeBytes: number | undefined;
}

/**
 * Finds the Docker daemon, and reads its version, capabilities and free space.
 *
 * @returns the daemon, or the reason why it cannot be used, with a remedy
 */
export async function readDaemon(
  env: NodeJS.ProcessEnv,
  run: RunProgram,
): Promise<Daemon | { problem: string }> {
  let endpoint: Endpoint;
  try {
    endpoint = await resolveEndpoint(env, run);
  } catch (error) {
    return { problem: errorMessage(error) };
  }
  try {
    const engine = new Engine(endpoint);
    const info = await engine.info();
    const disk = info.local ? await statfs(info.rootDirectory).catch(() => undefined) : undefined;
    return {
      endpoint,
      info,
      freeBytes: disk === undefined ? undefined : disk.bavail * disk.bsize,
    };
  } catch (error) {
    return {
      problem: `Could not reach the Docker daemon at ${endpoint.DOCKER_HOST}: ${errorMessage(error)}. Start it, for instance with \`sudo systemctl start docker\`. If it runs, allow this user to use its socket (group \`docker\`).`,
    };
  }
}
