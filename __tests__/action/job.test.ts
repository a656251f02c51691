import { writeFile } from "node:fs/promises";
import { createServer as createWebServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { RunProgram } from "../../src/lib/subprocess.ts";
import { latestKind, readDaemon, readEvent, readJob } from "../../src/runner/job.ts";
import { makeCertificate } from "../fixtures/certificate.ts";
import { dockerDaemon, nodeContainer } from "../fixtures/docker-daemon.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { listen, unusedPort } from "../fixtures/web-server.ts";

const noProgram: RunProgram = async (program) => {
  throw new Error(`nobody should run ${program}`);
};

describe("what the runner says of the job", () => {
  it("is in its environment", () => {
    expect(
      readJob({
        GITHUB_WORKSPACE: "/home/runner/work/shop/shop",
        RUNNER_TEMP: "/home/runner/work/_temp",
        HOME: "/home/runner",
        GITHUB_JOB: "e2e",
        GITHUB_RUN_ID: "12345",
        GITHUB_RUN_ATTEMPT: "2",
        RUNNER_ENVIRONMENT: "github-hosted",
        PATH: "/usr/local/bin:/usr/bin",
      }),
    ).toMatchObject({
      workspace: "/home/runner/work/shop/shop",
      temp: "/home/runner/work/_temp",
      home: "/home/runner",
      id: "e2e",
      runId: "12345",
      attempt: "2",
      selfHosted: false,
      path: ["/usr/local/bin", "/usr/bin"],
      kubeconfig: undefined,
      clusterName: undefined,
      network: "kind",
    });
  });

  it("is self-hosted where the runner says so", () => {
    expect(readJob({ RUNNER_ENVIRONMENT: "self-hosted" }).selfHosted).toBe(true);
    expect(readJob({}).selfHosted).toBe(false);
  });

  it("has an architecture that kind is published for", () => {
    expect(readJob({}).architecture).toBe(process.arch === "arm64" ? "arm64" : "amd64");
  });

  it("has something to go on outside of a runner", () => {
    expect(readJob({})).toMatchObject({ workspace: process.cwd(), home: homedir(), attempt: "1" });
  });

  it.each([
    ["/home/me/a:/home/me/b", "/home/me/a"],
    [":/home/me/b", "/home/me/b"],
    ["config/kube", "/workspace/config/kube"],
    ["", undefined],
    [":", undefined],
  ])("writes to the first file of $KUBECONFIG, as kind does: %j", (list, file) => {
    expect(readJob({ GITHUB_WORKSPACE: "/workspace", KUBECONFIG: list }).kubeconfig).toBe(file);
  });

  it("tells kind's own variables, an empty one being none", () => {
    expect(readJob({ KIND_CLUSTER_NAME: "shop", KIND_EXPERIMENTAL_DOCKER_NETWORK: "mine" })).toMatchObject({
      clusterName: "shop",
      network: "mine",
    });
    expect(readJob({ KIND_CLUSTER_NAME: "", KIND_EXPERIMENTAL_DOCKER_NETWORK: "" })).toMatchObject({
      clusterName: undefined,
      network: "kind",
    });
  });
});

describe("what set the job off", () => {
  async function eventFile(text: string): Promise<string> {
    const file = join(temporaryFolder(), "event.json");
    await writeFile(file, text);
    return file;
  }

  it("is the event with its branch, and the repository's default one", async () => {
    const file = await eventFile(
      JSON.stringify({ ref: "x", repository: { default_branch: "trunk", id: 1 } }),
    );
    expect(
      await readEvent({ GITHUB_EVENT_PATH: file, GITHUB_EVENT_NAME: "push", GITHUB_REF: "refs/heads/trunk" }),
    ).toEqual({ name: "push", ref: "refs/heads/trunk", defaultBranch: "trunk" });
  });

  it("has no default branch where the event names none", async () => {
    for (const text of ["{}", "null", "[]", '{"repository":{}}', '{"repository":{"default_branch":1}}'])
      expect(await readEvent({ GITHUB_EVENT_PATH: await eventFile(text) }), text).toEqual({
        name: "",
        ref: "",
        defaultBranch: undefined,
      });
  });

  it("has no default branch where there is no event", async () => {
    const missing = join(temporaryFolder(), "missing.json");
    expect(await readEvent({ GITHUB_EVENT_PATH: missing })).toMatchObject({ defaultBranch: undefined });
    expect(await readEvent({})).toMatchObject({ defaultBranch: undefined });
  });
});

describe("what the Docker daemon says", () => {
  it("is what it is, which names are taken there, and how much room it has", async () => {
    const docker = await dockerDaemon({ CgroupVersion: "1", DockerRootDir: "/" });
    for (const container of [
      nodeContainer("shop", "control-plane"),
      nodeContainer("shop", "worker"),
      nodeContainer("other", "control-plane"),
    ])
      docker.containers.set(container.id, container);
    docker.volumes.set("kind-action.soon", { "kind-action.run": "run-2" });
    docker.volumes.set("kind-action.shop", { "kind-action.run": "run-3" });

    const daemon = await readDaemon({ ...docker.endpoint }, noProgram);
    if ("problem" in daemon) throw new Error(daemon.problem);
    expect(daemon.endpoint).toEqual(docker.endpoint);
    expect(daemon.info).toMatchObject({ cgroupVersion: 1, local: true });
    expect(daemon.takenNames.toSorted()).toEqual(["other", "shop", "soon"]);
    expect(daemon.freeBytes).toBeGreaterThan(0);
    expect(docker.changes).toEqual([]);
  });

  it("leaves the room unknown where its folder cannot be looked at", async () => {
    const docker = await dockerDaemon({ DockerRootDir: "/nonexistent/docker" });
    expect(await readDaemon({ ...docker.endpoint }, noProgram)).toMatchObject({ freeBytes: undefined });
  });

  it("is nothing when it does not answer, and it is said what to do", async () => {
    const host = `tcp://127.0.0.1:${await unusedPort()}`;
    const daemon = await readDaemon({ DOCKER_HOST: host }, noProgram);
    expect(daemon).toEqual({
      problem: expect.stringMatching(
        /^The Docker daemon at tcp:\S+ does not answer \(.*ECONNREFUSED.*\)\. Start it, for instance with `sudo systemctl start docker`; if it runs, this user must be allowed to use its socket \(group `docker`\)\.$/,
      ),
    });
  });

  it("is nothing where it cannot be reached, and it is said what to do", async () => {
    expect(await readDaemon({ DOCKER_HOST: "ssh://me@build.example" }, noProgram)).toEqual({
      problem: expect.stringContaining("only unix:// and tcp:// are supported"),
    });
    expect(await readDaemon({}, noProgram)).toEqual({
      problem: expect.stringContaining("There is no `docker` on PATH"),
    });
  });
});

describe("the newest release of kind", () => {
  /** Stands between this process and github.com, which answers in place of it. */
  async function githubThat(location: string | undefined): Promise<void> {
    const { certificate, key } = makeCertificate("DNS:github.com");
    const trusted = getCACertificates("default");
    setDefaultCACertificates([...trusted, certificate]);
    onTestFinished(() => setDefaultCACertificates(trusted));
    const github = createSecureServer({ cert: certificate, key }, (request, response) => {
      const right = request.url === "/kubernetes-sigs/kind/releases/latest";
      response.writeHead(right && location ? 302 : 404, location === undefined ? {} : { location }).end();
    });
    const port = await listen(github);
    const proxy = createWebServer();
    proxy.on("connect", (_, socket, head) => {
      const onward = connect(port, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
        onward.write(head);
        socket.pipe(onward).pipe(socket);
      });
      onward.on("error", () => socket.destroy());
      socket.on("error", () => onward.destroy());
    });
    useProxy(await listen(proxy));
  }

  function useProxy(port: number): void {
    vi.stubEnv("https_proxy", `http://127.0.0.1:${port}`);
    vi.stubEnv("no_proxy", "");
    vi.stubEnv("NO_PROXY", "");
    onTestFinished(() => void vi.unstubAllEnvs());
  }

  it("is where GitHub redirects to", async () => {
    await githubThat("https://github.com/kubernetes-sigs/kind/releases/tag/v0.34.1");
    expect(await latestKind()).toBe("v0.34.1");
  });

  it.each([
    undefined,
    "https://github.com/login",
    "https://github.com/kubernetes-sigs/kind/releases/tag/nightly",
  ])("is unknown when GitHub answers something else: %s", async (location) => {
    await githubThat(location);
    await expect(latestKind()).rejects.toThrow(/^GitHub names no latest release of kind \(status \d{3}\)$/);
  });

  it("is unknown when GitHub cannot be reached", async () => {
    useProxy(await unusedPort());
    await expect(latestKind()).rejects.toThrow("ECONNREFUSED");
  });
});

describe("an event that is no JSON", () => {
  it("is as good as none", async () => {
    const file = join(temporaryFolder(), "event.json");
    await writeFile(file, "not json");
    expect((await readEvent({ GITHUB_EVENT_PATH: file })).defaultBranch).toBeUndefined();
  });
});
