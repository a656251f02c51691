import { readdirSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { atLeast, findDaemonImages, saveDaemonImages } from "../../src/images/docker-save.ts";
import { ProgramError, type RunProgram } from "../../src/lib/subprocess.ts";
import { type DockerDaemon, dockerDaemon } from "../fixtures/docker-daemon.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

/** A docker CLI whose pulls bring what is in a registry into the daemon. */
const cliOf =
  ({ images }: DockerDaemon, registry: Readonly<Record<string, string>>): RunProgram =>
  async (program, args) => {
    const name = args[1] ?? "";
    const id = registry[name];
    const output = {
      exitCode: id === undefined ? 1 : 0,
      stdout: "",
      stderr: `manifest for ${name} not found`,
    };
    if (id === undefined) throw new ProgramError(program, args, output, "failed with exit code 1");
    images.set(name, id);
    return { ...output, stderr: "" };
  };

async function find(
  references: readonly string[],
  { daemon: has = {}, registry = {} }: { daemon?: Record<string, string>; registry?: Record<string, string> },
) {
  const daemon = await dockerDaemon();
  for (const [name, id] of Object.entries(has)) daemon.images.set(name, id);
  const log = recordingLog();
  const on = { engine: daemon.engine, endpoint: daemon.endpoint, run: cliOf(daemon, registry) };
  return { found: findDaemonImages(references, on, log), log };
}

describe("images of the Docker daemon", () => {
  it("are found by the names that the user has for them, with those that Kubernetes has", async () => {
    const { found, log } = await find(["web", "ghcr.io/shop/api:2"], {
      daemon: { web: "sha256:aa", "ghcr.io/shop/api:2": "sha256:bb" },
    });
    expect(await found).toEqual([
      { reference: "web", fullName: "docker.io/library/web:latest", id: "sha256:aa" },
      { reference: "ghcr.io/shop/api:2", fullName: "ghcr.io/shop/api:2", id: "sha256:bb" },
    ]);
    expect(log.lines).toEqual([]);
  });

  it("are pulled first where the daemon lacks them, and that is said", async () => {
    const { found, log } = await find(["web:1", "postgres:17"], {
      daemon: { "web:1": "sha256:aa" },
      registry: { "postgres:17": "sha256:bb" },
    });
    expect((await found).map(({ id }) => id)).toEqual(["sha256:aa", "sha256:bb"]);
    expect(log.lines).toEqual(["postgres:17 is not in the Docker daemon: it is pulled."]);
  });

  it("that nobody has fail by their name", async () => {
    const { found } = await find(["web:1", "wbe:1"], { daemon: { "web:1": "sha256:aa" } });
    await expect(found).rejects.toThrow(
      /^The image wbe:1 cannot be pulled: .*manifest for wbe:1 not found$/s,
    );
  });

  it("may be none", async () => {
    expect(await (await find([], {})).found).toEqual([]);
  });
});

const amd64 = { os: "linux", architecture: "amd64" };

async function save(daemon: DockerDaemon, ...references: string[]) {
  const folder = temporaryFolder();
  const images = references.map((reference) => ({ reference, fullName: reference, id: "sha256:aa" }));
  for (const reference of references) daemon.images.set(reference, "sha256:aa");
  const saved = saveDaemonImages(images, { engine: daemon.engine, platform: amd64, folder });
  return { saved, folder };
}

describe("an export of images", () => {
  it("is one archive with all of them, which nobody else may read", async () => {
    const daemon = await dockerDaemon();
    daemon.exported = ({ names }) => Readable.from(["archive of ", names.join(" and ")]);
    const { saved, folder } = await save(daemon, "web:1", "api:1");
    const path = await saved;
    expect(await readFile(path, "utf8")).toBe("archive of web:1 and api:1");
    expect(readdirSync(folder)).toEqual([path.slice(folder.length + 1)]);
    expect((await stat(path)).mode & 0o077).toBe(0);
  });

  it("has a name of its own each time", async () => {
    const daemon = await dockerDaemon();
    const folder = temporaryFolder();
    daemon.images.set("web:1", "sha256:aa");
    const images = [{ reference: "web:1", fullName: "web:1", id: "sha256:aa" }];
    const on = { engine: daemon.engine, platform: amd64, folder };
    const paths = await Promise.all([saveDaemonImages(images, on), saveDaemonImages(images, on)]);
    expect(new Set(paths).size).toBe(2);
  });

  it.each([
    { api: "1.41", asked: null },
    { api: "1.47", asked: null },
    { api: "1.48", asked: '{"os":"linux","architecture":"amd64"}' },
    { api: "1.51", asked: '{"os":"linux","architecture":"amd64"}' },
  ])("is of the nodes' platform alone where the daemon can choose: with API $api", async ({ api, asked }) => {
    const daemon = await dockerDaemon({ ApiVersion: api });
    const platforms: (string | null)[] = [];
    daemon.exported = ({ platform }) => {
      platforms.push(platform);
      return Readable.from(["archive"]);
    };
    await (await save(daemon, "web:1")).saved;
    expect(platforms).toEqual([asked]);
  });

  it("that the daemon refuses or breaks off fails with the images' names", async () => {
    const daemon = await dockerDaemon();
    daemon.exported = () =>
      Readable.from(
        (async function* () {
          yield "half of it";
          throw new Error("no space left on device");
        })(),
      );
    await expect((await save(daemon, "web:1", "api:1")).saved).rejects.toThrow(
      /^The Docker daemon does not export web:1, api:1: .*aborted/,
    );
    const images = [{ reference: "gone:1", fullName: "gone:1", id: "sha256:aa" }];
    const on = { engine: daemon.engine, platform: amd64, folder: temporaryFolder() };
    await expect(saveDaemonImages(images, on)).rejects.toThrow(
      /^The Docker daemon does not export gone:1: .*No such image: gone:1/,
    );
  });

  it("that cannot be written fails with the images' names", async () => {
    const daemon = await dockerDaemon();
    daemon.images.set("web:1", "sha256:aa");
    const images = [{ reference: "web:1", fullName: "web:1", id: "sha256:aa" }];
    const on = { engine: daemon.engine, platform: amd64, folder: join(temporaryFolder(), "missing") };
    await expect(saveDaemonImages(images, on)).rejects.toThrow(
      /^The Docker daemon does not export web:1: ENOENT/,
    );
  });
});

describe("a version of Docker's API", () => {
  it.each([
    ["1.48", "1.48", true],
    ["1.49", "1.48", true],
    ["1.100", "1.48", true],
    ["2.0", "1.48", true],
    ["1.47", "1.48", false],
    ["1.9", "1.48", false],
    ["0.99", "1.48", false],
    ["", "1.48", false],
  ])("%s is at least %s: %s", (version, least, expected) => {
    expect(atLeast(version, least)).toBe(expected);
  });
});
