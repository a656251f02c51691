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
 * Finds the archives that a line of `load_archives` names: a path, or a glob as @actions/glob has them.
 *
 * @returns the files, in order of their names, or what is wrong with the line
 */
export async function findArchives(
  pattern: string,
  workspace: string,
): Promise<ArchiveFile[] | { problem: string }> {
  const paths = /[*?[]/.test(pattern) ? await matches(pattern, workspace) : [resolve(workspace, pattern)];
  if (paths.length === 0) return { problem: "matches no file" };
  try {
    const entries = await Promise.all(paths.map((path) => stat(path)));
    if (!entries.every((entry) => entry.isFile())) {
      return { problem: "is not a file; wants image archives, as `docker save` writes them" };
    }
    return entries.map((entry, index) => ({ path: paths[index] ?? "", bytes: entry.size }));
  } catch (error) {
    return { problem: describeFileError(error) };
  }
}

async function matches(pattern: string, workspace: string): Promise<string[]> {
  // In brackets, what would be a wildcard in the workspace's own path is itself.
  const absolute = resolve(workspace.replace(/[*?[]/g, "[$&]"), pattern);
  const globber = await createGlobber(absolute, { matchDirectories: false, omitBrokenSymbolicLinks: true });
  return (await globber.glob()).toSorted();
}
