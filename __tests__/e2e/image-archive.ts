import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { readLab } from "../lab/lab.ts";
import { docker } from "./machine.ts";

/**
 * Does what a build job does: builds an image that nobody has seen before, and saves it as an archive.
 * It serves its own name on port 8080.
 */
export async function buildArchive(name: string, archive: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "build-"));
  try {
    const { testImage } = readLab();
    await writeFile(join(folder, "unique"), randomBytes(64 * 1024));
    await writeFile(
      join(folder, "Dockerfile"),
      [
        `FROM ${testImage}`,
        "COPY unique /www/unique",
        `RUN echo '${name}' > /www/index.html`,
        'CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]',
        "",
      ].join("\n"),
    );
    // The old builder is in every Docker; BuildKit is a plugin that may be missing.
    await promisify(execFile)("docker", ["build", "--tag", name, folder], {
      env: { ...process.env, DOCKER_BUILDKIT: "0" },
    });
    await docker("save", "--output", archive, name);
  } finally {
    await docker("rmi", "--force", name).catch(() => []);
    await rm(folder, { recursive: true, force: true });
  }
}
