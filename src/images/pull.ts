import { setTimeout as sleep } from "node:timers/promises";
import type { Endpoint } from "../docker/endpoint.ts";
import type { Engine } from "../docker/engine.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { ProgramError, type RunProgram } from "../lib/subprocess.ts";

/** What a pull did not survive the first time, it may the second. */
const attempts = 3;

/**
 * Sees to it that the Docker daemon has an image.
 * Pulls go through the docker CLI: what `docker login` and credential helpers know counts.
 *
 * @throws when it cannot be pulled
 */
export async function pullIfMissing(
  image: string,
  on: { engine: Engine; endpoint: Endpoint; run: RunProgram },
  log: Log,
  pause: (milliseconds: number) => Promise<unknown> = sleep,
): Promise<void> {
  if ((await on.engine.images.findId(image)) !== undefined) {
    log.line(`${image} is there already.`);
    return;
  }
  for (let attempt = 1; ; attempt++) {
    try {
      await on.run("docker", ["pull", image], { env: on.endpoint, log, deadline: 15 * 60_000 });
      return;
    } catch (error) {
      if (!(error instanceof ProgramError) || attempt === attempts || isFinal(error)) {
        throw new Error(`The image ${image} cannot be pulled: ${errorMessage(error)}`, {
          cause: error,
        });
      }
      // Whoever cannot do without is told by an error, everybody else by a warning: one for all attempts.
      log.line(`Pulling ${image} failed, attempt ${attempt} of ${attempts}.`);
      await pause(2_000 * attempt);
    }
  }
}

/** Answers that do not change by asking again. */
const isFinal = (error: ProgramError) =>
  /manifest unknown|not found|does not exist|invalid reference|unauthorized|denied|no matching manifest/i.test(
    error.output.stderr,
  );
