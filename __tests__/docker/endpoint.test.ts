import { describe, expect, it } from "vitest";
import { resolveEndpoint } from "../../src/docker/endpoint.ts";
import { ProgramError, type RunProgram } from "../../src/lib/subprocess.ts";

/** The output of `docker context inspect` of Docker 28. */
const context = (more: object) => JSON.stringify([{ Name: "default", Metadata: {}, ...more }]);

/** A docker CLI with this output of `docker context inspect`. */
const prints =
  (stdout: string): RunProgram =>
  async (program, args) => {
    expect([program, ...args]).toEqual(["docker", "context", "inspect"]);
    return { exitCode: 0, stdout, stderr: "" };
  };

const notCalled: RunProgram = async (program, args) => {
  throw new Error(`must not run ${program} ${args.join(" ")}`);
};

describe("resolveEndpoint", () => {
  it("returns DOCKER_HOST if it is set, and ignores contexts", async () => {
    expect(await resolveEndpoint({ DOCKER_HOST: "unix:///run/user/1000/docker.sock" }, notCalled)).toEqual({
      DOCKER_HOST: "unix:///run/user/1000/docker.sock",
    });
    expect(await resolveEndpoint({ DOCKER_HOST: "tcp://127.0.0.1:2375" }, notCalled)).toMatchObject({
      DOCKER_HOST: "tcp://127.0.0.1:2375",
    });
  });

  it("returns the variables for TLS that belong to DOCKER_HOST", async () => {
    const env = {
      DOCKER_HOST: "tcp://docker:2376",
      DOCKER_TLS_VERIFY: "1",
      DOCKER_CERT_PATH: "/certs/client",
    };
    expect(await resolveEndpoint({ ...env, DOCKER_CONTEXT: "work", HOME: "/home/me" }, notCalled)).toEqual(
      env,
    );
  });

  it("returns the endpoint of the current context if DOCKER_HOST is not set", async () => {
    const run = prints(
      context({
        Endpoints: { docker: { Host: "unix:///home/me/.colima/docker.sock", SkipTLSVerify: false } },
        TLSMaterial: {},
        Storage: { MetadataPath: "<IN MEMORY>", TLSPath: "<IN MEMORY>" },
      }),
    );
    expect(await resolveEndpoint({}, run)).toEqual({ DOCKER_HOST: "unix:///home/me/.colima/docker.sock" });
    // The CLI ignores an empty variable, too.
    expect(await resolveEndpoint({ DOCKER_HOST: "" }, run)).toEqual({
      DOCKER_HOST: "unix:///home/me/.colima/docker.sock",
    });
  });

  it("returns the certificates of a context with TLS", async () => {
    const run = prints(
      context({
        Name: "remote",
        Endpoints: { docker: { Host: "tcp://build.example:2376", SkipTLSVerify: false } },
        TLSMaterial: { docker: ["ca.pem", "cert.pem", "key.pem"] },
        Storage: {
          MetadataPath: "/home/me/.docker/contexts/meta/4f2",
          TLSPath: "/home/me/.docker/contexts/tls/4f2",
        },
      }),
    );
    expect(await resolveEndpoint({}, run)).toEqual({
      DOCKER_HOST: "tcp://build.example:2376",
      DOCKER_TLS_VERIFY: "1",
      DOCKER_CERT_PATH: "/home/me/.docker/contexts/tls/4f2/docker",
    });
  });

  it.each(["ssh://me@build.example", "npipe:////./pipe/docker_engine", "fd://", "build.example:2375"])(
    "rejects the unsupported endpoint %s with a remedy",
    async (host) => {
      const message = `The Docker endpoint ${host} is not supported: it must be unix:// or tcp://. Set DOCKER_HOST to such an endpoint, for instance to the local end of an SSH tunnel.`;
      await expect(resolveEndpoint({ DOCKER_HOST: host }, notCalled)).rejects.toThrow(message);
      const run = prints(context({ Endpoints: { docker: { Host: host } } }));
      await expect(resolveEndpoint({}, run)).rejects.toThrow(message);
    },
  );

  it("rejects with a remedy when there is no docker CLI", async () => {
    const missing: RunProgram = async () => {
      throw new Error("Unable to locate executable file: docker.");
    };
    await expect(resolveEndpoint({}, missing)).rejects.toThrow(
      "Could not find `docker` on PATH: kind creates nodes with it. Use a runner with Docker (GitHub's Ubuntu runners have it), or install Docker Engine.",
    );
  });

  it("rejects with the output of the CLI when the context does not exist", async () => {
    const output = { exitCode: 1, stdout: "", stderr: 'context "work" does not exist' };
    const failing: RunProgram = async (program, args) => {
      throw new ProgramError(program, args, output, "failed with exit code 1");
    };
    await expect(resolveEndpoint({}, failing)).rejects.toThrow('context "work" does not exist');
  });

  it.each(["", "Docker Desktop is starting…", "[]", "{}", '[{"Name":"default"}]'])(
    "rejects an output of the CLI that it cannot parse: %j",
    async (output) => {
      await expect(resolveEndpoint({}, prints(output))).rejects.toThrow(
        "Could not parse the output of `docker context inspect`: ",
      );
    },
  );
});
