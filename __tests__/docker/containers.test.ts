import { buffer, text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { Engine } from "../../src/docker/engine.ts";
import { dockerDaemon, nodeContainer } from "../fixtures/docker-daemon.ts";
import { serve } from "../fixtures/web-server.ts";

describe("Containers.listNodes", () => {
  it("lists the containers of one kind cluster or of all, stopped ones too, and no others", async () => {
    const daemon = await dockerDaemon();
    for (const container of [
      { ...nodeContainer("a", "control-plane"), stopped: true },
      nodeContainer("b", "worker"),
      { id: "db", name: "postgres", labels: {} },
    ])
      daemon.containers.set(container.id, container);
    const names = async (cluster?: string) =>
      (await daemon.engine.containers.listNodes(cluster)).map(({ name }) => name);
    expect(await names("a")).toEqual(["a-control-plane"]);
    expect(await names()).toEqual(["a-control-plane", "b-worker"]);
  });
});

describe("Containers.inspect", () => {
  it("returns the image, the time of creation and the mounts of a container", async () => {
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
    expect(await daemon.engine.containers.inspect("id")).toEqual({
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

  it("returns nothing for a missing container, and whether a container runs", async () => {
    const daemon = await dockerDaemon();
    expect(await daemon.engine.containers.inspect("id")).toBeUndefined();
    daemon.containers.set("id", { id: "id", name: "n", labels: {}, stopped: true });
    expect(await daemon.engine.containers.inspect("id")).toMatchObject({ running: false });
  });
});

/** A daemon with one running container. */
async function daemonWithContainer() {
  const daemon = await dockerDaemon();
  daemon.containers.set("id", { id: "id", name: "node", labels: {} });
  return daemon;
}

describe("Containers.exec", () => {
  it("runs a program with its arguments and its three streams", async () => {
    const daemon = await daemonWithContainer();
    daemon.program = async ({ container, argv, stdin, stdout, stderr }) => {
      stdout.write(`${argv.join("|")} in ${container}\n`);
      const input = await text(stdin);
      stderr.write("warning: loud\n");
      stdout.write(input.toUpperCase());
    };
    const { stdin, stdout, stderr, close } = await daemon.engine.containers.exec("id", [
      "bash",
      "-c",
      "cat  $(x)",
    ]);
    const errors = new Promise((resolve) => stderr.once("data", (data) => resolve(String(data))));
    stdin.write("hello, ");
    stdin.write("world");
    close();
    expect(await text(stdout)).toBe("bash|-c|cat  $(x) in id\nHELLO, WORLD");
    expect(await errors).toBe("warning: loud\n");
  });

  it("transfers more than the buffers hold", async () => {
    const daemon = await daemonWithContainer();
    const bytes = Buffer.alloc(3_000_001, "0123456789abcde");
    daemon.program = async ({ stdin, stdout }) => {
      const input = await buffer(stdin);
      for (let at = 0; at < input.length; at += 70_000) stdout.write(input.subarray(at, at + 70_000));
    };
    const { stdin, stdout, close } = await daemon.engine.containers.exec("id", ["cat"]);
    stdin.write(bytes);
    close();
    expect((await buffer(stdout)).equals(bytes)).toBe(true);
  });

  it("ends the streams when the program ends", async () => {
    const daemon = await daemonWithContainer();
    daemon.program = async ({ stdout }) => void stdout.write("done");
    const { stdout } = await daemon.engine.containers.exec("id", ["echo"]);
    expect(await text(stdout)).toBe("done");
    expect(daemon.running).toEqual([]);
  });

  it("ends the streams when the container ends", async () => {
    const daemon = await daemonWithContainer();
    const { stdout } = await daemon.engine.containers.exec("id", ["cat"]);
    const output = text(stdout);
    daemon.kill("id");
    expect(await output).toBe("");
  });

  it("rejects for a stopped or missing container", async () => {
    const daemon = await daemonWithContainer();
    daemon.kill("id");
    await expect(daemon.engine.containers.exec("id", ["true"])).rejects.toThrow(
      "container id is not running",
    );
    await expect(daemon.engine.containers.exec("other", ["true"])).rejects.toThrow(
      "No such container: other",
    );
  });
});

describe("Containers.runHelper", () => {
  const helper = {
    image: "sha256:node",
    argv: ["bash", "-c", "cat >/staging/x"],
    labels: { "kind-action.run": "12-1-abc" },
    binds: [
      { source: "/var/lib/docker/volumes", target: "/volumes", readOnly: false },
      { source: "/workspace/my image.tar", target: "/archives/0", readOnly: true },
    ],
    volume: "/staging",
  };

  it("runs the program instead of the entrypoint of the image, with an anonymous volume", async () => {
    const daemon = await dockerDaemon();
    daemon.program = async ({ argv, stdin, stdout }) =>
      void stdout.write(`${argv.join("|")}: ${await text(stdin)}`);
    const { id, program, volume } = await daemon.engine.containers.runHelper(helper);
    const container = daemon.containers.get(id);
    expect(container).toMatchObject({ image: "sha256:node", labels: helper.labels });
    expect(container?.mounts).toContainEqual(
      expect.objectContaining({ Name: volume, Destination: "/staging" }),
    );
    program.stdin.write("hello");
    program.close();
    expect(await text(program.stdout)).toBe("bash|-c|cat >/staging/x: hello");
  });

  it("runs without capabilities, and with no other mounts than those requested", async () => {
    const daemon = await dockerDaemon();
    const { id } = await daemon.engine.containers.runHelper(helper);
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

  it("removes the container when the program ends", async () => {
    const daemon = await dockerDaemon();
    const { id, program } = await daemon.engine.containers.runHelper(helper);
    const removed = daemon.engine.containers.waitUntilRemoved(id, 5_000);
    program.close();
    await removed;
    expect(daemon.containers.size).toBe(0);
    // Also when the container was removed before.
    await daemon.engine.containers.waitUntilRemoved(id, 5_000);
  });

  it("rejects with the ID of a container that Docker does not remove in time", async () => {
    const daemon = await dockerDaemon();
    const { id } = await daemon.engine.containers.runHelper(helper);
    await expect(daemon.engine.containers.waitUntilRemoved(id, 100)).rejects.toThrow(
      `Docker did not remove container ${id} within 0.1 s.`,
    );
  });

  it("removes a container that could not be started", async () => {
    const daemon = await dockerDaemon();
    daemon.refuse = (call) =>
      call.endsWith("/start") ? { status: 500, message: "exec: bash: not found in $PATH" } : undefined;
    await expect(daemon.engine.containers.runHelper(helper)).rejects.toThrow("bash: not found in $PATH");
    expect(daemon.containers.size).toBe(0);
  });
});

describe("Containers.inspect of a published port", () => {
  it.each([
    { HostIp: "127.0.0.1", address: "127.0.0.1:40123" },
    { HostIp: "0.0.0.0", address: "127.0.0.1:40123" },
    { HostIp: "", address: "127.0.0.1:40123" },
    { HostIp: "::", address: "[::1]:40123" },
    { HostIp: "192.168.1.5", address: "192.168.1.5:40123" },
  ])("returns $address for the host IP '$HostIp'", async ({ HostIp, address }) => {
    const { engine, containers } = await dockerDaemon();
    const ports = { "6443/tcp": [{ HostIp, HostPort: "40123" }], "9000/tcp": null };
    containers.set("a", { id: "a", name: "a", labels: {}, ports });
    expect((await engine.containers.inspect("a"))?.ports).toEqual(new Map([["6443/tcp", address]]));
  });
});

describe("Containers.remove", () => {
  it("accepts a missing container", async () => {
    await (await dockerDaemon()).engine.containers.remove("gone");
  });

  it("removes a container with its anonymous volumes, running or not", async () => {
    const requests: string[] = [];
    const { port } = await serve((request, response) => {
      requests.push(`${request.method} ${request.url}`);
      response.writeHead(204).end();
    });
    await new Engine({ DOCKER_HOST: `tcp://127.0.0.1:${port}` }).containers.remove("abc");
    expect(requests).toEqual(["DELETE /containers/abc?force=true&v=true"]);
  });

  it("rejects with the daemon's error", async () => {
    const daemon = await dockerDaemon();
    daemon.containers.set("id", nodeContainer("kind", "control-plane"));
    daemon.refuse = (call) =>
      call.startsWith("DELETE")
        ? { status: 500, message: "driver failed to remove root filesystem" }
        : undefined;
    await expect(daemon.engine.containers.remove("id")).rejects.toThrow(
      "driver failed to remove root filesystem",
    );
  });
});
