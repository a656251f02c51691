import { buffer, text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { Engine } from "../../src/docker/engine.ts";
import { dockerDaemon, nodeContainer } from "../fixtures/docker-daemon.ts";
import { serve } from "../fixtures/web-server.ts";

describe("the containers of kind", () => {
  it("are those of one cluster, or of all, stopped ones too, and no other containers", async () => {
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

  it("may be gone, or have ended", async () => {
    const daemon = await dockerDaemon();
    expect(await daemon.engine.containers.inspect("id")).toBeUndefined();
    daemon.containers.set("id", { id: "id", name: "n", labels: {}, stopped: true });
    expect(await daemon.engine.containers.inspect("id")).toMatchObject({ running: false });
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
    const { stdin, stdout, stderr, close } = await daemon.engine.containers.exec("id", [
      "bash",
      "-c",
      "cat  $(x)",
    ]);
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
    const { stdin, stdout, close } = await daemon.engine.containers.exec("id", ["cat"]);
    stdin.write(bytes);
    close();
    expect((await buffer(stdout)).equals(bytes)).toBe(true);
  });

  it("ends when it ends by itself", async () => {
    const daemon = await daemonWithContainer();
    daemon.program = async ({ stdout }) => void stdout.write("done");
    const { stdout } = await daemon.engine.containers.exec("id", ["echo"]);
    expect(await text(stdout)).toBe("done");
    expect(daemon.running).toEqual([]);
  });

  it("ends with its container", async () => {
    const daemon = await daemonWithContainer();
    const { stdout } = await daemon.engine.containers.exec("id", ["cat"]);
    const said = text(stdout);
    daemon.kill("id");
    expect(await said).toBe("");
  });

  it("does not start in a container that has ended or is gone", async () => {
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
    const { id, program, volume } = await daemon.engine.containers.runHelper(wanted);
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
    const { id } = await daemon.engine.containers.runHelper(wanted);
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
    const { id, program } = await daemon.engine.containers.runHelper(wanted);
    const removed = daemon.engine.containers.waitUntilRemoved(id);
    program.close();
    await removed;
    expect(daemon.containers.size).toBe(0);
    // It may have been gone before anybody asked.
    await daemon.engine.containers.waitUntilRemoved(id);
  });

  it("is not left behind when it cannot be started", async () => {
    const daemon = await dockerDaemon();
    daemon.refuse = (call) =>
      call.endsWith("/start") ? { status: 500, message: "exec: bash: not found in $PATH" } : undefined;
    await expect(daemon.engine.containers.runHelper(wanted)).rejects.toThrow("bash: not found in $PATH");
    expect(daemon.containers.size).toBe(0);
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
    expect((await engine.containers.inspect("a"))?.ports).toEqual(new Map([["6443/tcp", address]]));
  });
});

describe("a container that is removed", () => {
  it("is no error when it is gone already", async () => {
    await (await dockerDaemon()).engine.containers.remove("gone");
  });

  it("takes its anonymous volumes along, running or not", async () => {
    const asked: string[] = [];
    const { port } = await serve((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      response.writeHead(204).end();
    });
    await new Engine({ DOCKER_HOST: `tcp://127.0.0.1:${port}` }).containers.remove("abc");
    expect(asked).toEqual(["DELETE /containers/abc?force=true&v=true"]);
  });

  it("is an error when the daemon fails", async () => {
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
