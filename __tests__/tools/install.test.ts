import { createHash } from "node:crypto";
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { toolKey } from "../../src/cache/keys.ts";
import type { CacheStore } from "../../src/cache/transport/store.ts";
import { folderOf, installTool, type PinnedTool, pinTool } from "../../src/tools/install.ts";
import { quiet } from "../fixtures/quiet.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { files, serve, unusedPort, type WebServer } from "../fixtures/web-server.ts";

const program = "#!/bin/sh\necho kind v0.33.0\n";
const other = "#!/bin/sh\necho something else\n";
const sum = (text: string) => createHash("sha256").update(text).digest("hex");

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
  checksum: sum(program),
  url: `${url}${path}`,
  checksumUrl: `${url}${path}.sha256sum`,
  ...more,
});

/** An Actions cache with what it brings back, by key. */
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
    save: () => Promise.reject(new Error("installing saves nothing")),
  };
}

async function install(tool: PinnedTool, from: { path?: readonly string[]; cache?: CacheStore } = {}) {
  const log = recordingLog();
  const sources = {
    path: from.path ?? [],
    folder: join(folder, "downloads"),
    cache: from.cache ?? cacheWith(),
  };
  const installed = await installTool(tool, sources, log);
  return { installed, log };
}

/** A folder of PATH with a program in it. */
async function binFolder(name: string, content: string): Promise<string> {
  const bin = join(folder, name);
  await mkdir(bin, { recursive: true });
  await writeFile(join(bin, "kind"), content, { mode: 0o755 });
  return bin;
}

const isExecutable = async (file: string) => ((await stat(file)).mode & 0o111) !== 0;

/** Every file below a folder. */
async function everyFile(below: string): Promise<string[]> {
  const entries = await readdir(below, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

describe("a tool on the runner", () => {
  it("is used when it is what it should be, and nothing is downloaded", async () => {
    const bin = await binFolder("bin", program);
    const { installed, log } = await install(kindFrom(server.url), { path: [bin] });
    expect(installed).toEqual({
      name: "kind",
      version: "v0.33.0",
      path: join(bin, "kind"),
      checksum: sum(program),
      from: "runner",
      first: true,
    });
    expect(folderOf(installed)).toBe(bin);
    expect(log.lines).toEqual([`kind v0.33.0 from the runner: ${join(bin, "kind")}`]);
    expect(server.requests).toEqual([]);
  });

  it("is known by its hash alone: one that only says it were the version is not used", async () => {
    const bin = await binFolder("bin", other);
    const { installed } = await install(kindFrom(server.url), { path: [bin] });
    expect(installed).toMatchObject({ from: "download", first: false });
    expect(await readFile(installed.path, "utf8")).toBe(program);
    expect(await readFile(join(bin, "kind"), "utf8")).toBe(other);
  });

  it("is found behind another one, and then has to be put before that", async () => {
    const [before, behind] = [await binFolder("before", other), await binFolder("behind", program)];
    const { installed } = await install(kindFrom(server.url), { path: ["", before, behind] });
    expect(installed).toMatchObject({ from: "runner", path: join(behind, "kind"), first: false });
  });

  it("is no folder and no broken link of its name", async () => {
    await mkdir(join(folder, "a", "kind"), { recursive: true });
    await mkdir(join(folder, "b"));
    await symlink("/nonexistent", join(folder, "b", "kind"));
    const { installed } = await install(kindFrom(server.url), {
      path: [join(folder, "a"), join(folder, "b")],
    });
    expect(installed.from).toBe("download");
  });
});

describe("a tool in the tool cache", () => {
  it("is used by the next job on the machine", async () => {
    const first = await install(kindFrom(server.url));
    const second = await install(kindFrom(server.url));
    expect(second.installed).toEqual({ ...first.installed, from: "tool cache" });
    expect(server.requests).toEqual([`GET ${path}`]);
  });

  it("is not used when somebody has changed it: it is downloaded again, with a warning", async () => {
    const { installed } = await install(kindFrom(server.url));
    await chmod(installed.path, 0o755);
    await writeFile(installed.path, other);
    const again = await install(kindFrom(server.url));
    expect(again.installed.from).toBe("download");
    expect(await readFile(again.installed.path, "utf8")).toBe(program);
    expect(again.log.warnings).toEqual([
      `${installed.path} in the tool cache is not kind v0.33.0: it is downloaded again.`,
    ]);
  });

  it("is that of its version and architecture", async () => {
    await install(kindFrom(server.url));
    answer = files({ [path]: other });
    const { installed } = await install(
      kindFrom(server.url, { architecture: "arm64", checksum: sum(other) }),
    );
    expect(installed.from).toBe("download");
    expect(await readFile(installed.path, "utf8")).toBe(other);
  });
});

describe("a tool in the Actions cache", () => {
  it("is used when it is what it should be", async () => {
    const cache = cacheWith({ [toolKey("kind", sum(program))]: program });
    const { installed } = await install(kindFrom(server.url), { cache });
    expect(installed.from).toBe("Actions cache");
    expect(await readFile(installed.path, "utf8")).toBe(program);
    expect(await isExecutable(installed.path)).toBe(true);
    expect(server.requests).toEqual([]);
  });

  it("is not used when it is something else, whoever put it there", async () => {
    const cache = cacheWith({ [toolKey("kind", sum(program))]: other });
    const { installed } = await install(kindFrom(server.url), { cache });
    expect(installed.from).toBe("download");
    expect(await readFile(installed.path, "utf8")).toBe(program);
    expect(await isExecutable(join(cache.folder, "kind"))).toBe(false);
  });
});

describe("a download", () => {
  it("ends up in the tool cache, executable, and nowhere else", async () => {
    const { installed, log } = await install(kindFrom(server.url));
    expect(installed).toMatchObject({ from: "download", version: "v0.33.0", first: false });
    expect(installed.path.startsWith(join(folder, "tools"))).toBe(true);
    expect(await isExecutable(installed.path)).toBe(true);
    expect(await everyFile(join(folder, "downloads"))).toEqual([]);
    expect(log.lines[0]).toBe(`Downloading ${server.url}${path}`);
  });

  it("that is something else is refused, and left nowhere where it could be run", async () => {
    answer = files({ [path]: other });
    await expect(install(kindFrom(server.url))).rejects.toThrow(
      `${server.url}${path} is not kind v0.33.0: its SHA-256 is ${sum(other)}, expected ${sum(program)}. ` +
        "It was not run. A mirror that serves its own builds needs their sums in `checksums`.",
    );
    const left = await everyFile(folder);
    for (const file of left) expect(await readFile(file, "utf8"), file).not.toBe(other);
  });

  it("that there is not is told with where it was looked for, after a single attempt", async () => {
    answer = files({});
    await expect(install(kindFrom(server.url))).rejects.toThrow(
      `kind v0.33.0 cannot be downloaded from ${server.url}${path}: Unexpected HTTP response: 404. ` +
        "If the version exists, the host may be out of reach: `download_base_url` takes a mirror.",
    );
    expect(server.requests).toHaveLength(1);
  });

  it("does not stumble over one that was cut off before", async () => {
    await mkdir(join(folder, "downloads"));
    await writeFile(join(folder, "downloads", "kind-download"), "#!/bin/");
    const { installed } = await install(kindFrom(server.url));
    expect(await readFile(installed.path, "utf8")).toBe(program);
  });
});

describe("the sum that a tool must have", () => {
  const unknown = (url: string) => ({ ...kindFrom(url), checksum: undefined });

  it("is the known one, and then nobody is asked", async () => {
    expect(await pinTool(kindFrom(server.url))).toEqual(kindFrom(server.url));
    expect(server.requests).toEqual([]);
  });

  it.each([
    ["as kind publishes it", `${sum(program)}  kind-linux-amd64\n`],
    ["as Kubernetes publishes it", sum(program)],
    ["in capitals", sum(program).toUpperCase()],
  ])("is the published one for a version that nobody knows by hash, %s", async (_, published) => {
    answer = files({ [path]: program, [`${path}.sha256sum`]: published });
    const pinned = await pinTool(unknown(server.url));
    expect(pinned).toEqual(kindFrom(server.url));
    expect((await install(pinned)).installed.from).toBe("download");
  });

  it("is nowhere when there is no such version", async () => {
    answer = files({});
    await expect(pinTool(unknown(server.url))).rejects.toThrow(
      `there is no kind v0.33.0: ${server.url}${path}.sha256sum does not exist`,
    );
  });

  it("cannot be read from something that is no sum", async () => {
    answer = files({ [`${path}.sha256sum`]: "<html>Please log in</html>" });
    await expect(pinTool(unknown(server.url))).rejects.toThrow(
      `${server.url}${path}.sha256sum should hold the hash of kind v0.33.0, and answers with status 200`,
    );
  });

  it("cannot be read when nobody answers, and it is said what can be done", async () => {
    const url = `http://127.0.0.1:${await unusedPort()}`;
    const pinned = pinTool(unknown(url));
    await expect(pinned).rejects.toThrow(
      `is not a version that this action knows by hash, and its published hash cannot be read from ${url}${path}.sha256sum`,
    );
    await expect(pinned).rejects.toThrow("Give the hash in `checksums`, or a mirror in `download_base_url`");
  });
});
