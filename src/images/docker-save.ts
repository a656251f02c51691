import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Endpoint } from "../docker/endpoint.ts";
import type { Engine } from "../docker/engine.ts";
import type { Platform } from "../docker/images.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { RunProgram } from "../lib/subprocess.ts";
import { normalizeReference } from "../oci/reference.ts";
import { pullIfMissing } from "./pull.ts";

/** An image that the Docker daemon has. */
export interface DaemonImage {
  /** As the user wrote it. */
  readonly reference: string;
  readonly fullName: string;
  /** What Docker calls its ID: that of the config, or with the containerd image store that of the index. */
  readonly id: string;
}

interface Daemon {
  readonly engine: Engine;
  readonly endpoint: Endpoint;
  readonly run: RunProgram;
}

/**
 * Looks images up in the daemon, all at once. Those it lacks are pulled first.
 *
 * @throws naming the image that cannot be had
 */
export async function findDaemonImages(
  references: readonly string[],
  on: Daemon,
  log: Log,
): Promise<DaemonImage[]> {
  return await Promise.all(
    references.map(async (reference) => {
      const name = normalizeReference(reference);
      if (typeof name !== "string") throw new Error(`${JSON.stringify(reference)} ${name.problem}.`);
      const there = await on.engine.images.findId(reference);
      if (there !== undefined) return { reference, fullName: name, id: there };
      log.line(`${reference} is not in the Docker daemon: it is pulled.`);
      await pullIfMissing(reference, on, log);
      const id = await on.engine.images.findId(reference);
      if (id === undefined)
        throw new Error(`${reference} was pulled, and the Docker daemon does not have it.`);
      return { reference, fullName: name, id };
    }),
  );
}

/** Docker's API from which on an export can be told its platform: 28.0. */
const exportsOnePlatform = "1.48";

/**
 * Has the daemon export images into one archive, in which what they share is once.
 *
 * @param folder where the archive goes
 * @returns the archive's path
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
      atLeast(apiVersion, exportsOnePlatform) ? platform : undefined,
      AbortSignal.timeout(15 * 60_000),
    );
    await pipeline(stream, createWriteStream(path, { mode: 0o600, highWaterMark: 1024 * 1024 }));
  } catch (error) {
    throw new Error(`The Docker daemon does not export ${names.join(", ")}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  return path;
}

/** Compares versions such as 1.41 number by number. */
export function atLeast(version: string, least: string): boolean {
  const [a, b] = [version, least].map((text) => text.split(".").map(Number));
  const [major = 0, minor = 0] = a ?? [];
  const [leastMajor = 0, leastMinor = 0] = b ?? [];
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}
