import { createHash } from "node:crypto";
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { restoredTool, toolEntry } from "../../src/cache/entries/tool.ts";
import type { CacheStore } from "../../src/cache/transport/store.ts";
import { Engine } from "../../src/docker/engine.ts";
import { folderOf, installTool, type PinnedTool, pinTool } from "../../src/tools/install.ts";
import { quiet } from "../fixtures/quiet.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { files, serve, unusedPort, type WebServer } from "../fixtures/web-server.ts";

const program = "#!/bin/sh\necho kind v0.33.0\n";
const other = "#!/bin/sh\necho something else\n";
const checksumOf = (text: string) => createHash("sha256").update(text).digest("hex");

const path = "/v0.33.0/kind-linux-amd64";

let server: WebServer;
let answer: RequestListener;
let folder: string;
beforeEach(async () => {
  folder = temporaryFolder();
  answer = files({ [path]: program });
  server = await serve((request, response) => answer(request, response));
  vi.stubEnv("RUNNER_TOOL_CACHE", join(folder, "tools"));
  vi.stubEnv("RUNNER_TEMP", join(folder, "temp"));
  onTestFinished(() => void vi.unstubAllEnvs());
  quiet();
});

/** kind v0.33.0 from the server of this test. */
const kindFrom = (url: string, more: Partial<PinnedTool> = {}): PinnedTool => ({
  name: "kind",
  version: "v0.33.0",
  architecture: "amd64",
  checksum: checksumOf(program),
  url: `${url}${path}`,
  checksumUrl: `${url}${path}.sha256sum`,
  ...more,
});

/** An Actions cache. @param entries contents by key */
function cacheWith(entries: Readonly<Record<string, string>> = {}): CacheStore {
  return {
    folder: join(folder, "cache"),
    async restore({ path, key }) {
      const entry = entries[key];
      if (entry === undefined) return { outcome: "miss" };
      await mkdir(join(folder, "cache"), { recursive: true });
      await writeFile(join(folder, "cache", path), entry);
      return { outcome: "hit", key };
    },
    isMissing: () => Promise.resolve(false),
    close: async () => {},
    save: () => Promise.reject(new Error("installTool does not save")),
  };
}

async function install(
  tool: PinnedTool,
  { path = [], cache = cacheWith() }: { path?: readonly string[]; cache?: CacheStore } = {},
) {
  const log = recordingLog();
  const context = {
    store: cache,
    engine: new Engine({ DOCKER_HOST: "unix:///nonexistent/docker.sock" }),
    folder,
  };
  const sources = {
    path,
    folder: join(folder, "downloads"),
    restore: async (tool: { name: string; checksum: string }) => {
      const { outcome } = await toolEntry.restore(tool, context, log);
      return outcome === "hit" ? restoredTool(context, tool.name) : undefined;
    },
  };
  const installed = await installTool(tool, sources, log);
  return { installed, log };
}

/** A folder of PATH that contains a program `kind`. */
async function binFolder(name: string, content: string): Promise<string> {
  const bin = join(folder, name);
  await mkdir(bin, { recursive: true });
  await writeFile(join(bin, "kind"), content, { mode: 0o755 });
  return bin;
}

const isExecutable = async (file: string) => ((await stat(file)).mode & 0o111) !== 0;

/** Returns all files in a folder and its subfolders. */
async function allFiles(below: string): Promise<string[]> {
  const entries = await readdir(below, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

describe("installTool with programs on PATH", () => {
  it("uses a program whose checksum matches, and downloads nothing", async () => {
    const bin = await binFolder("bin", program);
    const { installed, log } = await install(kindFrom(server.url), { path: [bin] });
    expect(installed).toEqual({
      name: "kind",
      version: "v0.33.0",
      path: join(bin, "kind"),
      checksum: checksumOf(program),
      from: "runner",
      first: true,
    });
    expect(folderOf(installed)).toBe(bin);
    expect(log.lines).toEqual([`kind v0.33.0 from the runner: ${join(bin, "kind")}`]);
    expect(server.requests).toEqual([]);
  });

  it("does not use a program whose checksum does not match", async () => {
    const bin = await binFolder("bin", other);
    const { installed } = await install(kindFrom(server.url), { path: [bin] });
    expect(installed).toMatchObject({ from: "download", first: false });
    expect(await readFile(installed.path, "utf8")).toBe(program);
    expect(await readFile(join(bin, "kind"), "utf8")).toBe(other);
  });

  it("uses a program that is not the first of its name, and reports that", async () => {
    const [before, behind] = [await binFolder("before", other), await binFolder("behind", program)];
    const { installed } = await install(kindFrom(server.url), { path: ["", before, behind] });
    expect(installed).toMatchObject({ from: "runner", path: join(behind, "kind"), first: false });
  });

  it("ignores folders and broken symbolic links", async () => {
    await mkdir(join(folder, "a", "kind"), { recursive: true });
    await mkdir(join(folder, "b"));
    await symlink("/nonexistent", join(folder, "b", "kind"));
    const { installed } = await install(kindFrom(server.url), {
      path: [join(folder, "a"), join(folder, "b")],
    });
    expect(installed.from).toBe("download");
  });
});

describe("installTool with the tool cache", () => {
  it("uses the program that an earlier job downloaded", async () => {
    const first = await install(kindFrom(server.url));
    const second = await install(kindFrom(server.url));
    expect(second.installed).toEqual({ ...first.installed, from: "tool cache" });
    expect(server.requests).toEqual([`GET ${path}`]);
  });

  it("downloads a program again whose file was changed, with a warning", async () => {
    const { installed } = await install(kindFrom(server.url));
    await chmod(installed.path, 0o755);
    await writeFile(installed.path, other);
    const again = await install(kindFrom(server.url));
    expect(again.installed.from).toBe("download");
    expect(await readFile(again.installed.path, "utf8")).toBe(program);
    expect(again.log.warnings).toEqual([
      `The checksum of ${installed.path} in the tool cache does not match kind v0.33.0. The file is removed and kind is installed again.`,
    ]);
  });

  it("distinguishes architectures", async () => {
    await install(kindFrom(server.url));
    answer = files({ [path]: other });
    const { installed } = await install(
      kindFrom(server.url, { architecture: "arm64", checksum: checksumOf(other) }),
    );
    expect(installed.from).toBe("download");
    expect(await readFile(installed.path, "utf8")).toBe(other);
  });
});

describe("installTool with the Actions cache", () => {
  it("uses a restored program whose checksum matches", async () => {
    const cache = cacheWith({ [toolEntry.key({ name: "kind", checksum: checksumOf(program) })]: program });
    const { installed } = await install(kindFrom(server.url), { cache });
    expect(installed.from).toBe("Actions cache");
    expect(await readFile(installed.path, "utf8")).toBe(program);
    expect(await isExecutable(installed.path)).toBe(true);
    expect(server.requests).toEqual([]);
  });

  it("downloads the program if the checksum of the restored one does not match, and never makes that one executable", async () => {
    const cache = cacheWith({ [toolEntry.key({ name: "kind", checksum: checksumOf(program) })]: other });
    const { installed } = await install(kindFrom(server.url), { cache });
    expect(installed.from).toBe("download");
    expect(await readFile(installed.path, "utf8")).toBe(program);
    expect(await isExecutable(join(cache.folder, "kind"))).toBe(false);
  });
});

describe("installTool with a download", () => {
  it("moves the program to the tool cache, and makes it executable", async () => {
    const { installed, log } = await install(kindFrom(server.url));
    expect(installed).toMatchObject({ from: "download", version: "v0.33.0", first: false });
    expect(installed.path.startsWith(join(folder, "tools"))).toBe(true);
    expect(await isExecutable(installed.path)).toBe(true);
    expect(await allFiles(join(folder, "downloads"))).toEqual([]);
    expect(log.lines[0]).toBe(`Downloading ${server.url}${path}`);
  });

  it("fails if the checksum does not match, and removes the file", async () => {
    answer = files({ [path]: other });
    await expect(install(kindFrom(server.url))).rejects.toThrow(
      `The checksum of ${server.url}${path} does not match kind v0.33.0: its SHA-256 is ${checksumOf(other)}, expected ${checksumOf(program)}. ` +
        "The file was removed and not run. If a mirror serves its own builds, set their SHA-256 in `checksums`.",
    );
    const left = await allFiles(folder);
    for (const file of left) expect(await readFile(file, "utf8"), file).not.toBe(other);
  });

  it("fails without retries, with the URL, if the file does not exist", async () => {
    answer = files({});
    await expect(install(kindFrom(server.url))).rejects.toThrow(
      `Could not download kind v0.33.0 from ${server.url}${path}: Unexpected HTTP response: 404. ` +
        "If the version exists and the host cannot be reached, set `download_base_url` to a mirror.",
    );
    expect(server.requests).toHaveLength(1);
  });

  it("replaces an earlier download that was interrupted", async () => {
    await mkdir(join(folder, "downloads"));
    await writeFile(join(folder, "downloads", "kind-download"), "#!/bin/");
    const { installed } = await install(kindFrom(server.url));
    expect(await readFile(installed.path, "utf8")).toBe(program);
  });
});

describe("pinTool", () => {
  const unknown = (url: string) => ({ ...kindFrom(url), checksum: undefined });

  it("returns a known checksum without a request", async () => {
    expect(await pinTool(kindFrom(server.url))).toEqual(kindFrom(server.url));
    expect(server.requests).toEqual([]);
  });

  it.each([
    ["as kind publishes it", `${checksumOf(program)}  kind-linux-amd64\n`],
    ["as Kubernetes publishes it", checksumOf(program)],
    ["in upper case", checksumOf(program).toUpperCase()],
  ])("returns the published checksum of a version without a known one, %s", async (_, published) => {
    answer = files({ [path]: program, [`${path}.sha256sum`]: published });
    const pinned = await pinTool(unknown(server.url));
    expect(pinned).toEqual(kindFrom(server.url));
    expect((await install(pinned)).installed.from).toBe("download");
  });

  it("fails if the version does not exist", async () => {
    answer = files({});
    await expect(pinTool(unknown(server.url))).rejects.toThrow(
      `is not a version of kind: ${server.url}${path}.sha256sum does not exist`,
    );
  });

  it("fails if the response is not a checksum", async () => {
    answer = files({ [`${path}.sha256sum`]: "<html>Please log in</html>" });
    await expect(pinTool(unknown(server.url))).rejects.toThrow(
      `has no known checksum, and ${server.url}${path}.sha256sum does not contain a SHA-256 (status 200). Set the SHA-256 in \`checksums\`, or a mirror in \`download_base_url\``,
    );
  });

  it("fails if the server does not answer, with a remedy", async () => {
    const url = `http://127.0.0.1:${await unusedPort()}`;
    const pinned = pinTool(unknown(url));
    await expect(pinned).rejects.toThrow(
      `has no known checksum, and the published one could not be read from ${url}${path}.sha256sum`,
    );
    await expect(pinned).rejects.toThrow(
      "Set the SHA-256 in `checksums`, or a mirror in `download_base_url`",
    );
  });
});
