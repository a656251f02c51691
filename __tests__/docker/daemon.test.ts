import { describe, expect, it } from "vitest";
import { readDaemon } from "../../src/docker/daemon.ts";
import type { RunProgram } from "../../src/lib/subprocess.ts";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";
import { unusedPort } from "../fixtures/web-server.ts";

const noProgram: RunProgram = async (program) => {
  throw new Error(`${program} must not be started`);
};

describe("readDaemon", () => {
  it("returns the endpoint, the properties and the free disk space, and changes nothing", async () => {
    const docker = await dockerDaemon({ CgroupVersion: "1", DockerRootDir: "/" });
    const daemon = await readDaemon({ ...docker.endpoint }, noProgram);
    if ("problem" in daemon) throw new Error(daemon.problem);
    expect(daemon.endpoint).toEqual(docker.endpoint);
    expect(daemon.info).toMatchObject({ cgroupVersion: 1, local: true });
    expect(daemon.freeBytes).toBeGreaterThan(0);
    expect(docker.changes).toEqual([]);
  });

  it("returns no free disk space if the root directory is not on this machine", async () => {
    const docker = await dockerDaemon({ DockerRootDir: "/nonexistent/docker" });
    expect(await readDaemon({ ...docker.endpoint }, noProgram)).toMatchObject({ freeBytes: undefined });
  });

  it("returns a problem with a remedy if the daemon does not respond", async () => {
    const host = `tcp://127.0.0.1:${await unusedPort()}`;
    const daemon = await readDaemon({ DOCKER_HOST: host }, noProgram);
    expect(daemon).toEqual({
      problem: expect.stringMatching(
        /^Could not reach the Docker daemon at tcp:\S+: .*ECONNREFUSED.*\. Start it, for instance with `sudo systemctl start docker`\. If it runs, allow this user to use its socket \(group `docker`\)\.$/,
      ),
    });
  });

  it("returns a problem with a remedy if there is no usable endpoint", async () => {
    expect(await readDaemon({ DOCKER_HOST: "ssh://me@build.example" }, noProgram)).toEqual({
      problem: expect.stringContaining("must be unix:// or tcp://"),
    });
    expect(await readDaemon({}, noProgram)).toEqual({
      problem: expect.stringContaining("Could not find `docker` on PATH"),
    });
  });
});
