import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "../docker/engine.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { ProgramError, type RunProgram } from "../lib/subprocess.ts";

const maxAttempts = 3;

/**
 * Pulls an image unless the Docker daemon has it. Uses the docker CLI, and with it the credentials of `docker login` and of
 * credential helpers.
 *
 * @param pause waits between two attempts
 * @throws Error when the image cannot be pulled
 */
export async function pullIfMissing(
  image: string,
  { engine, runProgram }: { engine: Engine; runProgram: RunProgram },
  log: Log,
  pause: (milliseconds: number) => Promise<unknown> = sleep,
): Promise<void> {
  if ((await engine.images.findId(image)) !== undefined) {
    log.line(`${image} is already in the Docker daemon.`);
    return;
  }
  for (let attempt = 1; ; attempt++) {
    try {
      await runProgram("docker", ["pull", image], {
        env: engine.endpoint,
        log,
        timeoutMs: 15 * 60_000,
      });
      return;
    } catch (error) {
      if (!(error instanceof ProgramError) || attempt === maxAttempts || isPermanent(error)) {
        throw new Error(`Could not pull image ${image}: ${errorMessage(error)}`, { cause: error });
      }
      // No warning: the caller reports the error if all attempts fail.
      log.line(`Pulling ${image} failed, attempt ${attempt} of ${maxAttempts}.`);
      await pause(2_000 * attempt);
    }
  }
}

/** Whether another attempt would fail, too. */
const isPermanent = (error: ProgramError) =>
  /manifest unknown|not found|does not exist|invalid reference|unauthorized|denied|no matching manifest/i.test(
    error.output.stderr,
  );
