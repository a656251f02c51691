import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { Engine } from "../../src/docker/engine.ts";
import { dockerSaveOld, type Sample, sample, withContent } from "../archive/archives.ts";
import { noise, tar } from "../archive/tar-files.ts";
import { type DockerDaemon, dockerDaemon } from "../fixtures/docker-daemon.ts";
import { serve } from "../fixtures/web-server.ts";

const web = sample("web");
const archiveOf = (image: Sample, ...tags: string[]) =>
  Readable.from([tar(dockerSaveOld([{ image, tags }]))]);

/** A daemon that reads requests, and never responds. */
async function silentDaemon() {
  const [arrived, cut] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const { port } = await serve((request, response) => {
    request.resume().once("end", arrived.resolve);
    response.once("close", cut.resolve);
  });
  const engine = new Engine({ DOCKER_HOST: `tcp://127.0.0.1:${port}` });
  return { engine, arrived: arrived.promise, cut: cut.promise };
}

/** A daemon that has an image under these names. */
async function daemonWith(...names: readonly string[]): Promise<DockerDaemon> {
  const daemon = await dockerDaemon();
  daemon.contents.set(web.id, web);
  for (const name of names) daemon.images.set(name, web.id);
  return daemon;
}

describe("Images.tag and Images.untag", () => {
  it.each(["kind-action/restored:0123", "docker.io/envoyproxy/envoy:v1.36.2", "localhost:5000/shop/web:1"])(
    "tag adds a name: %s",
    async (name) => {
      const { engine, images } = await daemonWith("web:1");
      await engine.images.tag("web:1", name);
      expect(Object.fromEntries(images)).toEqual({ "web:1": web.id, [name]: web.id });
    },
  );

  it("tag adds a name to an image by its ID", async () => {
    const { engine, images } = await daemonWith();
    expect(await engine.images.findId(web.id)).toBe(web.id);
    await engine.images.tag(web.id, "web:1");
    expect(images.get("web:1")).toBe(web.id);
  });

  it("tag rejects for a missing image", async () => {
    const { engine, images } = await dockerDaemon();
    await expect(engine.images.tag("web:1", "web:2")).rejects.toThrow("No such image: web:1");
    expect(images.size).toBe(0);
  });

  it("untag removes one name, and the image with its last name", async () => {
    const { engine, images, contents } = await daemonWith("web:1", "localhost:5000/shop/web:1");
    await engine.images.untag("localhost:5000/shop/web:1");
    expect([...images.keys()]).toEqual(["web:1"]);
    await engine.images.untag("web:1");
    expect([images.size, contents.size]).toEqual([0, 0]);
  });

  it("untag accepts a missing name", async () => {
    const { engine } = await dockerDaemon();
    await engine.images.untag("web:1");
  });

  it("untag rejects with the daemon's error", async () => {
    const daemon = await daemonWith("web:1");
    daemon.refuse = (call) =>
      call.startsWith("DELETE") ? { status: 409, message: "conflict: a container is using it" } : undefined;
    await expect(daemon.engine.images.untag("web:1")).rejects.toThrow("a container is using it");
  });
});

describe("Images.load", () => {
  it("loads the images of an archive under their names", async () => {
    const { engine, images, contents } = await dockerDaemon();
    await engine.images.load(archiveOf(web, "web:1", "web:latest"));
    expect(Object.fromEntries(images)).toEqual({ "web:1": web.id, "web:latest": web.id });
    expect(contents.get(web.id)).toEqual(web);
  });

  it("loads an archive that arrives in small chunks", async () => {
    const { engine, images } = await dockerDaemon();
    const whole = tar(dockerSaveOld([{ image: web, tags: ["web:1"] }]));
    const bits = async function* () {
      for (let at = 0; at < whole.length; at += 700) yield whole.subarray(at, at + 700);
    };
    await engine.images.load(Readable.from(bits()));
    expect([...images.keys()]).toEqual(["web:1"]);
  });

  it("rejects with the error that the daemon reports with a status of success, as for a wrong layer", async () => {
    const { engine, images } = await dockerDaemon();
    const members = dockerSaveOld([{ image: web, tags: ["web:1"] }]);
    const [layer = ""] = members.flatMap(({ name }) => (name.endsWith("layer.tar") ? [name] : []));
    const archive = tar(withContent(members, layer, noise("evil", 1024)));
    await expect(engine.images.load(Readable.from([archive]))).rejects.toThrow(
      /^invalid diffID for layer 0: /,
    );
    expect(images.size).toBe(0);
  });

  it("rejects with the error that the daemon reports with another status", async () => {
    const daemon = await dockerDaemon();
    daemon.refuse = () => ({ status: 500, message: "the daemon is in maintenance" });
    await expect(daemon.engine.images.load(archiveOf(web))).rejects.toThrow("the daemon is in maintenance");
  });

  it("rejects with the error of the archive, of which the daemon then loads nothing", async () => {
    const { engine, images, contents } = await dockerDaemon();
    const half = async function* () {
      yield tar(dockerSaveOld([{ image: web, tags: ["web:1"] }])).subarray(0, 2_000);
      throw new Error("the layer sha256:aa: miss");
    };
    await expect(engine.images.load(Readable.from(half()))).rejects.toThrow("the layer sha256:aa: miss");
    expect([images.size, contents.size]).toEqual([0, 0]);
  });

  it("aborts the request when the archive fails", async () => {
    const [arrived, cut] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const { port } = await serve((request) => {
      request.on("error", () => {}).once("close", cut.resolve);
      arrived.resolve();
    });
    const engine = new Engine({ DOCKER_HOST: `tcp://127.0.0.1:${port}` });
    const half = async function* () {
      yield Buffer.alloc(2_000);
      await arrived.promise;
      throw new Error("it breaks off");
    };
    await expect(engine.images.load(Readable.from(half()))).rejects.toThrow("it breaks off");
    await cut.promise;
  });

  it("rejects when the daemon ends while it reads the archive", async () => {
    const { port } = await serve((request) => request.once("data", () => request.socket.destroy()));
    const engine = new Engine({ DOCKER_HOST: `tcp://127.0.0.1:${port}` });
    await expect(engine.images.load(archiveOf(web))).rejects.toThrow(/socket hang up|ECONNRESET|EPIPE/);
  });

  it("rejects when the daemon ends while it responds", async () => {
    const { port } = await serve((request, response) => {
      request.resume().once("end", () => {
        response.write('{"stream":"Loading');
        setImmediate(() => response.destroy());
      });
    });
    const engine = new Engine({ DOCKER_HOST: `tcp://127.0.0.1:${port}` });
    await expect(engine.images.load(archiveOf(web))).rejects.toThrow(/aborted|ECONNRESET|socket hang up/);
  });
});

describe("Images after the timeout", () => {
  it.each<{ method: string; send: (engine: Engine) => Promise<unknown> }>([
    { method: "load", send: (engine) => engine.images.load(archiveOf(web)) },
    { method: "import", send: (engine) => engine.images.import(archiveOf(web), {}) },
  ])("abort the request: $method", async ({ send }) => {
    const { engine, arrived, cut } = await silentDaemon();
    const deadline = new AbortController();
    const timeout = vi.spyOn(AbortSignal, "timeout").mockReturnValueOnce(deadline.signal);
    onTestFinished(() => timeout.mockRestore());
    const taken = send(engine);
    taken.catch(() => {});
    await arrived;
    deadline.abort();
    await expect(taken).rejects.toThrow("aborted");
    await cut;
  });
});

describe("Images.import", () => {
  const [layer = Buffer.alloc(0)] = web.layers;
  const bytes = () => Readable.from([layer]);

  it("imports a layer as an image without a name", async () => {
    const { engine, images, contents } = await dockerDaemon();
    const id = await engine.images.import(bytes(), {});
    expect(contents.get(id)?.layers).toEqual([layer]);
    expect(await engine.images.findId(id)).toBe(id);
    expect(images.size).toBe(0);
  });

  it("creates a new image each time, which untag removes by its ID", async () => {
    const { engine, contents } = await dockerDaemon();
    const [one, other] = await Promise.all([
      engine.images.import(bytes(), {}),
      engine.images.import(bytes(), {}),
    ]);
    expect(new Set([one, other]).size).toBe(2);
    await engine.images.untag(one);
    expect([...contents.keys()]).toEqual([other]);
    await engine.images.untag(one);
    await engine.images.untag(other);
    expect(contents.size).toBe(0);
  });

  it.each([0, 1, 512, 3e6])("imports a layer of %i bytes", async (size) => {
    const { engine, contents } = await dockerDaemon();
    const whole = Buffer.alloc(size, "layer");
    const bits = async function* () {
      for (let at = 0; at < size; at += 7e5) yield whole.subarray(at, at + 7e5);
    };
    const id = await engine.images.import(Readable.from(bits(), { objectMode: false }), {});
    expect(contents.get(id)?.layers[0]?.equals(whole)).toBe(true);
  });

  it("labels the image with any text, by which listByLabel finds it", async () => {
    const { engine } = await dockerDaemon();
    const imageLabels = { "kind-action.run": "12-1-abc", note: 'a "quoted" \\ text' };
    const id = await engine.images.import(bytes(), imageLabels);
    await engine.images.import(bytes(), { "kind-action.run": "13-1-def" });
    await engine.images.import(bytes(), {});
    for (const [label, value] of Object.entries(imageLabels))
      expect(await engine.images.listByLabel(label, value)).toEqual([id]);
    expect(await engine.images.listByLabel("kind-action.run", "14")).toEqual([]);
    expect(await engine.images.listByLabel("other", "12-1-abc")).toEqual([]);
  });

  it("imports a layer that an archive of an image on top of it can omit", async () => {
    const { engine, contents } = await dockerDaemon();
    const id = await engine.images.import(bytes(), {});
    const members = dockerSaveOld([{ image: web, tags: ["web:1"] }]);
    const [lowest] = members.flatMap(({ name }) => (name.endsWith("layer.tar") ? [name] : []));
    const archive = tar(members.filter(({ name }) => name !== lowest));
    await engine.images.load(Readable.from([archive]));
    await engine.images.untag(id);
    expect([...contents.values()]).toEqual([web]);
    await engine.images.untag("web:1");
    await expect(engine.images.load(Readable.from([archive]))).rejects.toThrow("no such file or directory");
  });

  it("rejects with the error that the daemon reports, with a status of success or another", async () => {
    const daemon = await dockerDaemon();
    daemon.import = async () => '{"status":"Importing"}\r\n{"error":"no space left on device"}\r\n';
    await expect(daemon.engine.images.import(bytes(), {})).rejects.toThrow("no space left on device");
    daemon.refuse = () => ({ status: 500, message: "the daemon is in maintenance" });
    await expect(daemon.engine.images.import(bytes(), {})).rejects.toThrow("the daemon is in maintenance");
  });

  it("rejects when the daemon reports neither an image nor an error", async () => {
    const daemon = await dockerDaemon();
    daemon.import = async () => "";
    await expect(daemon.engine.images.import(bytes(), {})).rejects.toThrow(
      "The Docker daemon imported no image and reported no error.",
    );
  });

  it("rejects with the error of the layer, of which the daemon then imports nothing", async () => {
    const { engine, contents } = await dockerDaemon();
    const half = async function* () {
      yield layer.subarray(0, 700);
      throw new Error("its part 0: miss");
    };
    await expect(engine.images.import(Readable.from(half()), {})).rejects.toThrow("its part 0: miss");
    expect(contents.size).toBe(0);
  });
});

describe("Images.readFile", () => {
  const manifest = Buffer.from("kind: DaemonSet\n");

  it.each([
    { form: "alone in its tar", members: [{ name: "default-cni.yaml", content: manifest }] },
    {
      form: "after a pax header",
      members: [
        {
          name: "PaxHeaders/default-cni.yaml",
          kind: "pax" as const,
          content: Buffer.from("19 mtime=170000.5\n"),
        },
        { name: "default-cni.yaml", content: manifest },
      ],
    },
  ])("reads a file from a container that is not started, and removes it: $form", async ({ members }) => {
    const { engine, archives, containers, changes } = await dockerDaemon();
    archives.set("/kind/manifests/default-cni.yaml", tar(members));
    const file = await engine.images.readFile("kindest/node:v1", "/kind/manifests/default-cni.yaml", {
      "kind-action.run": "1",
    });
    expect(file.toString()).toBe("kind: DaemonSet\n");
    expect(containers.size).toBe(0);
    expect(changes.filter((call) => call.endsWith("/start"))).toEqual([]);
  });

  it("rejects for a missing file, and removes the container", async () => {
    const { engine, containers } = await dockerDaemon();
    await expect(engine.images.readFile("kindest/node:v1", "/kind/none", {})).rejects.toThrow(
      "Could not find the file",
    );
    expect(containers.size).toBe(0);
  });
});

describe("Images.platform", () => {
  it("returns the OS, the architecture and the variant", async () => {
    const arm = { Id: "sha256:aa", Os: "linux", Architecture: "arm64", Variant: "v8", Size: 1 };
    const { port } = await serve((request, response) =>
      response.end(JSON.stringify(request.url?.includes("arm") ? arm : { ...arm, Variant: "" })),
    );
    const engine = new Engine({ DOCKER_HOST: `tcp://127.0.0.1:${port}` });
    expect(await engine.images.platform("arm")).toEqual({
      os: "linux",
      architecture: "arm64",
      variant: "v8",
    });
    expect(await engine.images.platform("other")).toEqual({ os: "linux", architecture: "arm64" });
  });
});

describe("Images.save", () => {
  const noTimeout = () => new AbortController().signal;
  const amd64 = { os: "linux", architecture: "amd64" };

  it("exports images into one archive, of one platform if one is given", async () => {
    const daemon = await dockerDaemon();
    for (const name of ["web:1", "ghcr.io/shop/api:2"]) daemon.images.set(name, `sha256:${name}`);
    daemon.exported = ({ names, platform }) => Readable.from([`${names.join(", ")} for ${platform}`]);
    const save = async (names: string[], platform: typeof amd64 | undefined) =>
      text(await daemon.engine.images.save(names, platform, noTimeout()));
    expect(await save(["web:1", "ghcr.io/shop/api:2"], undefined)).toBe("web:1, ghcr.io/shop/api:2 for null");
    expect(await save(["web:1"], amd64)).toBe('web:1 for {"os":"linux","architecture":"amd64"}');
  });

  it("rejects when the daemon does not have an image", async () => {
    const { engine } = await dockerDaemon();
    await expect(engine.images.save(["web:1"], undefined, noTimeout())).rejects.toThrow(
      "No such image: web:1",
    );
  });

  it("ends with an error when the daemon aborts the export, or its signal does", async () => {
    const daemon = await dockerDaemon();
    daemon.images.set("web:1", "sha256:aa");
    daemon.exported = () =>
      Readable.from(
        (async function* () {
          yield "half of it";
          throw new Error("the daemon fails");
        })(),
      );
    await expect(daemon.engine.images.save(["web:1"], undefined, noTimeout()).then(text)).rejects.toThrow(
      "aborted",
    );

    const timeout = new AbortController();
    daemon.exported = () => new Readable({ read() {} });
    const archive = await daemon.engine.images.save(["web:1"], undefined, timeout.signal);
    timeout.abort();
    await expect(text(archive)).rejects.toThrow("aborted");
  });
});
