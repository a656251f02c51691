import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { Engine } from "../../src/docker/engine.ts";
import { makeCertificate } from "../fixtures/certificate.ts";
import { dockerDaemon, nodeContainer } from "../fixtures/docker-daemon.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { listen, serve, unusedPort } from "../fixtures/web-server.ts";
import { tar } from "../images/tar-files.ts";

const answersOf = (file: string) =>
  z
    .record(z.string(), z.unknown())
    .parse(JSON.parse(readFileSync(new URL(`../fixtures/docker/${file}`, import.meta.url), "utf8")));

const engineOf = async (file: string) => new Engine({ DOCKER_HOST: await engineEndpoint(file) });

/** Where a daemon is that plays back answers. */
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
])("what $daemon answers", ({ file, version, api, cgroup }) => {
  it("tells the daemon's version, its cgroups and its folder", async () => {
    expect(await (await engineOf(file)).info()).toEqual({
      version,
      apiVersion: api,
      cgroupVersion: cgroup,
      rootDirectory: "/var/lib/docker",
      local: false,
    });
  });

  it("lists kind's containers with their names, clusters and roles, stopped ones too", async () => {
    expect(await (await engineOf(file)).nodes("kind")).toEqual([
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

  it("tells a network's subnets, and the addresses of what is on it without their prefix", async () => {
    const network = await (await engineOf(file)).network("kind");
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

  it("copes with a network that has no subnet, no label and no container", async () => {
    expect(await (await engineOf(file)).network("none")).toMatchObject({
      labels: {},
      options: {},
      subnets: [],
      containers: new Map(),
    });
  });

  it("tells the ID of an image that is there, and nothing of one that is not", async () => {
    const engine = await engineOf(file);
    expect(await engine.imageId("kindest/node:v1.34.4")).toBe(
      "sha256:b81fcd126ee45cce673599cf57680b3f969fba8e127d56286e0d1115ebf07831",
    );
    expect(await engine.imageId("kindest/node:v1.99.0")).toBeUndefined();
  });

  it("tells volumes and their labels", async () => {
    const volumes = await (await engineOf(file)).volumes("kind-action.run");
    expect(volumes.get("kind-action.kind")).toEqual({ "kind-action.run": "56332011619-1-1b2f97" });
  });

  it("has nothing for a network that is not there", async () => {
    expect(await (await engineOf(file)).network("nonesuch")).toBeUndefined();
  });
});

describe("what is removed", () => {
  it("is no error when it is gone already", async () => {
    const { engine } = await dockerDaemon();
    await engine.removeContainer("gone");
    await engine.removeVolume("gone");
    expect(await engine.removeNetwork("gone")).toBe(true);
  });

  it("takes a container's anonymous volumes along, running or not", async () => {
    const asked: string[] = [];
    const { port } = await serve((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      response.writeHead(204).end();
    });
    await new Engine({ DOCKER_HOST: `tcp://127.0.0.1:${port}` }).removeContainer("abc");
    expect(asked).toEqual(["DELETE /containers/abc?force=true&v=true"]);
  });

  it("is gone afterwards", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("mine", { name: "mine" });
    expect(await daemon.engine.removeNetwork("mine")).toBe(true);
    expect(daemon.networks.size).toBe(0);
  });

  // Docker says 403 up to version 28, and 409 since.
  it.each([403, 409])("leaves a network in use alone, as a daemon says with %i", async (status) => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind", { name: "kind" });
    daemon.refuse = (call) =>
      call.startsWith("DELETE") ? { status, message: "network kind has active endpoints" } : undefined;
    expect(await daemon.engine.removeNetwork("kind")).toBe(false);
    expect([...daemon.networks.keys()]).toEqual(["kind"]);
  });

  it("is an error when the daemon fails", async () => {
    const daemon = await dockerDaemon();
    daemon.containers.set("id", nodeContainer("kind", "control-plane"));
    daemon.refuse = (call) =>
      call.startsWith("DELETE")
        ? { status: 500, message: "driver failed to remove root filesystem" }
        : undefined;
    await expect(daemon.engine.removeContainer("id")).rejects.toThrow(
      "driver failed to remove root filesystem",
    );
  });
});

describe("the containers of kind", () => {
  it("are those of one cluster, or of all, stopped ones too, and no other containers", async () => {
    const daemon = await dockerDaemon();
    for (const container of [
      { ...nodeContainer("a", "control-plane"), stopped: true },
      nodeContainer("b", "worker"),
      { id: "db", name: "postgres", labels: {} },
    ])
      daemon.containers.set(container.id, container);
    const names = async (cluster?: string) => (await daemon.engine.nodes(cluster)).map(({ name }) => name);
    expect(await names("a")).toEqual(["a-control-plane"]);
    expect(await names()).toEqual(["a-control-plane", "b-worker"]);
  });
});

describe("a container", () => {
  it("is told with its image, its age and its mounts", async () => {
    const daemon = await dockerDaemon();
    const volume = "d1e9";
    daemon.containers.set("id", {
      ...nodeContainer("shop", "worker"),
      id: "id",
      image: "sha256:node",
      created: "2026-01-02T03:04:05.678901234Z",
      mounts: [
        {
          Type: "volume",
          Name: volume,
          Source: `/var/lib/docker/volumes/${volume}/_data`,
          Destination: "/var",
          Driver: "local",
          Mode: "",
          RW: true,
        },
        { Type: "bind", Source: "/lib/modules", Destination: "/lib/modules", Mode: "ro", RW: false },
      ],
    });
    expect(await daemon.engine.container("id")).toEqual({
      id: "id",
      image: "sha256:node",
      running: true,
      created: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
      ports: new Map(),
      mounts: [
        {
          type: "volume",
          destination: "/var",
          source: `/var/lib/docker/volumes/${volume}/_data`,
          name: volume,
          driver: "local",
        },
        {
          type: "bind",
          destination: "/lib/modules",
          source: "/lib/modules",
          name: undefined,
          driver: undefined,
        },
      ],
    });
  });

  it("may be gone, or have ended", async () => {
    const daemon = await dockerDaemon();
    expect(await daemon.engine.container("id")).toBeUndefined();
    daemon.containers.set("id", { id: "id", name: "n", labels: {}, stopped: true });
    expect(await daemon.engine.container("id")).toMatchObject({ running: false });
  });
});

/** A daemon with one container that runs. */
async function daemonWithContainer() {
  const daemon = await dockerDaemon();
  daemon.containers.set("id", { id: "id", name: "node", labels: {} });
  return daemon;
}

describe("a program in a container", () => {
  it("is started with its arguments, reads what is written to it, and says what it says", async () => {
    const daemon = await daemonWithContainer();
    daemon.program = async ({ container, argv, stdin, stdout, stderr }) => {
      stdout.write(`${argv.join("|")} in ${container}\n`);
      const heard = await text(stdin);
      stderr.write("warning: loud\n");
      stdout.write(heard.toUpperCase());
    };
    const { stdin, stdout, stderr, close } = await daemon.engine.exec("id", ["bash", "-c", "cat  $(x)"]);
    const complaint = new Promise((resolve) => stderr.once("data", (data) => resolve(String(data))));
    stdin.write("hello, ");
    stdin.write("world");
    close();
    expect(await text(stdout)).toBe("bash|-c|cat  $(x) in id\nHELLO, WORLD");
    expect(await complaint).toBe("warning: loud\n");
  });

  it("may say and be told much more than goes through at once", async () => {
    const daemon = await daemonWithContainer();
    const bytes = Buffer.alloc(3_000_001, "0123456789abcde");
    daemon.program = async ({ stdin, stdout }) => {
      const heard = await buffer(stdin);
      for (let at = 0; at < heard.length; at += 70_000) stdout.write(heard.subarray(at, at + 70_000));
    };
    const { stdin, stdout, close } = await daemon.engine.exec("id", ["cat"]);
    stdin.write(bytes);
    close();
    expect((await buffer(stdout)).equals(bytes)).toBe(true);
  });

  it("ends when it ends by itself", async () => {
    const daemon = await daemonWithContainer();
    daemon.program = async ({ stdout }) => void stdout.write("done");
    const { stdout } = await daemon.engine.exec("id", ["echo"]);
    expect(await text(stdout)).toBe("done");
    expect(daemon.running).toEqual([]);
  });

  it("ends with its container", async () => {
    const daemon = await daemonWithContainer();
    const { stdout } = await daemon.engine.exec("id", ["cat"]);
    const said = text(stdout);
    daemon.kill("id");
    expect(await said).toBe("");
  });

  it("does not start in a container that has ended or is gone", async () => {
    const daemon = await daemonWithContainer();
    daemon.kill("id");
    await expect(daemon.engine.exec("id", ["true"])).rejects.toThrow("container id is not running");
    await expect(daemon.engine.exec("other", ["true"])).rejects.toThrow("No such container: other");
  });
});

describe("a container for one program alone", () => {
  const wanted = {
    image: "sha256:node",
    argv: ["bash", "-c", "cat >/staging/x"],
    labels: { "kind-action.run": "12-1-abc" },
    binds: [
      { source: "/var/lib/docker/volumes", target: "/volumes", readOnly: false },
      { source: "/workspace/my image.tar", target: "/archives/0", readOnly: true },
    ],
    volume: "/staging",
  };

  it("runs the program, and nothing else of its image, with a volume of its own", async () => {
    const daemon = await dockerDaemon();
    daemon.program = async ({ argv, stdin, stdout }) =>
      void stdout.write(`${argv.join("|")}: ${await text(stdin)}`);
    const { id, program, volume } = await daemon.engine.runAlone(wanted);
    const container = daemon.containers.get(id);
    expect(container).toMatchObject({ image: "sha256:node", labels: wanted.labels });
    expect(container?.mounts).toContainEqual(
      expect.objectContaining({ Name: volume, Destination: "/staging" }),
    );
    program.stdin.write("hello");
    program.close();
    expect(await text(program.stdout)).toBe("bash|-c|cat >/staging/x: hello");
  });

  it("has no rights, and of the machine what is bound alone", async () => {
    const daemon = await dockerDaemon();
    const { id } = await daemon.engine.runAlone(wanted);
    expect(daemon.containers.get(id)?.made?.HostConfig).toMatchObject({
      NetworkMode: "host",
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: expect.arrayContaining(["no-new-privileges"]),
      Mounts: [
        { Type: "bind", Source: "/var/lib/docker/volumes", Target: "/volumes", ReadOnly: false },
        { Type: "bind", Source: "/workspace/my image.tar", Target: "/archives/0", ReadOnly: true },
      ],
    });
  });

  it("is gone when the program has ended", async () => {
    const daemon = await dockerDaemon();
    const { id, program } = await daemon.engine.runAlone(wanted);
    const removed = daemon.engine.removed(id);
    program.close();
    await removed;
    expect(daemon.containers.size).toBe(0);
    // It may have been gone before anybody asked.
    await daemon.engine.removed(id);
  });

  it("is not left behind when it cannot be started", async () => {
    const daemon = await dockerDaemon();
    daemon.refuse = (call) =>
      call.endsWith("/start") ? { status: 500, message: "exec: bash: not found in $PATH" } : undefined;
    await expect(daemon.engine.runAlone(wanted)).rejects.toThrow("bash: not found in $PATH");
    expect(daemon.containers.size).toBe(0);
  });
});

describe("a file of an image", () => {
  const manifest = Buffer.from("kind: DaemonSet\n");

  it.each([
    { form: "alone", members: [{ name: "default-cni.yaml", content: manifest }] },
    {
      form: "behind a header of its own with more about it",
      members: [
        {
          name: "PaxHeaders/default-cni.yaml",
          kind: "pax" as const,
          content: Buffer.from("19 mtime=170000.5\n"),
        },
        { name: "default-cni.yaml", content: manifest },
      ],
    },
  ])("is read without starting anything, $form, and nothing is left", async ({ members }) => {
    const { engine, archives, containers, changes } = await dockerDaemon();
    archives.set("/kind/manifests/default-cni.yaml", tar(members));
    const file = await engine.imageFile("kindest/node:v1", "/kind/manifests/default-cni.yaml", {
      "kind-action.run": "1",
    });
    expect(file.toString()).toBe("kind: DaemonSet\n");
    expect(containers.size).toBe(0);
    expect(changes.filter((call) => call.endsWith("/start"))).toEqual([]);
  });

  it("may not be there: that is an error, and nothing is left", async () => {
    const { engine, containers } = await dockerDaemon();
    await expect(engine.imageFile("kindest/node:v1", "/kind/none", {})).rejects.toThrow(
      "Could not find the file",
    );
    expect(containers.size).toBe(0);
  });
});

describe("a published port", () => {
  it.each([
    { HostIp: "127.0.0.1", address: "127.0.0.1:40123" },
    { HostIp: "0.0.0.0", address: "127.0.0.1:40123" },
    { HostIp: "", address: "127.0.0.1:40123" },
    { HostIp: "::", address: "[::1]:40123" },
    { HostIp: "192.168.1.5", address: "192.168.1.5:40123" },
  ])("of '$HostIp' is reached at $address", async ({ HostIp, address }) => {
    const { engine, containers } = await dockerDaemon();
    const ports = { "6443/tcp": [{ HostIp, HostPort: "40123" }], "9000/tcp": null };
    containers.set("a", { id: "a", name: "a", labels: {}, ports });
    expect((await engine.container("a"))?.ports).toEqual(new Map([["6443/tcp", address]]));
  });
});

describe("images", () => {
  it("are made for a platform", async () => {
    const arm = { Id: "sha256:aa", Os: "linux", Architecture: "arm64", Variant: "v8", Size: 1 };
    const { port } = await serve((request, response) =>
      response.end(JSON.stringify(request.url?.includes("arm") ? arm : { ...arm, Variant: "" })),
    );
    const engine = new Engine({ DOCKER_HOST: `tcp://127.0.0.1:${port}` });
    expect(await engine.imagePlatform("arm")).toEqual({ os: "linux", architecture: "arm64", variant: "v8" });
    expect(await engine.imagePlatform("other")).toEqual({ os: "linux", architecture: "arm64" });
  });

  const patient = () => new AbortController().signal;
  const amd64 = { os: "linux", architecture: "amd64" };

  it("are exported into one archive, of one platform where the daemon is asked to choose", async () => {
    const daemon = await dockerDaemon();
    for (const name of ["web:1", "ghcr.io/shop/api:2"]) daemon.images.set(name, `sha256:${name}`);
    daemon.exported = ({ names, platform }) => Readable.from([`${names.join(", ")} for ${platform}`]);
    const save = async (names: string[], platform: typeof amd64 | undefined) =>
      text(await daemon.engine.saveImages(names, platform, patient()));
    expect(await save(["web:1", "ghcr.io/shop/api:2"], undefined)).toBe("web:1, ghcr.io/shop/api:2 for null");
    expect(await save(["web:1"], amd64)).toBe('web:1 for {"os":"linux","architecture":"amd64"}');
  });

  it("are not exported when the daemon lacks one", async () => {
    const { engine } = await dockerDaemon();
    await expect(engine.saveImages(["web:1"], undefined, patient())).rejects.toThrow("No such image: web:1");
  });

  it("fail when the daemon stops in the middle, or takes too long", async () => {
    const daemon = await dockerDaemon();
    daemon.images.set("web:1", "sha256:aa");
    daemon.exported = () =>
      Readable.from(
        (async function* () {
          yield "half of it";
          throw new Error("the daemon fails");
        })(),
      );
    await expect(daemon.engine.saveImages(["web:1"], undefined, patient()).then(text)).rejects.toThrow(
      "aborted",
    );

    const late = new AbortController();
    daemon.exported = () => new Readable({ read() {} });
    const archive = await daemon.engine.saveImages(["web:1"], undefined, late.signal);
    late.abort();
    await expect(text(archive)).rejects.toThrow("aborted");
  });
});

describe("where the daemon is", () => {
  it("is on this machine behind a socket, and elsewhere behind a port", async () => {
    const { engine } = await dockerDaemon();
    expect((await engine.info()).local).toBe(true);
    expect((await (await engineOf("api-1.41.json")).info()).local).toBe(false);
  });

  it("is an error when nobody answers there", async () => {
    await expect(new Engine({ DOCKER_HOST: "unix:///nonexistent/docker.sock" }).info()).rejects.toThrow(
      "ENOENT",
    );
    await expect(new Engine({ DOCKER_HOST: `tcp://127.0.0.1:${await unusedPort()}` }).info()).rejects.toThrow(
      "ECONNREFUSED",
    );
  });

  it("may want a certificate of the client, and has to have one of the authority's itself", async () => {
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
    expect(await trusted.nodes()).toEqual([]);

    const stranger = makeCertificate("IP:127.0.0.1");
    await writeFile(join(folder, "ca.pem"), stranger.certificate);
    const deceived = new Engine({ DOCKER_HOST: host, DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: folder });
    await expect(deceived.nodes()).rejects.toThrow(/self-signed certificate/);
  });
});

describe("the endpoint that was resolved", () => {
  it("counts, whatever a step has exported since", async () => {
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
