import * as z from "zod";
import { type PinnedImage, pinImage } from "../../src/images/pinned-image.ts";
import { ProgramError, type RunProgram } from "../../src/lib/subprocess.ts";
import type { Platform } from "../../src/oci/platform.ts";
import { type Blob, ociImage, ociIndex, type Sample } from "../archive/archives.ts";
import type { DockerDaemon } from "../fixtures/docker-daemon.ts";
import type { MemoryCache } from "../fixtures/memory-cache.ts";
import { files, serve, type WebServer } from "../fixtures/web-server.ts";

export const amd64: Platform = { os: "linux", architecture: "amd64" };

/** The labels of temporary images during a restore from the cache. */
export const labels = { "kind-action.run": "12-1-abc", "kind-action.cluster": "shop" };

/** An image in a registry on loopback. */
export interface PublishedImage {
  readonly image: Sample;
  /** With the digest of its index. */
  readonly reference: string;
  /** The texts of index, manifest and config. */
  readonly documents: readonly string[];
  readonly registry: WebServer;
}

/** Starts a registry with an image. @param seen response bodies that replace those of the image, by path */
export async function publish(
  image: Sample,
  { repository = "shop/node", seen = {} }: { repository?: string; seen?: Record<string, string> } = {},
): Promise<PublishedImage> {
  const { manifest, config } = ociImage(image);
  const index = ociIndex([{ of: manifest, platform: "linux/amd64" }]);
  const at = (kind: "manifests" | "blobs", { descriptor, content }: Blob): [string, Buffer] => [
    `/v2/${repository}/${kind}/${descriptor.digest}`,
    content,
  ];
  const registry = await serve(
    files({
      ...Object.fromEntries([at("manifests", index), at("manifests", manifest), at("blobs", config)]),
      ...seen,
    }),
  );
  return {
    image,
    reference: `127.0.0.1:${registry.port}/${repository}:v1@${index.descriptor.digest}`,
    documents: [index, manifest, config].map(({ content }) => content.toString()),
    registry,
  };
}

/** The image, as parsed by `pinImage`. */
export function pinned({ reference }: PublishedImage, tag?: string): PinnedImage {
  const image = pinImage(reference, amd64, tag);
  if (image === undefined) throw new Error(`${reference} has no digest`);
  return image;
}

/** Adds an image to a daemon, as after a pull. */
export function give(daemon: DockerDaemon, { image, reference }: PublishedImage): void {
  daemon.images.set(reference, image.id);
  daemon.contents.set(image.id, image);
}

/** A docker CLI whose pulls add published images to a daemon. `pulls` has the requested names. */
export function dockerCli(
  daemon: DockerDaemon,
  ...published: readonly PublishedImage[]
): { run: RunProgram; pulls: string[] } {
  const pulls: string[] = [];
  const run: RunProgram = async (program, args) => {
    const name = args[1] ?? "";
    pulls.push(name);
    const found = published.find(({ reference }) => reference === name);
    const output = { exitCode: 0, stdout: "", stderr: "" };
    if (found === undefined) {
      const failed = { ...output, exitCode: 1, stderr: `manifest for ${name} not found` };
      throw new ProgramError(program, args, failed, "failed with exit code 1");
    }
    give(daemon, found);
    return output;
  };
  return { run, pulls };
}

/** Changes the index of an image in the cache. */
export function changeIndex(
  { entries }: MemoryCache,
  key: string,
  change: (index: Readonly<Record<string, unknown>>) => unknown,
): void {
  const files = entries.get(key)?.files;
  for (const [path, content] of files ?? [])
    if (Buffer.isBuffer(content)) {
      const index = z.record(z.string(), z.unknown()).parse(JSON.parse(content.toString()));
      files?.set(path, Buffer.from(JSON.stringify(change(index))));
    }
}
