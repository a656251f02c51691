import { z } from "zod";
import type { PinnedImage } from "../../src/cache/entries/node-image.ts";
import type { Platform } from "../../src/docker/images.ts";
import { pinImage } from "../../src/images/ensure.ts";
import { ProgramError, type RunProgram } from "../../src/lib/subprocess.ts";
import { type Blob, ociImage, ociIndex, type Sample } from "../archive/archives.ts";
import type { DockerDaemon } from "../fixtures/docker-daemon.ts";
import type { MemoryCache } from "../fixtures/memory-cache.ts";
import { files, serve, type WebServer } from "../fixtures/web-server.ts";

export const amd64: Platform = { os: "linux", architecture: "amd64" };

/** What main labels with what the daemon has only while an image comes out of the cache. */
export const labels = { "kind-action.run": "12-1-abc", "kind-action.cluster": "shop" };

/** An image that a registry on this machine has, by its digest. */
export interface PublishedImage {
  readonly image: Sample;
  /** With its digest: that of an index. */
  readonly reference: string;
  /** The texts of index, manifest and config. */
  readonly documents: readonly string[];
  readonly registry: WebServer;
}

/** @param seen what the registry gives instead of a document, by its path */
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

/** The image as the cache knows it. */
export function pinned({ reference }: PublishedImage, tag?: string): PinnedImage {
  const image = pinImage(reference, amd64, tag);
  if (image === undefined) throw new Error(`${reference} has no digest`);
  return image;
}

/** Lets a daemon have an image, as after a pull. */
export function give(daemon: DockerDaemon, { image, reference }: PublishedImage): void {
  daemon.images.set(reference, image.id);
  daemon.contents.set(image.id, image);
}

/** A docker CLI whose pulls bring into a daemon what is published, and the names that it was asked for. */
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

/** What somebody may write into the index of an image that is in the cache. */
export function changeIndex(
  { entries }: MemoryCache,
  key: string,
  change: (index: Readonly<Record<string, unknown>>) => unknown,
): void {
  const files = entries.get(key)?.files;
  for (const [path, kept] of files ?? [])
    if (Buffer.isBuffer(kept)) {
      const index = z.record(z.string(), z.unknown()).parse(JSON.parse(kept.toString()));
      files?.set(path, Buffer.from(JSON.stringify(change(index))));
    }
}
