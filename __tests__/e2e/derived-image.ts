import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Builds an image from a Dockerfile that needs no other files. */
export async function buildImage(name: string, dockerfile: string): Promise<void> {
  const build = promisify(execFile)("docker", ["build", "--quiet", "--tag", name, "-"]);
  build.child.stdin?.end(dockerfile);
  await build;
}
