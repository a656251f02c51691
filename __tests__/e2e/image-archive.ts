import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { readDemoLab } from "../lab/lab.ts";
import { docker } from "./machine.ts";

/** How many bytes each layer has above those of the lab's test image. */
export type LayerSizes = readonly number[];

const small: LayerSizes = [64 * 1024];

/** Builds an image that nobody has seen before, into the Docker daemon. It serves its own name on port 8080. */
export async function buildImage(name: string, sizes: LayerSizes = small): Promise<void> {
  const folder = await buildContext(name, sizes);
  try {
    // The old builder is in every Docker; BuildKit is a plugin that may be missing.
    await promisify(execFile)("docker", ["build", "--tag", name, folder], {
      env: { ...process.env, DOCKER_BUILDKIT: "0" },
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Does what a build job does: builds such an image, and saves it as an archive. */
export async function buildArchive(name: string, archive: string, sizes: LayerSizes = small): Promise<void> {
  try {
    await buildImage(name, sizes);
    await docker("save", "--output", archive, name);
  } finally {
    await removeImages(name);
  }
}

/** The ID that Kubernetes knows an image of the Docker daemon by: the digest of its config. Docker's own may be another. */
export async function imageId(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "save-"));
  try {
    const archive = join(folder, "image.tar");
    await docker("save", "--output", archive, name);
    const { stdout } = await promisify(execFile)("tar", ["-xOf", archive, "manifest.json"]);
    return `sha256:${/"Config":"(?:blobs.sha256.)?([0-9a-f]{64})/.exec(stdout)?.[1]}`;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Removes images from the Docker daemon, those that are there. */
export async function removeImages(...names: string[]): Promise<void> {
  await docker("rmi", "--force", ...names).catch(() => []);
}

/** @returns a new folder that an image can be built from: each layer holds random bytes */
export async function buildContext(name: string, sizes: LayerSizes = small): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "build-"));
  await mkdir(join(folder, "www"));
  await writeFile(join(folder, "www", "index.html"), `${name}\n`);
  for (const [index, size] of sizes.entries())
    await writeFile(join(folder, `unique-${index}`), randomBytes(size));
  await writeFile(
    join(folder, "Dockerfile"),
    [
      `FROM ${readDemoLab().testImage}`,
      "COPY www /www",
      ...sizes.map((_, index) => `COPY unique-${index} /`),
      'CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]',
      "",
    ].join("\n"),
  );
  return folder;
}
