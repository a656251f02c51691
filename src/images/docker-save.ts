import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Engine } from "../docker/engine.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { isAtLeast } from "../lib/semver.ts";
import type { RunProgram } from "../lib/subprocess.ts";
import type { Platform } from "../oci/platform.ts";
import { normalizeReference } from "../oci/reference.ts";
import { pullIfMissing } from "./pull.ts";

/** An image that the Docker daemon has. */
export interface DaemonImage {
  /** As the user wrote it. */
  readonly reference: string;
  readonly fullName: string;
  /** Docker's ID of the image: the digest of its config, or with the containerd image store that of its index. */
  readonly id: string;
}

/** The Docker daemon, and the starter of its CLI. */
interface Docker {
  readonly engine: Engine;
  readonly runProgram: RunProgram;
}

/**
 * Looks up images in the Docker daemon, and pulls those that it does not have.
 *
 * @throws Error naming the image that cannot be pulled
 */
export async function findDaemonImages(
  references: readonly string[],
  docker: Docker,
  log: Log,
): Promise<DaemonImage[]> {
  const { images } = docker.engine;
  return await Promise.all(
    references.map(async (reference) => {
      const name = normalizeReference(reference);
      if (typeof name !== "string") throw new Error(`${JSON.stringify(reference)} ${name.problem}.`);
      const existing = await images.findId(reference);
      if (existing !== undefined) return { reference, fullName: name, id: existing };
      log.line(`${reference} is not in the Docker daemon; pulling it.`);
      await pullIfMissing(reference, docker, log);
      const id = await images.findId(reference);
      if (id === undefined)
        throw new Error(`${reference} was pulled, but the Docker daemon does not have it.`);
      return { reference, fullName: name, id };
    }),
  );
}

/** The first API version with a platform for exports: Docker 28.0. */
const platformApiVersion = "1.48";

/**
 * Exports images of the Docker daemon into one archive, which has the layers that they share once.
 *
 * @param options.folder the folder for the archive
 * @returns the path of the archive
 * @throws Error naming the images that cannot be exported
 */
export async function saveDaemonImages(
  images: readonly DaemonImage[],
  { engine, platform, folder }: { engine: Engine; platform: Platform; folder: string },
): Promise<string> {
  const path = join(folder, `${randomUUID()}.tar`);
  const { apiVersion } = await engine.info();
  const names = images.map(({ reference }) => reference);
  try {
    const stream = await engine.images.save(
      names,
      isAtLeast(apiVersion, platformApiVersion) ? platform : undefined,
      AbortSignal.timeout(15 * 60_000),
    );
    await pipeline(stream, createWriteStream(path, { mode: 0o600, highWaterMark: 1024 * 1024 }));
  } catch (error) {
    throw new Error(`Could not export ${names.join(", ")} from the Docker daemon: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  return path;
}
