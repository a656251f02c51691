import { describe, expect, it } from "vitest";
import type { ServiceContainer } from "../../src/docker/containers.ts";
import { Engine } from "../../src/docker/engine.ts";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";
import { serve } from "../fixtures/web-server.ts";

const service: ServiceContainer = {
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

describe("Containers.startService", () => {
  it("starts a container with its name, labels, environment and network", async () => {
    const { engine, containers, networks } = await daemonWithNetwork();
    const id = await engine.containers.startService(service);
    expect(containers.get(id)).toMatchObject({
      name: "kind-registry",
      image: "registry:3@sha256:aa",
      labels: { "kind-action.run": "12-1-abc" },
      made: { Env: ["REGISTRY_HTTP_ADDR=:5000", "EMPTY="] },
    });
    expect(networks.get("kind")?.containers?.[id]).toMatchObject({ name: "kind-registry" });
  });

  it("starts it without capabilities, and with no other mounts than those requested", async () => {
    const { engine, containers } = await daemonWithNetwork();
    const binds = [{ source: "/tmp/proxies/docker.io", target: "/var/lib/registry" }];
    const id = await engine.containers.startService({ ...service, binds, user: "1001:118" });
    const { made } = containers.get(id) ?? {};
    expect(made?.User).toBe("1001:118");
    expect(made?.HostConfig).toMatchObject({
      CapDrop: ["ALL"],
      SecurityOpt: expect.arrayContaining(["no-new-privileges"]),
      Mounts: [{ Type: "bind", Source: "/tmp/proxies/docker.io", Target: "/var/lib/registry" }],
    });
    expect(made?.HostConfig).not.toHaveProperty("Privileged");
  });

  it("runs it as the user of its image by default", async () => {
    const { engine, containers } = await daemonWithNetwork();
    const id = await engine.containers.startService(service);
    expect(containers.get(id)?.made?.User).toBe("");
  });

  it("gives it the requested address", async () => {
    const { engine, networks } = await daemonWithNetwork();
    const id = await engine.containers.startService({ ...service, address: "172.18.255.199" });
    expect(networks.get("kind")?.containers?.[id]?.ipv4).toBe("172.18.255.199/16");
  });

  it("publishes its port on the loopback interface alone, at the requested port or at a free one", async () => {
    const { engine } = await daemonWithNetwork();
    const published = async (name: string, hostPort: number | undefined) => {
      const id = await engine.containers.startService({
        ...service,
        name,
        publish: { port: 5000, hostPort },
      });
      return (await engine.containers.inspect(id))?.ports.get("5000/tcp");
    };
    expect(await published("one", 5001)).toBe("127.0.0.1:5001");
    expect(await published("other", undefined)).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  it("publishes no port by default", async () => {
    const { engine } = await daemonWithNetwork();
    const id = await engine.containers.startService(service);
    expect((await engine.containers.inspect(id))?.ports).toEqual(new Map());
  });

  it("removes a container that could not be started", async () => {
    const daemon = await daemonWithNetwork();
    daemon.failing = () => "driver failed programming external connectivity: port is already allocated";
    await expect(daemon.engine.containers.startService(service)).rejects.toThrow("port is already allocated");
    expect(daemon.containers.size).toBe(0);
  });

  it("rejects when another container has the name, which it does not remove", async () => {
    const { engine, containers } = await daemonWithNetwork();
    containers.set("theirs", { id: "theirs", name: "kind-registry", labels: {} });
    await expect(engine.containers.startService(service)).rejects.toThrow(
      /name "\/kind-registry" is already in use/,
    );
    expect([...containers.keys()]).toEqual(["theirs"]);
  });
});

describe("Containers.logs", () => {
  it("returns the text of both streams in order", async () => {
    const daemon = await dockerDaemon();
    daemon.containers.set("id", { id: "id", name: "registry", labels: {} });
    expect(await daemon.engine.containers.logs("id")).toBe("");
    const text = 'level=info msg=starting\nlevel=error msg="größe"\nlistening on [::]:5000\nno line end';
    daemon.printed = () => text;
    expect(await daemon.engine.containers.logs("id")).toBe(text);
    expect(daemon.changes).toEqual([]);
  });

  it("decodes characters that are split between frames", async () => {
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

  it("returns the output of a stopped container, and rejects for a missing one", async () => {
    const daemon = await dockerDaemon();
    daemon.containers.set("id", { id: "id", name: "registry", labels: {}, stopped: true });
    daemon.printed = () => "panic: no space\n";
    expect(await daemon.engine.containers.logs("id")).toBe("panic: no space\n");
    await expect(daemon.engine.containers.logs("gone")).rejects.toThrow("No such container");
  });
});

describe("Containers.writeFiles", () => {
  it("writes files that belong to root, and that all users can read", async () => {
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

  it("writes symbolic links", async () => {
    const daemon = await dockerDaemon();
    daemon.containers.set("id", { id: "id", name: "node", labels: {} });
    const target = `/mounted/${"folder/".repeat(20)}data`;
    await daemon.engine.containers.writeFiles("id", { [`/var/${"f".repeat(120)}`]: { target } });
    expect(daemon.written.get("id")).toMatchObject([{ name: `var/${"f".repeat(120)}`, target }]);
  });

  it("accepts no files", async () => {
    const daemon = await dockerDaemon();
    daemon.containers.set("id", { id: "id", name: "node", labels: {} });
    await daemon.engine.containers.writeFiles("id", {});
    expect(daemon.written.get("id")).toEqual([]);
  });

  it("rejects for a missing container", async () => {
    const { engine } = await dockerDaemon();
    await expect(engine.containers.writeFiles("gone", { "/a": "a" })).rejects.toThrow(
      "No such container: gone",
    );
  });
});
