import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { Engine } from "../../src/docker/engine.ts";
import { makeCertificate } from "../fixtures/certificate.ts";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { listen, serve, unusedPort } from "../fixtures/web-server.ts";

const answersOf = (file: string) =>
  z
    .record(z.string(), z.unknown())
    .parse(JSON.parse(readFileSync(new URL(`../fixtures/docker/${file}`, import.meta.url), "utf8")));

const engineOf = async (file: string) => new Engine({ DOCKER_HOST: await engineEndpoint(file) });

/** The endpoint of a daemon that replays recorded responses. */
async function engineEndpoint(file = "api-1.41.json"): Promise<string> {
  const answers = answersOf(file);
  const { port } = await serve((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "", "http://docker").pathname);
    const answer = answers[`${request.method} ${path}`];
    response.writeHead(answer === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(answer ?? { message: "not found" }));
  });
  return `tcp://127.0.0.1:${port}`;
}

describe.each([
  {
    daemon: "Docker 20.10 (API 1.41)",
    file: "api-1.41.json",
    version: "20.10.24+dfsg1",
    api: "1.41",
    cgroup: 1,
  },
  { daemon: "Docker 29 (API 1.51)", file: "api-1.51.json", version: "29.4.2", api: "1.51", cgroup: 2 },
])("Engine with $daemon", ({ file, version, api, cgroup }) => {
  it("reads the daemon's version, cgroup version and folder", async () => {
    expect(await (await engineOf(file)).info()).toEqual({
      version,
      apiVersion: api,
      cgroupVersion: cgroup,
      rootDirectory: "/var/lib/docker",
      local: false,
    });
  });

  it("lists kind's containers with their names, clusters and roles, stopped ones too", async () => {
    expect(await (await engineOf(file)).containers.listNodes("kind")).toEqual([
      {
        id: "4b96502152a9790dc27165ecd58e7ccb7d54c8df86fd78b72ef6c58b690b0741",
        name: "kind-control-plane",
        cluster: "kind",
        role: "control-plane",
      },
      {
        id: "406c044e0e0f73a2ceca40b3026eb1d617c5c7c325c4b1fe3d914a4d1fe52bcd",
        name: "kind-worker",
        cluster: "kind",
        role: "worker",
      },
    ]);
  });

  it("reads a network's subnets, and its containers' addresses without their prefix lengths", async () => {
    const network = await (await engineOf(file)).networks.inspect("kind");
    expect(network).toMatchObject({
      id: "3e9494fcaa72cb4c8b68106848e43d560528edf3f0dfc3b393ceaef2139b7120",
      name: "kind",
      labels: {},
      options: { "com.docker.network.driver.mtu": "1500" },
      subnets: [{ subnet: "172.20.0.0/16", gateway: "172.20.0.1" }, { subnet: "fc00:f853:ccd:e793::/64" }],
    });
    expect([...(network?.containers.values() ?? [])]).toEqual([
      { name: "kind-control-plane", ipv4: "172.20.0.2", ipv6: "fc00:f853:ccd:e793::2" },
    ]);
  });

  it("reads a network without subnets, labels and containers", async () => {
    expect(await (await engineOf(file)).networks.inspect("none")).toMatchObject({
      labels: {},
      options: {},
      subnets: [],
      containers: new Map(),
    });
  });

  it("returns the ID of an image, and nothing for a missing image", async () => {
    const engine = await engineOf(file);
    expect(await engine.images.findId("kindest/node:v1.34.4")).toBe(
      "sha256:b81fcd126ee45cce673599cf57680b3f969fba8e127d56286e0d1115ebf07831",
    );
    expect(await engine.images.findId("kindest/node:v1.99.0")).toBeUndefined();
  });

  it("lists volumes with their labels", async () => {
    const volumes = await (await engineOf(file)).volumes.listByLabel("kind-action.run");
    expect(volumes.get("kind-action.kind")).toEqual({ "kind-action.run": "56332011619-1-1b2f97" });
  });

  it("returns nothing for a missing network", async () => {
    expect(await (await engineOf(file)).networks.inspect("nonesuch")).toBeUndefined();
  });
});

describe("Engine", () => {
  it("takes a daemon behind a Unix socket for local, and one behind a TCP port for remote", async () => {
    const { engine } = await dockerDaemon();
    expect((await engine.info()).local).toBe(true);
    expect((await (await engineOf("api-1.41.json")).info()).local).toBe(false);
  });

  it("rejects when the daemon does not answer", async () => {
    await expect(new Engine({ DOCKER_HOST: "unix:///nonexistent/docker.sock" }).info()).rejects.toThrow(
      "ENOENT",
    );
    await expect(new Engine({ DOCKER_HOST: `tcp://127.0.0.1:${await unusedPort()}` }).info()).rejects.toThrow(
      "ECONNREFUSED",
    );
  });

  it("presents a client certificate, and verifies the certificate of the daemon", async () => {
    const { certificate, key } = makeCertificate("IP:127.0.0.1");
    const folder = temporaryFolder();
    await Promise.all([
      writeFile(join(folder, "ca.pem"), certificate),
      writeFile(join(folder, "cert.pem"), certificate),
      writeFile(join(folder, "key.pem"), key),
    ]);
    const server = createServer(
      { cert: certificate, key, ca: certificate, requestCert: true, rejectUnauthorized: true },
      (_, response) => response.end(JSON.stringify([])),
    );
    const host = `tcp://127.0.0.1:${await listen(server)}`;

    const trusted = new Engine({ DOCKER_HOST: host, DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: folder });
    expect(await trusted.containers.listNodes()).toEqual([]);

    const stranger = makeCertificate("IP:127.0.0.1");
    await writeFile(join(folder, "ca.pem"), stranger.certificate);
    const deceived = new Engine({ DOCKER_HOST: host, DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: folder });
    await expect(deceived.containers.listNodes()).rejects.toThrow(/self-signed certificate/);
  });
});

describe("Engine with variables DOCKER_* in the environment", () => {
  it("uses the endpoint that it was created with", async () => {
    const daemon = await engineEndpoint();
    const before = process.env.DOCKER_HOST;
    process.env.DOCKER_HOST = `tcp://127.0.0.1:${await unusedPort()}`;
    try {
      const { version } = await new Engine({ DOCKER_HOST: daemon }).info();
      expect(version).toBe("20.10.24+dfsg1");
    } finally {
      if (before === undefined) delete process.env.DOCKER_HOST;
      else process.env.DOCKER_HOST = before;
    }
  });
});
