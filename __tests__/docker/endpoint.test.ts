import { describe, expect, it } from "vitest";
import { resolveEndpoint } from "../../src/docker/endpoint.ts";
import { ProgramError, type RunProgram } from "../../src/lib/subprocess.ts";

/** What `docker context inspect` prints, by Docker 28. */
const context = (more: object) => JSON.stringify([{ Name: "default", Metadata: {}, ...more }]);

/** A docker CLI that answers the question for its context so. */
const prints =
  (stdout: string): RunProgram =>
  async (program, args) => {
    expect([program, ...args]).toEqual(["docker", "context", "inspect"]);
    return { exitCode: 0, stdout, stderr: "" };
  };

const nobodyAsks: RunProgram = async (program, args) => {
  throw new Error(`nobody should run ${program} ${args.join(" ")}`);
};

describe("the Docker endpoint", () => {
  it("is DOCKER_HOST where that is set, and no context counts", async () => {
    expect(await resolveEndpoint({ DOCKER_HOST: "unix:///run/user/1000/docker.sock" }, nobodyAsks)).toEqual({
      DOCKER_HOST: "unix:///run/user/1000/docker.sock",
    });
    expect(await resolveEndpoint({ DOCKER_HOST: "tcp://127.0.0.1:2375" }, nobodyAsks)).toMatchObject({
      DOCKER_HOST: "tcp://127.0.0.1:2375",
    });
  });

  it("keeps the certificates that go with DOCKER_HOST", async () => {
    const env = {
      DOCKER_HOST: "tcp://docker:2376",
      DOCKER_TLS_VERIFY: "1",
      DOCKER_CERT_PATH: "/certs/client",
    };
    expect(await resolveEndpoint({ ...env, DOCKER_CONTEXT: "work", HOME: "/home/me" }, nobodyAsks)).toEqual(
      env,
    );
  });

  it("is that of the current context otherwise, as the docker CLI has it", async () => {
    const run = prints(
      context({
        Endpoints: { docker: { Host: "unix:///home/me/.colima/docker.sock", SkipTLSVerify: false } },
        TLSMaterial: {},
        Storage: { MetadataPath: "<IN MEMORY>", TLSPath: "<IN MEMORY>" },
      }),
    );
    expect(await resolveEndpoint({}, run)).toEqual({ DOCKER_HOST: "unix:///home/me/.colima/docker.sock" });
    // An empty variable is none, for the CLI as well.
    expect(await resolveEndpoint({ DOCKER_HOST: "" }, run)).toEqual({
      DOCKER_HOST: "unix:///home/me/.colima/docker.sock",
    });
  });

  it("brings the certificates of a context that has some", async () => {
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
    "cannot be %s, and it is said what can be done",
    async (host) => {
      const refusal = `The Docker endpoint is ${host}: only unix:// and tcp:// are supported. Set DOCKER_HOST to one of these, for instance through a tunnel.`;
      await expect(resolveEndpoint({ DOCKER_HOST: host }, nobodyAsks)).rejects.toThrow(refusal);
      const run = prints(context({ Endpoints: { docker: { Host: host } } }));
      await expect(resolveEndpoint({}, run)).rejects.toThrow(refusal);
    },
  );

  it("cannot be found out without the docker CLI, and it is said where to get one", async () => {
    const missing: RunProgram = async () => {
      throw new Error("Unable to locate executable file: docker.");
    };
    await expect(resolveEndpoint({}, missing)).rejects.toThrow(
      "There is no `docker` on PATH. kind makes its nodes with it: use a runner with Docker (GitHub's Ubuntu runners have it), or install Docker Engine.",
    );
  });

  it("is refused with the CLI's own words when that knows no such context", async () => {
    const output = { exitCode: 1, stdout: "", stderr: 'context "work" does not exist' };
    const failing: RunProgram = async (program, args) => {
      throw new ProgramError(program, args, output, "failed with exit code 1");
    };
    await expect(resolveEndpoint({}, failing)).rejects.toThrow('context "work" does not exist');
  });

  it.each(["", "Docker Desktop is starting…", "[]", "{}", '[{"Name":"default"}]'])(
    "is never guessed from an answer that makes no sense: %j",
    async (answer) => {
      await expect(resolveEndpoint({}, prints(answer))).rejects.toThrow();
    },
  );
});
