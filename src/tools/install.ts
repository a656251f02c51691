import { chmod, mkdir, rm, stat } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { HttpClient } from "@actions/http-client";
import { cacheFile, downloadTool, find } from "@actions/tool-cache";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { sha256File } from "../lib/sha256.ts";
import type { Architecture } from "../versions/releases.ts";

/** A program to install. */
export interface ToolPlan {
  readonly name: "kind" | "kubectl";
  readonly version: string;
  readonly architecture: Architecture;
  /** SHA-256, in hexadecimal; undefined if neither the user nor the release table gives it. */
  readonly checksum: string | undefined;
  readonly url: string;
  /** The URL of the published checksum. */
  readonly checksumUrl: string;
}

/** A program whose checksum is known. */
export interface PinnedTool extends ToolPlan {
  readonly checksum: string;
}

/** An installed program. */
export interface InstalledTool {
  readonly name: ToolPlan["name"];
  readonly version: string;
  readonly path: string;
  readonly checksum: string;
  readonly from: "runner" | "tool cache" | "Actions cache" | "download";
  /** Whether it is the first program of its name on PATH. */
  readonly first: boolean;
}

/** The sources of a program. */
export interface ToolSources {
  /** The folders of PATH. */
  readonly path: readonly string[];
  /** A folder of the job, for downloads. */
  readonly folder: string;
  /** Restores a program from the Actions cache. @returns the path of the verified file; undefined on a miss */
  readonly restore: (tool: { name: string; checksum: string }) => Promise<string | undefined>;
}

/**
 * Installs a program: from PATH, the tool cache or the Actions cache if the checksum of the file there matches, else by
 * a download. No file is run before its checksum is verified, not even to find its version: all jobs can write to the
 * tool cache of a self-hosted runner.
 *
 * @throws when the download fails, or its checksum does not match
 */
export async function installTool(tool: PinnedTool, sources: ToolSources, log: Log): Promise<InstalledTool> {
  const expected = tool.checksum;
  const version = tool.version.replace(/^v/, "");
  const candidates = await findOnPath(tool.name, sources.path);
  for (const candidate of candidates) {
    if ((await sha256File(candidate).catch(() => "")) === expected) return installed(candidate, "runner");
  }
  const cached = find(tool.name, version, tool.architecture);
  if (cached !== "") {
    const path = join(cached, tool.name);
    if ((await sha256File(path).catch(() => "")) === expected) return installed(path, "tool cache");
    log.warning(
      `The checksum of ${path} in the tool cache does not match ${tool.name} ${tool.version}. The file is removed and ${tool.name} is installed again.`,
    );
    await rm(cached, { recursive: true, force: true });
  }
  const restored = await sources.restore({ name: tool.name, checksum: expected });
  if (restored !== undefined) return installed(await addToToolCache(tool, restored), "Actions cache");
  return installed(await addToToolCache(tool, await download(tool, sources.folder, log)), "download");

  function installed(path: string, from: InstalledTool["from"]): InstalledTool {
    log.line(`${tool.name} ${tool.version} from the ${from}: ${path}`);
    return {
      name: tool.name,
      version: tool.version,
      path,
      checksum: expected,
      from,
      first: path === candidates[0],
    };
  }
}

/** Downloads a program to a folder. @returns the path of the verified file */
async function download(tool: PinnedTool, folder: string, log: Log): Promise<string> {
  log.line(`Downloading ${tool.url}`);
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${tool.name}-download`);
  await rm(file, { force: true });
  try {
    await downloadTool(tool.url, file);
  } catch (error) {
    throw new Error(
      `Could not download ${tool.name} ${tool.version} from ${tool.url}: ${errorMessage(error)}. ` +
        "If the version exists and the host cannot be reached, set `download_base_url` to a mirror.",
      { cause: error },
    );
  }
  const actual = await sha256File(file);
  if (actual !== tool.checksum) {
    await rm(file, { force: true });
    throw new Error(
      `The checksum of ${tool.url} does not match ${tool.name} ${tool.version}: its SHA-256 is ${actual}, expected ${tool.checksum}. ` +
        "The file was removed and not run. If a mirror serves its own builds, set their SHA-256 in `checksums`.",
    );
  }
  return file;
}

/** Moves a verified program to the tool cache. @returns its path there */
async function addToToolCache(tool: ToolPlan, file: string): Promise<string> {
  await chmod(file, 0o755);
  const cached = await cacheFile(
    file,
    tool.name,
    tool.name,
    tool.version.replace(/^v/, ""),
    tool.architecture,
  );
  await rm(file, { force: true });
  return join(cached, tool.name);
}

/**
 * Adds the checksum of a program: the known one, else the published one, which detects a corrupt download but not a
 * compromised upstream.
 *
 * @throws when the version does not exist, or its checksum cannot be read; the message is a clause whose subject is the
 * version
 */
export async function pinTool(tool: ToolPlan): Promise<PinnedTool> {
  return { ...tool, checksum: tool.checksum ?? (await readPublishedChecksum(tool)) };
}

async function readPublishedChecksum(tool: ToolPlan): Promise<string> {
  const client = new HttpClient("kind-action", [], {
    allowRetries: true,
    maxRetries: 3,
    socketTimeout: 15_000,
  });
  let status: number | undefined;
  let body: string;
  try {
    const response = await client.get(tool.checksumUrl);
    status = response.message.statusCode;
    body = await response.readBody();
  } catch (error) {
    throw new Error(
      `has no known checksum, and the published one could not be read from ${tool.checksumUrl}: ${errorMessage(error)}. Set the SHA-256 in \`checksums\`, or a mirror in \`download_base_url\``,
      { cause: error },
    );
  }
  const checksum = /^[0-9a-f]{64}\b/i.exec(body.trim())?.[0];
  if (status === 200 && checksum !== undefined) return checksum.toLowerCase();
  if (status === 404) throw new Error(`is not a version of ${tool.name}: ${tool.checksumUrl} does not exist`);
  throw new Error(
    `has no known checksum, and ${tool.checksumUrl} does not contain a SHA-256 (status ${status}). Set the SHA-256 in \`checksums\`, or a mirror in \`download_base_url\``,
  );
}

/** Returns the executable files of a name in the folders of PATH, in their order. */
async function findOnPath(name: string, folders: readonly string[]): Promise<string[]> {
  const paths = [
    ...new Set(folders.filter((folder) => isAbsolute(folder)).map((folder) => join(folder, name))),
  ];
  const files = await Promise.all(
    paths.map((path) =>
      stat(path).then(
        (entry) => entry.isFile() && (entry.mode & 0o111) !== 0,
        () => false,
      ),
    ),
  );
  return paths.filter((_, index) => files[index]);
}

/** Returns the folder of a program, for PATH. */
export const folderOf = (tool: InstalledTool): string => dirname(tool.path);
