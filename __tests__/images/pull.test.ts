import { describe, expect, it } from "vitest";
import { pullIfMissing } from "../../src/images/pull.ts";
import { ProgramError, type RunProgram } from "../../src/lib/subprocess.ts";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";
import { recordingLog } from "../fixtures/recording.ts";

const image = "kindest/node:v1.34.11@sha256:44e222ee";

/** A docker CLI whose pulls say so, one after another; the last one is repeated. */
function dockerThat(...answers: ("pulls" | string)[]) {
  const pulls: { words: readonly string[]; env: Readonly<Record<string, string>> | undefined }[] = [];
  const run: RunProgram = async (program, args, options = {}) => {
    const answer = answers[Math.min(pulls.length, answers.length - 1)] ?? "pulls";
    pulls.push({ words: [program, ...args], env: options.env });
    const output = { exitCode: answer === "pulls" ? 0 : 1, stdout: "", stderr: answer };
    if (answer !== "pulls") throw new ProgramError(program, args, output, "failed with exit code 1");
    return output;
  };
  return { run, pulls };
}

async function ensure({ run }: { run: RunProgram }, there = false) {
  const { engine, endpoint, images } = await dockerDaemon();
  if (there) images.set(image, "sha256:id");
  const log = recordingLog();
  const pauses: number[] = [];
  const outcome = pullIfMissing(image, { engine, endpoint, run }, log, async (milliseconds) =>
    pauses.push(milliseconds),
  );
  return { outcome, log, pauses, endpoint };
}

describe("the node image", () => {
  it("is not pulled when the daemon has it", async () => {
    const docker = dockerThat("pulls");
    const { outcome, log } = await ensure(docker, true);
    await outcome;
    expect(docker.pulls).toEqual([]);
    expect(log.lines).toEqual([`${image} is there already.`]);
  });

  it("is pulled by the docker CLI, which knows the user's credentials, into the daemon that was found", async () => {
    const docker = dockerThat("pulls");
    const { outcome, endpoint } = await ensure(docker);
    await outcome;
    expect(docker.pulls).toEqual([{ words: ["docker", "pull", image], env: endpoint }]);
  });

  it("is asked for again when the network fails, with a pause that grows, and a line in the log", async () => {
    const docker = dockerThat("net/http: TLS handshake timeout", "unexpected EOF", "pulls");
    const { outcome, log, pauses } = await ensure(docker);
    await outcome;
    expect(log.lines.filter((line) => line.startsWith("Pulling"))).toEqual([
      `Pulling ${image} failed, attempt 1 of 3.`,
      `Pulling ${image} failed, attempt 2 of 3.`,
    ]);
    expect(log.warnings).toEqual([]);
    expect(pauses).toHaveLength(2);
    expect(pauses[1]).toBeGreaterThan(pauses[0] ?? 0);
  });

  it("is given up on after the third time, with what docker said", async () => {
    const docker = dockerThat("net/http: TLS handshake timeout");
    const { outcome } = await ensure(docker);
    await expect(outcome).rejects.toThrow(
      `The image ${image} cannot be pulled: \`docker pull ${image}\` failed with exit code 1:\nnet/http: TLS handshake timeout`,
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
  ])("is not asked for again when the answer will not change: %s", async (answer) => {
    const docker = dockerThat(`Error response from daemon: ${answer}`);
    const { outcome } = await ensure(docker);
    await expect(outcome).rejects.toThrow(answer);
    expect(docker.pulls).toHaveLength(1);
  });

  it("is not asked for again where there is no docker CLI", async () => {
    let starts = 0;
    const run: RunProgram = async () => {
      starts++;
      throw new Error("Unable to locate executable file: docker.");
    };
    const { outcome } = await ensure({ run });
    await expect(outcome).rejects.toThrow(`The image ${image} cannot be pulled: Unable to locate executable`);
    expect(starts).toBe(1);
  });
});
