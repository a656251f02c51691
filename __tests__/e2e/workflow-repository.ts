import { execFile } from "node:child_process";
import { cp, mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const root = resolve(import.meta.dirname, "../..");

/**
 * Makes a repository that uses the action as it is here, by `uses: ./`.
 *
 * @param parts what of this repository is in it
 * @param workflow its only one, by its file's name
 */
export async function makeWorkflowRepository(
  folder: string,
  parts: readonly string[],
  workflow: { readonly file: string; readonly text: string },
): Promise<void> {
  const workflows = join(folder, ".github", "workflows");
  await mkdir(workflows, { recursive: true });
  for (const part of parts) await cp(join(root, part), join(folder, part), { recursive: true });
  await writeFile(join(workflows, workflow.file), workflow.text);
  const git = (...args: string[]) => promisify(execFile)("git", ["-C", folder, ...args]);
  await git("init", "--quiet", "--initial-branch=main");
  await git("remote", "add", "origin", "https://github.com/org/kind-action");
  await git("add", "--all");
  const author = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"];
  await git(...author, "commit", "--quiet", "--message=test");
}
