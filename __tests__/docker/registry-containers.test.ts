import { describe, expect, it } from "vitest";
import type { ServiceContainer } from "../../src/docker/containers.ts";
import { Engine } from "../../src/docker/engine.ts";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";
import { serve } from "../fixtures/web-server.ts";

const wanted: ServiceContainer = {
  name: "kind-registry",
  image: "registry:3@sha256:aa",
  labels: { "kind-action.run": "12-1-abc" },
  network: "kind",
  environment: { REGISTRY_HTTP_ADDR: ":5000", EMPTY: "" },
  binds: [],
};

/** A daemon with the cluster's network. */
async function daemonWithNetwork() {
  const daemon = await dockerDaemon();
  daemon.networks.set("kind", { name: "kind", subnets: [{ subnet: "172.18.0.0/16" }] });
  return daemon;
}

describe("a container that serves others", () => {
  it("has its name, its labels and its environment, and is on the network of those", async () => {
    const { engine, containers, networks } = await daemonWithNetwork();
    const id = await engine.containers.startService(wanted);
    expect(containers.get(id)).toMatchObject({
      name: "kind-registry",
      image: "registry:3@sha256:aa",
      labels: { "kind-action.run": "12-1-abc" },
      made: { Env: ["REGISTRY_HTTP_ADDR=:5000", "EMPTY="] },
    });
    expect(networks.get("kind")?.containers?.[id]).toMatchObject({ name: "kind-registry" });
  });

  it("has no rights, and of the machine what is bound alone", async () => {
    const { engine, containers } = await daemonWithNetwork();
    const binds = [{ source: "/tmp/proxies/docker.io", target: "/var/lib/registry" }];
    const id = await engine.containers.startService({ ...wanted, binds, user: "1001:118" });
    const { made } = containers.get(id) ?? {};
    expect(made?.User).toBe("1001:118");
    expect(made?.HostConfig).toMatchObject({
      CapDrop: ["ALL"],
      SecurityOpt: expect.arrayContaining(["no-new-privileges"]),
      Mounts: [{ Type: "bind", Source: "/tmp/proxies/docker.io", Target: "/var/lib/registry" }],
    });
    expect(made?.HostConfig).not.toHaveProperty("Privileged");
  });

  it("runs as its image says unless it is told otherwise", async () => {
    const { engine, containers } = await daemonWithNetwork();
    const id = await engine.containers.startService(wanted);
    expect(containers.get(id)?.made?.User).toBe("");
  });

  it("has the address that it is to have", async () => {
    const { engine, networks } = await daemonWithNetwork();
    const id = await engine.containers.startService({ ...wanted, address: "172.18.255.199" });
    expect(networks.get("kind")?.containers?.[id]?.ipv4).toBe("172.18.255.199/16");
  });

  it("publishes its port to this machine alone, at the port that is wanted or at any that is free", async () => {
    const { engine } = await daemonWithNetwork();
    const published = async (name: string, hostPort: number | undefined) => {
      const id = await engine.containers.startService({ ...wanted, name, publish: { port: 5000, hostPort } });
      return (await engine.containers.inspect(id))?.ports.get("5000/tcp");
    };
    expect(await published("one", 5001)).toBe("127.0.0.1:5001");
    expect(await published("other", undefined)).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  it("publishes nothing unless that is asked for", async () => {
    const { engine } = await daemonWithNetwork();
    const id = await engine.containers.startService(wanted);
    expect((await engine.containers.inspect(id))?.ports).toEqual(new Map());
  });

  it("is not left behind when it cannot be started", async () => {
    const daemon = await daemonWithNetwork();
    daemon.failing = () => "driver failed programming external connectivity: port is already allocated";
    await expect(daemon.engine.containers.startService(wanted)).rejects.toThrow("port is already allocated");
    expect(daemon.containers.size).toBe(0);
  });

  it("is not made where another one has its name, which stays", async () => {
    const { engine, containers } = await daemonWithNetwork();
    containers.set("theirs", { id: "theirs", name: "kind-registry", labels: {} });
    await expect(engine.containers.startService(wanted)).rejects.toThrow(
      /name "\/kind-registry" is already in use/,
    );
    expect([...containers.keys()]).toEqual(["theirs"]);
  });
});

describe("what a container has printed", () => {
  it("is the text of both its streams, as it came", async () => {
    const daemon = await dockerDaemon();
    daemon.containers.set("id", { id: "id", name: "registry", labels: {} });
    expect(await daemon.engine.containers.logs("id")).toBe("");
    const text = 'level=info msg=starting\nlevel=error msg="größe"\nlistening on [::]:5000\nno line end';
    daemon.printed = () => text;
    expect(await daemon.engine.containers.logs("id")).toBe(text);
    expect(daemon.changes).toEqual([]);
  });

  it("may come in pieces that end within a letter", async () => {
    const text = "größe\n";
    const bytes = Buffer.from(text);
    const frames = [...bytes].map((_, index) => {
      const frame = Buffer.alloc(9);
      frame.writeUInt8(1, 0);
      frame.writeUInt32BE(1, 4);
      bytes.copy(frame, 8, index, index + 1);
      return frame;
    });
    const { port } = await serve((_, response) => response.end(Buffer.concat(frames)));
    expect(await new Engine({ DOCKER_HOST: `tcp://127.0.0.1:${port}` }).containers.logs("id")).toBe(text);
  });

  it("is asked of one that has ended as well, and not of one that is gone", async () => {
    const daemon = await dockerDaemon();
    daemon.containers.set("id", { id: "id", name: "registry", labels: {}, stopped: true });
    daemon.printed = () => "panic: no space\n";
    expect(await daemon.engine.containers.logs("id")).toBe("panic: no space\n");
    await expect(daemon.engine.containers.logs("gone")).rejects.toThrow("No such container");
  });
});

describe("files that are written into a container", () => {
  it("belong to root, and everybody may read them", async () => {
    const daemon = await dockerDaemon();
    daemon.containers.set("id", { id: "id", name: "node", labels: {} });
    const files = {
      "/etc/containerd/certs.d/docker.io/hosts.toml": 'server = "https://registry-1.docker.io"\n',
      "/etc/containerd/certs.d/localhost:5000/hosts.toml": `# ${"größe".repeat(300)}\n`,
      "/etc/empty": "",
    };
    await daemon.engine.containers.writeFiles("id", files);
    const written = daemon.written.get("id") ?? [];
    expect(Object.fromEntries(written.map(({ name, content }) => [`/${name}`, content.toString()]))).toEqual(
      files,
    );
    for (const { mode, uid, gid } of written) expect([mode, uid, gid]).toEqual([0o644, 0, 0]);
  });

  it("may be symbolic links, which lead to where they were to", async () => {
    const daemon = await dockerDaemon();
    daemon.containers.set("id", { id: "id", name: "node", labels: {} });
    const target = `/mounted/${"folder/".repeat(20)}data`;
    await daemon.engine.containers.writeFiles("id", { [`/var/${"f".repeat(120)}`]: { target } });
    expect(daemon.written.get("id")).toMatchObject([{ name: `var/${"f".repeat(120)}`, target }]);
  });

  it("may be none", async () => {
    const daemon = await dockerDaemon();
    daemon.containers.set("id", { id: "id", name: "node", labels: {} });
    await daemon.engine.containers.writeFiles("id", {});
    expect(daemon.written.get("id")).toEqual([]);
  });

  it("are an error where the container is gone", async () => {
    const { engine } = await dockerDaemon();
    await expect(engine.containers.writeFiles("gone", { "/a": "a" })).rejects.toThrow(
      "No such container: gone",
    );
  });
});
