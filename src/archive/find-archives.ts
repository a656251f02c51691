import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { create as createGlobber } from "@actions/glob";
import { describeFileError } from "../lib/errors.ts";

/** An image archive on the runner. */
export interface ArchiveFile {
  readonly path: string;
  readonly bytes: number;
}

/**
 * Finds the archives of a line of `load_archives`: a path, or a glob pattern of @actions/glob.
 *
 * @returns the files, sorted by path, or a clause that follows the invalid line
 */
export async function findArchives(
  pattern: string,
  workspace: string,
): Promise<ArchiveFile[] | { problem: string }> {
  const paths = /[*?[]/.test(pattern) ? await glob(pattern, workspace) : [resolve(workspace, pattern)];
  if (paths.length === 0) return { problem: "does not match any file" };
  try {
    const entries = await Promise.all(paths.map((path) => stat(path)));
    if (!entries.every((entry) => entry.isFile())) {
      return { problem: "is not a regular file; must be an image archive, such as `docker save` writes" };
    }
    return entries.map((entry, index) => ({ path: paths[index] ?? "", bytes: entry.size }));
  } catch (error) {
    return { problem: describeFileError(error) };
  }
}

async function glob(pattern: string, workspace: string): Promise<string[]> {
  // Brackets escape wildcard characters in the path of the workspace.
  const absolute = resolve(workspace.replace(/[*?[]/g, "[$&]"), pattern);
  const globber = await createGlobber(absolute, { matchDirectories: false, omitBrokenSymbolicLinks: true });
  return (await globber.glob()).toSorted();
}
