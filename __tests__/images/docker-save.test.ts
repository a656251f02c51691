import { readdirSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { findDaemonImages, saveDaemonImages } from "../../src/images/docker-save.ts";
import { ProgramError, type RunProgram } from "../../src/lib/subprocess.ts";
import { type DockerDaemon, dockerDaemon } from "../fixtures/docker-daemon.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

/** A docker CLI that pulls images of a registry into the daemon. */
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
  {
    daemon: present = {},
    registry = {},
  }: { daemon?: Record<string, string>; registry?: Record<string, string> },
) {
  const daemon = await dockerDaemon();
  for (const [name, id] of Object.entries(present)) daemon.images.set(name, id);
  const log = recordingLog();
  const docker = { engine: daemon.engine, runProgram: cliOf(daemon, registry) };
  return { found: findDaemonImages(references, docker, log), log };
}

describe("findDaemonImages", () => {
  it("returns the full names and IDs of images that the daemon has", async () => {
    const { found, log } = await find(["web", "ghcr.io/shop/api:2"], {
      daemon: { web: "sha256:aa", "ghcr.io/shop/api:2": "sha256:bb" },
    });
    expect(await found).toEqual([
      { reference: "web", fullName: "docker.io/library/web:latest", id: "sha256:aa" },
      { reference: "ghcr.io/shop/api:2", fullName: "ghcr.io/shop/api:2", id: "sha256:bb" },
    ]);
    expect(log.lines).toEqual([]);
  });

  it("pulls images that the daemon does not have, with a line in the log", async () => {
    const { found, log } = await find(["web:1", "postgres:17"], {
      daemon: { "web:1": "sha256:aa" },
      registry: { "postgres:17": "sha256:bb" },
    });
    expect((await found).map(({ id }) => id)).toEqual(["sha256:aa", "sha256:bb"]);
    expect(log.lines).toEqual(["postgres:17 is not in the Docker daemon; pulling it."]);
  });

  it("rejects with the name of an image that cannot be pulled", async () => {
    const { found } = await find(["web:1", "wbe:1"], { daemon: { "web:1": "sha256:aa" } });
    await expect(found).rejects.toThrow(/^Could not pull image wbe:1: .*manifest for wbe:1 not found$/s);
  });

  it("returns nothing for no images", async () => {
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

describe("saveDaemonImages", () => {
  it("exports all images into one archive that only this user can read", async () => {
    const daemon = await dockerDaemon();
    daemon.exported = ({ names }) => Readable.from(["archive of ", names.join(" and ")]);
    const { saved, folder } = await save(daemon, "web:1", "api:1");
    const path = await saved;
    expect(await readFile(path, "utf8")).toBe("archive of web:1 and api:1");
    expect(readdirSync(folder)).toEqual([path.slice(folder.length + 1)]);
    expect((await stat(path)).mode & 0o077).toBe(0);
  });

  it("writes to a new file each time", async () => {
    const daemon = await dockerDaemon();
    const folder = temporaryFolder();
    daemon.images.set("web:1", "sha256:aa");
    const images = [{ reference: "web:1", fullName: "web:1", id: "sha256:aa" }];
    const options = { engine: daemon.engine, platform: amd64, folder };
    const paths = await Promise.all([saveDaemonImages(images, options), saveDaemonImages(images, options)]);
    expect(new Set(paths).size).toBe(2);
  });

  it.each([
    ...["0.99", "1.9", "1.41", "1.47"].map((api) => ({ api, requested: null })),
    ...["1.48", "1.49", "1.51", "1.100", "2.0"].map((api) => ({
      api,
      requested: '{"os":"linux","architecture":"amd64"}',
    })),
  ])(
    "exports the nodes' platform alone if the daemon can choose, from API 1.48 on: API $api",
    async ({ api, requested }) => {
      const daemon = await dockerDaemon({ ApiVersion: api });
      const platforms: (string | null)[] = [];
      daemon.exported = ({ platform }) => {
        platforms.push(platform);
        return Readable.from(["archive"]);
      };
      await (await save(daemon, "web:1")).saved;
      expect(platforms).toEqual([requested]);
    },
  );

  it("rejects with the images' names when the daemon refuses or aborts the export", async () => {
    const daemon = await dockerDaemon();
    daemon.exported = () =>
      Readable.from(
        (async function* () {
          yield "half of it";
          throw new Error("no space left on device");
        })(),
      );
    await expect((await save(daemon, "web:1", "api:1")).saved).rejects.toThrow(
      /^Could not export web:1, api:1 from the Docker daemon: .*aborted/,
    );
    const images = [{ reference: "gone:1", fullName: "gone:1", id: "sha256:aa" }];
    const options = { engine: daemon.engine, platform: amd64, folder: temporaryFolder() };
    await expect(saveDaemonImages(images, options)).rejects.toThrow(
      /^Could not export gone:1 from the Docker daemon: .*No such image: gone:1/,
    );
  });

  it("rejects with the images' names when the archive cannot be written", async () => {
    const daemon = await dockerDaemon();
    daemon.images.set("web:1", "sha256:aa");
    const images = [{ reference: "web:1", fullName: "web:1", id: "sha256:aa" }];
    const options = { engine: daemon.engine, platform: amd64, folder: join(temporaryFolder(), "missing") };
    await expect(saveDaemonImages(images, options)).rejects.toThrow(
      /^Could not export web:1 from the Docker daemon: ENOENT/,
    );
  });
});
