import { describe, expect, it } from "vitest";
import { pullIfMissing } from "../../src/images/pull.ts";
import { ProgramError, type RunProgram } from "../../src/lib/subprocess.ts";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";
import { recordingLog } from "../fixtures/recording.ts";

const image = "kindest/node:v1.34.11@sha256:44e222ee";

/** A docker CLI whose pulls have these results, one after another; the last one is repeated. */
function dockerCli(...results: ("pulled" | string)[]) {
  const pulls: { words: readonly string[]; env: Readonly<Record<string, string>> | undefined }[] = [];
  const run: RunProgram = async (program, args, options = {}) => {
    const result = results[Math.min(pulls.length, results.length - 1)] ?? "pulled";
    pulls.push({ words: [program, ...args], env: options.env });
    const output = { exitCode: result === "pulled" ? 0 : 1, stdout: "", stderr: result };
    if (result !== "pulled") throw new ProgramError(program, args, output, "failed with exit code 1");
    return output;
  };
  return { run, pulls };
}

async function pull({ run }: { run: RunProgram }, present = false) {
  const { engine, endpoint, images } = await dockerDaemon();
  if (present) images.set(image, "sha256:id");
  const log = recordingLog();
  const pauses: number[] = [];
  const outcome = pullIfMissing(image, { engine, runProgram: run }, log, async (milliseconds) =>
    pauses.push(milliseconds),
  );
  return { outcome, log, pauses, endpoint };
}

describe("pullIfMissing", () => {
  it("does not pull an image that the daemon has", async () => {
    const docker = dockerCli("pulled");
    const { outcome, log } = await pull(docker, true);
    await outcome;
    expect(docker.pulls).toEqual([]);
    expect(log.lines).toEqual([`${image} is already in the Docker daemon.`]);
  });

  it("pulls with the docker CLI, which has the user's credentials, into the daemon of the engine", async () => {
    const docker = dockerCli("pulled");
    const { outcome, endpoint } = await pull(docker);
    await outcome;
    expect(docker.pulls).toEqual([{ words: ["docker", "pull", image], env: endpoint }]);
  });

  it("retries with a growing pause and a line in the log when the network fails", async () => {
    const docker = dockerCli("net/http: TLS handshake timeout", "unexpected EOF", "pulled");
    const { outcome, log, pauses } = await pull(docker);
    await outcome;
    expect(log.lines.filter((line) => line.startsWith("Pulling"))).toEqual([
      `Pulling ${image} failed, attempt 1 of 3.`,
      `Pulling ${image} failed, attempt 2 of 3.`,
    ]);
    expect(log.warnings).toEqual([]);
    expect(pauses).toHaveLength(2);
    expect(pauses[1]).toBeGreaterThan(pauses[0] ?? 0);
  });

  it("rejects with the output of docker after three attempts", async () => {
    const docker = dockerCli("net/http: TLS handshake timeout");
    const { outcome } = await pull(docker);
    await expect(outcome).rejects.toThrow(
      `Could not pull image ${image}: \`docker pull ${image}\` failed with exit code 1:\nnet/http: TLS handshake timeout`,
    );
    expect(docker.pulls).toHaveLength(3);
  });

  it.each([
    "manifest unknown: manifest unknown",
    "manifest for kindest/node:v1.99.0 not found",
    "pull access denied for kindset/node, repository does not exist or may require 'docker login'",
    "invalid reference format",
    "unauthorized: authentication required",
    "no matching manifest for linux/arm64/v8 in the manifest list entries",
  ])("does not retry a permanent error: %s", async (message) => {
    const docker = dockerCli(`Error response from daemon: ${message}`);
    const { outcome } = await pull(docker);
    await expect(outcome).rejects.toThrow(message);
    expect(docker.pulls).toHaveLength(1);
  });

  it("does not retry when there is no docker CLI", async () => {
    let starts = 0;
    const run: RunProgram = async () => {
      starts++;
      throw new Error("Unable to locate executable file: docker.");
    };
    const { outcome } = await pull({ run });
    await expect(outcome).rejects.toThrow(`Could not pull image ${image}: Unable to locate executable`);
    expect(starts).toBe(1);
  });
});
