import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type Docker from "dockerode";
import * as z from "zod";
import { extractSingleFile } from "../lib/tar.ts";
import { ignoreStatus, isNotFound } from "./expected-status.ts";

/** What an image is made for, or a node is: os and architecture as Go has them (`linux`, `amd64`). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** `v8` for arm64, `v7` for arm; mostly left out. */
  readonly variant?: string | undefined;
}

/** The images of a Docker daemon. */
export class Images {
  readonly #docker: Docker;

  constructor(docker: Docker) {
    this.#docker = docker;
  }

  /** The ID (`sha256:…` of the config) of an image that the daemon has. */
  async findId(reference: string): Promise<string | undefined> {
    const image = await ignoreStatus(isNotFound, this.#docker.getImage(reference).inspect());
    return image?.Id;
  }

  /** Gives an image that the daemon has another name, `REPOSITORY:TAG`. */
  async tag(image: string, name: string): Promise<void> {
    const [repo = "", tag = ""] = name.split(/:([^:/]*)$/);
    await this.#docker.getImage(image).tag({ repo, tag });
  }

  /** Takes a name from an image, and the image if that was its last. One without a name goes by its ID. */
  async untag(name: string): Promise<void> {
    await ignoreStatus(isNotFound, this.#docker.getImage(name).remove());
  }

  /** The IDs of all images with a label of a value. */
  async listByLabel(label: string, value: string): Promise<string[]> {
    const filters = { label: [`${label}=${value}`] };
    return (await this.#docker.listImages({ filters })).map(({ Id }) => Id);
  }

  /** Makes images from an archive of them. @throws what the daemon says is wrong with it */
  async load(archive: Readable): Promise<void> {
    await sendTar(archive, (abortSignal) => this.#docker.loadImage(archive, { quiet: true, abortSignal }));
  }

  /** Makes an image without a name of one layer. @param layer its tar. @returns its ID */
  async import(layer: Readable, labels: Readonly<Record<string, string>>): Promise<string> {
    const changes = Object.entries(labels).map(([label, value]) => `LABEL ${label}=${JSON.stringify(value)}`);
    const [id] = await sendTar(layer, (abortSignal) =>
      this.#docker.importImage(layer, { changes, abortSignal }),
    );
    if (id === undefined) throw new Error("The Docker daemon made no image of a layer, and did not say why.");
    return id;
  }

  /** The layers of an image that the daemon has, the lowest first: each the digest of its tar. */
  async diffIds(reference: string): Promise<readonly string[]> {
    return layerFacts.parse(await this.#docker.getImage(reference).inspect()).RootFS.Layers;
  }

  /** What an image that the daemon has was made for. */
  async platform(reference: string): Promise<Platform> {
    const image = platformFacts.parse(await this.#docker.getImage(reference).inspect());
    return {
      os: image.Os,
      architecture: image.Architecture,
      ...(image.Variant ? { variant: image.Variant } : {}),
    };
  }

  /**
   * Images as the daemon exports them, one archive with all of them.
   *
   * @param platform the one to export where the daemon can choose (API 1.48, Docker 28)
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
          // docker-modem cuts off the last letter of a query that it did not write.
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

  /** A file of an image that the daemon has, from a container that is never started. @throws when it is not in there */
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

const tarMessage = z.looseObject({ error: z.string().optional(), status: z.string().optional() });

const layerFacts = z.looseObject({ RootFS: z.looseObject({ Layers: z.array(z.string()).default([]) }) });

const platformFacts = z.looseObject({
  Os: z.string(),
  Architecture: z.string(),
  Variant: z.string().optional(),
});

/**
 * Sends the daemon the tar of an image, and reads what it says of it. The daemon is not left waiting for the rest of one that
 * breaks off.
 *
 * @returns its messages
 * @throws the one that is an error, or what the tar ends with
 */
async function sendTar(
  tar: Readable,
  send: (signal: AbortSignal) => Promise<NodeJS.ReadableStream>,
): Promise<string[]> {
  const failed = new Promise<never>((_, reject) => tar.on("error", reject));
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(15 * 60_000)]);
  try {
    const answer = await Promise.race([send(signal), failed]);
    const said = await Promise.race([text(answer), failed]);
    return said.split("\n").filter(Boolean).flatMap(statusOf);
  } catch (error) {
    stop.abort();
    throw error;
  }
}

function statusOf(line: string): string | [] {
  const { error, status } = tarMessage.safeParse(JSON.parse(line)).data ?? {};
  if (error !== undefined) throw new Error(error);
  return status ?? [];
}
