import { chmod, mkdir, rm, stat } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { HttpClient } from "@actions/http-client";
import { cacheFile, downloadTool, find } from "@actions/tool-cache";
import { toolKey } from "../cache/keys.ts";
import type { CacheStore } from "../cache/transport/store.ts";
import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { sha256File } from "../lib/sha256.ts";
import type { Architecture } from "../versions/releases.ts";

/** A program to be had: which, and what it must hash to. */
export interface ToolPlan {
  readonly name: "kind" | "kubectl";
  readonly version: string;
  readonly architecture: Architecture;
  /** SHA-256; none where the version is not among those that the action knows. */
  readonly checksum: string | undefined;
  readonly url: string;
  /** Where upstream publishes the sum. */
  readonly checksumUrl: string;
}

/** A tool whose sum is known. */
export interface PinnedTool extends ToolPlan {
  readonly checksum: string;
}

export interface InstalledTool {
  readonly name: ToolPlan["name"];
  readonly version: string;
  readonly path: string;
  readonly checksum: string;
  readonly from: "runner" | "tool cache" | "Actions cache" | "download";
  /** Whether PATH finds it before any other of its name. */
  readonly first: boolean;
}

/** What of the machine the installation needs. */
export interface ToolSources {
  /** Folders of PATH. */
  readonly path: readonly string[];
  /** A folder of the job's own, for downloads. */
  readonly folder: string;
  readonly cache: CacheStore;
}

/** A tool is 10 to 60 MB: by then a download would have been faster. */
const restoreDeadline = 20_000;

/**
 * Has a tool at its version: from the runner, the tool cache or the Actions cache where the hash fits, else downloaded.
 * Nothing is run to find out what it is, and nothing is handed out that was not hashed just before: a tool cache on a
 * self-hosted runner is everybody's.
 *
 * @throws when it cannot be downloaded, or is not what it should be
 */
export async function installTool(tool: PinnedTool, on: ToolSources, log: Log): Promise<InstalledTool> {
  const expected = tool.checksum;
  const version = tool.version.replace(/^v/, "");
  const candidates = await onPath(tool.name, on.path);
  for (const candidate of candidates) {
    if ((await sha256File(candidate).catch(() => "")) === expected) return found(candidate, "runner");
  }
  const cached = find(tool.name, version, tool.architecture);
  if (cached !== "") {
    const path = join(cached, tool.name);
    if ((await sha256File(path).catch(() => "")) === expected) return found(path, "tool cache");
    log.warning(`${path} in the tool cache is not ${tool.name} ${tool.version}: it is downloaded again.`);
    await rm(cached, { recursive: true, force: true });
  }
  const restored = join(on.cache.folder, tool.name);
  const { outcome, reason } = await on.cache.restore({
    path: tool.name,
    key: toolKey(tool.name, expected),
    deadline: restoreDeadline,
  });
  if (outcome === "failed") log.line(`${tool.name} does not come out of the cache: ${reason}`);
  if ((await sha256File(restored).catch(() => "")) === expected) {
    return found(await keep(tool, restored), "Actions cache");
  }
  return found(await keep(tool, await download(tool, expected, on.folder, log)), "download");

  function found(path: string, from: InstalledTool["from"]): InstalledTool {
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

async function download(tool: ToolPlan, expected: string, folder: string, log: Log): Promise<string> {
  log.line(`Downloading ${tool.url}`);
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${tool.name}-download`);
  await rm(file, { force: true });
  try {
    await downloadTool(tool.url, file);
  } catch (error) {
    throw new Error(
      `${tool.name} ${tool.version} cannot be downloaded from ${tool.url}: ${errorMessage(error)}. ` +
        "If the version exists, the host may be out of reach: `download_base_url` takes a mirror.",
      { cause: error },
    );
  }
  const actual = await sha256File(file);
  if (actual !== expected) {
    await rm(file, { force: true });
    throw new Error(
      `${tool.url} is not ${tool.name} ${tool.version}: its SHA-256 is ${actual}, expected ${expected}. ` +
        "It was not run. A mirror that serves its own builds needs their sums in `checksums`.",
    );
  }
  return file;
}

/** Moves a program that was checked into the tool cache. */
async function keep(tool: ToolPlan, file: string): Promise<string> {
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
 * Has the sum of a tool: the known one, else upstream's own, which guards against a broken download, not against
 * upstream.
 *
 * @throws when there is no such version, or its sum cannot be read
 */
export async function pinTool(tool: ToolPlan): Promise<PinnedTool> {
  return { ...tool, checksum: tool.checksum ?? (await publishedChecksum(tool)) };
}

async function publishedChecksum(tool: ToolPlan): Promise<string> {
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
      `is not a version that this action knows by hash, and its published hash cannot be read from ${tool.checksumUrl} (${errorMessage(error)}). Give the hash in \`checksums\`, or a mirror in \`download_base_url\``,
      { cause: error },
    );
  }
  const sum = /^[0-9a-f]{64}\b/i.exec(body.trim())?.[0];
  if (status === 200 && sum !== undefined) return sum.toLowerCase();
  if (status === 404)
    throw new Error(`there is no ${tool.name} ${tool.version}: ${tool.checksumUrl} does not exist`);
  throw new Error(
    `${tool.checksumUrl} should hold the hash of ${tool.name} ${tool.version}, and answers with status ${status}`,
  );
}

/** Every program of that name in the folders of PATH. */
async function onPath(name: string, folders: readonly string[]): Promise<string[]> {
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

/** The folder to put on PATH for a tool. */
export const folderOf = (tool: InstalledTool): string => dirname(tool.path);
