import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type Docker from "dockerode";
import * as z from "zod";
import { extractSingleFile } from "../lib/tar.ts";
import type { Platform } from "../oci/platform.ts";
import { ignoreStatus, isNotFound } from "./expected-status.ts";

/** The images of a Docker daemon. */
export class Images {
  readonly #docker: Docker;

  constructor(docker: Docker) {
    this.#docker = docker;
  }

  /** Returns the ID of an image (`sha256:…`, the digest of the config), if the daemon has it. */
  async findId(reference: string): Promise<string | undefined> {
    const image = await ignoreStatus(isNotFound, this.#docker.getImage(reference).inspect());
    return image?.Id;
  }

  /** Adds a name, `REPOSITORY:TAG`, to an image. */
  async tag(image: string, name: string): Promise<void> {
    const [repo = "", tag = ""] = name.split(/:([^:/]*)$/);
    await this.#docker.getImage(image).tag({ repo, tag });
  }

  /** Removes a name of an image, and the image with its last name. @param name the ID of an image without a name */
  async untag(name: string): Promise<void> {
    await ignoreStatus(isNotFound, this.#docker.getImage(name).remove());
  }

  /** Returns the IDs of all images with a label of this value. */
  async listByLabel(label: string, value: string): Promise<string[]> {
    const filters = { label: [`${label}=${value}`] };
    return (await this.#docker.listImages({ filters })).map(({ Id }) => Id);
  }

  /** Loads the images of an archive, as `docker load` does. @throws Error with the daemon's message when it refuses it */
  async load(archive: Readable): Promise<void> {
    await sendTar(archive, (abortSignal) => this.#docker.loadImage(archive, { quiet: true, abortSignal }));
  }

  /** Imports the tar of one layer as an image without a name, as `docker import` does. @returns the image's ID */
  async import(layer: Readable, labels: Readonly<Record<string, string>>): Promise<string> {
    const changes = Object.entries(labels).map(([label, value]) => `LABEL ${label}=${JSON.stringify(value)}`);
    const [id] = await sendTar(layer, (abortSignal) =>
      this.#docker.importImage(layer, { changes, abortSignal }),
    );
    if (id === undefined) throw new Error("The Docker daemon imported no image and reported no error.");
    return id;
  }

  /** Returns the diff IDs of an image, the lowest layer first: the digests of the layers' tars. */
  async diffIds(reference: string): Promise<readonly string[]> {
    return layersSchema.parse(await this.#docker.getImage(reference).inspect()).RootFS.Layers;
  }

  /** Returns the platform of an image. */
  async platform(reference: string): Promise<Platform> {
    const image = platformSchema.parse(await this.#docker.getImage(reference).inspect());
    return {
      os: image.Os,
      architecture: image.Architecture,
      ...(image.Variant ? { variant: image.Variant } : {}),
    };
  }

  /**
   * Exports images into one archive, as `docker save` does.
   *
   * @param platform the platform to export; undefined for a daemon that cannot choose (before API 1.48, Docker 28)
   * @param signal ends the export
   */
  async save(
    names: readonly string[],
    platform: Platform | undefined,
    signal: AbortSignal,
  ): Promise<Readable> {
    const query = new URLSearchParams();
    for (const name of names) query.append("names", name);
    if (platform !== undefined) query.set("platform", JSON.stringify(platform));
    return await new Promise((resolve, reject) => {
      this.#docker.modem.dial(
        {
          // docker-modem removes the last character of a query that it did not build.
          path: `/images/get?${query}&`,
          method: "GET",
          abortSignal: signal,
          isStream: true,
          statusCodes: { 200: true, 400: "bad request", 404: "no such image", 500: "server error" },
        },
        (error: unknown, stream: unknown) => {
          if (stream instanceof Readable) resolve(stream);
          else reject(error);
        },
      );
    });
  }

  /** Reads a file of an image from a container that is never started. @throws Error when the file does not exist */
  async readFile(reference: string, path: string, labels: Record<string, string>): Promise<Buffer> {
    const container = await this.#docker.createContainer({
      Image: reference,
      Entrypoint: [path],
      Labels: labels,
    });
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of await container.getArchive({ path })) chunks.push(Buffer.from(chunk));
      return extractSingleFile(Buffer.concat(chunks));
    } finally {
      await ignoreStatus(isNotFound, container.remove({ force: true, v: true }));
    }
  }
}

const messageSchema = z.looseObject({ error: z.string().optional(), status: z.string().optional() });

const layersSchema = z.looseObject({ RootFS: z.looseObject({ Layers: z.array(z.string()).default([]) }) });

const platformSchema = z.looseObject({
  Os: z.string(),
  Architecture: z.string(),
  Variant: z.string().optional(),
});

/**
 * Sends a tar to the daemon, and reads its response. When the tar ends with an error, the request is aborted, so that the
 * daemon does not wait for the rest.
 *
 * @returns the status messages of the daemon
 * @throws Error with the daemon's error message
 * @throws the error of the tar
 */
async function sendTar(
  tar: Readable,
  send: (signal: AbortSignal) => Promise<NodeJS.ReadableStream>,
): Promise<string[]> {
  const failed = new Promise<never>((_, reject) => tar.on("error", reject));
  const abort = new AbortController();
  const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(15 * 60_000)]);
  try {
    const response = await Promise.race([send(signal), failed]);
    const messages = await Promise.race([text(response), failed]);
    return messages.split("\n").filter(Boolean).flatMap(statusOf);
  } catch (error) {
    abort.abort();
    throw error;
  }
}

function statusOf(line: string): string | [] {
  const { error, status } = messageSchema.safeParse(JSON.parse(line)).data ?? {};
  if (error !== undefined) throw new Error(error);
  return status ?? [];
}
