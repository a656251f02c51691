import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { beforeEach, describe, expect, it } from "vitest";
import { createDockerArchive, type LoadableLayer, loadIntoDaemon } from "../../src/images/docker-load.ts";
import { digestOf, imageOf, type Sample, sample } from "../archive/archives.ts";
import { expected, read, shown } from "../archive/reading.ts";
import { noise } from "../archive/tar-files.ts";
import { type DockerDaemon, dockerDaemon } from "../fixtures/docker-daemon.ts";
import { membersOf } from "../fixtures/tar-members.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { labels } from "../oci/published-images.ts";

const name = "kind-action/restored:0123456789abcdef";
const hex = (digest: string) => digest.replace("sha256:", "");

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

/** The path of a restored layer. */
const pathOf = (layer: Buffer) => join(folder, hex(digestOf(layer)));

/** Writes the file of a layer. */
const lay = (layer: Buffer) => writeFileSync(pathOf(layer), layer);

type LayerFile = Pick<LoadableLayer, "path" | "written">;

/** A layer that is complete. */
function fileOf(layer: Buffer): LayerFile {
  lay(layer);
  return { path: pathOf(layer), written: Promise.resolve() };
}

/** A layer that is written when a promise resolves. */
const lateFile = (layer: Buffer, when: Promise<unknown>): LayerFile => ({
  path: pathOf(layer),
  written: when.then(() => lay(layer)),
});

/** A layer that cannot be restored. */
function missingFile(): LayerFile {
  const written = Promise.reject(new Error("the layer sha256:aa: miss"));
  written.catch(() => {});
  return { path: join(folder, "missing"), written };
}

/** A loadable image, whose layers are complete unless a test provides others. */
const partsOf = ({ config, id, layers }: Sample, files: LayerFile[] = []) => ({
  config: config.toString(),
  id: hex(id),
  name,
  layers: layers.map((layer, index) => ({
    diffId: hex(digestOf(layer)),
    release: async () => {},
    ...(files[index] ?? fileOf(layer)),
  })),
});

/** The diff IDs of the layers of an archive in their order. */
const layersIn = async (archive: Buffer) =>
  (await membersOf(archive)).flatMap(({ name: path }) =>
    path.endsWith("/layer.tar") ? [path.split("/")[0]] : [],
  );

describe("createDockerArchive", () => {
  it("creates an archive of the image under its name", async () => {
    const image = sample("web", { layers: 3 });
    const archive = await buffer(createDockerArchive(partsOf(image)));
    expect(shown(await read(archive))).toEqual([
      expected(image, ["docker.io/kind-action/restored:0123456789abcdef"]),
    ]);
  });

  it("creates a valid tar of config, layers and manifest.json", async () => {
    const image = sample("web", { layers: 2 });
    const members = await membersOf(await buffer(createDockerArchive(partsOf(image))));
    const paths = image.layers.map((layer) => `${hex(digestOf(layer))}/layer.tar`);
    const list = [{ Config: `${hex(image.id)}.json`, RepoTags: [name], Layers: paths }];
    expect(members.map((member) => [member.name, member.content.toString("latin1")])).toEqual([
      [`${hex(image.id)}.json`, image.config.toString("latin1")],
      ...image.layers.map((layer, index) => [paths[index], layer.toString("latin1")]),
      ["manifest.json", JSON.stringify(list)],
    ]);
  });

  it("ends with the end-of-archive marker of a tar", async () => {
    const archive = await buffer(createDockerArchive(partsOf(sample("web"))));
    expect(archive.length % 512).toBe(0);
    expect(archive.subarray(-1024).equals(Buffer.alloc(1024))).toBe(true);
  });

  it.each([0, 1, 511, 512, 513, 1_000_003, 3 * 1024 ** 2])("includes a layer of %i bytes", async (size) => {
    const layer = Buffer.alloc(size, "0123456789abc");
    const members = await membersOf(
      await buffer(createDockerArchive(partsOf(imageOf([layer, noise("other", 700)])))),
    );
    const path = `${hex(digestOf(layer))}/layer.tar`;
    expect(members.find((member) => member.name === path)?.content.equals(layer)).toBe(true);
  });

  it("creates an archive without layers", async () => {
    const image = imageOf([]);
    const archive = await buffer(createDockerArchive(partsOf(image)));
    expect((await membersOf(archive)).map((member) => member.name)).toEqual([
      `${hex(image.id)}.json`,
      "manifest.json",
    ]);
  });

  it("includes a config with characters outside ASCII", async () => {
    const config = JSON.stringify({ author: "Jürgen – 日本", rootfs: { type: "layers", diff_ids: [] } });
    const id = hex(digestOf(Buffer.from(config)));
    const [first] = await membersOf(await buffer(createDockerArchive({ config, id, name, layers: [] })));
    expect(first?.content.toString()).toBe(config);
  });
});

describe("createDockerArchive while layers are being restored", () => {
  it("includes layers in the order in which they are complete, and lists them in that of the config", async () => {
    const image = sample("late", { layers: 3 });
    const arrivals = image.layers.map(() => Promise.withResolvers<void>());
    const files = image.layers.map((layer, index) =>
      lateFile(layer, Promise.resolve(arrivals[index]?.promise)),
    );
    const parts = partsOf(image, files);
    const made = createDockerArchive(parts);
    const ended = once(made, "end");
    const chunks: Buffer[] = [];
    made.on("data", (chunk: Buffer) => chunks.push(chunk));
    const order = [2, 0, 1];
    for (const index of order) {
      const layer = image.layers[index] ?? Buffer.alloc(0);
      arrivals[index]?.resolve();
      // It is sent while the others are still being written.
      while (!Buffer.concat(chunks).includes(layer)) await once(made, "data");
    }
    await ended;
    const archive = Buffer.concat(chunks);
    expect(await layersIn(archive)).toEqual(order.map((index) => parts.layers[index]?.diffId));
    expect(shown(await read(archive))).toEqual([expected(image, [`docker.io/${name}`])]);
  });

  it("includes a layer once that an image has twice", async () => {
    const [one, other] = [noise("one", 700), noise("other", 700)];
    const image = imageOf([one, other, one, one]);
    const archive = await buffer(createDockerArchive(partsOf(image)));
    expect(await layersIn(archive)).toEqual([one, other].map((layer) => hex(digestOf(layer))));
    expect(shown(await read(archive))).toEqual([expected(image, [`docker.io/${name}`])]);
  });

  it("ends with the error of a layer, without waiting for others", async () => {
    const image = sample("broken", { layers: 3 });
    const never = { path: join(folder, "never"), written: new Promise(() => {}) };
    const parts = partsOf(image, [fileOf(image.layers[0] ?? Buffer.alloc(0)), missingFile(), never]);
    await expect(buffer(createDockerArchive(parts))).rejects.toThrow("the layer sha256:aa: miss");
  });

  it("ends with an error when the file of a layer is missing", async () => {
    const gone = { path: join(folder, "gone"), written: Promise.resolve() };
    const parts = partsOf(sample("gone", { layers: 1 }), [gone]);
    await expect(buffer(createDockerArchive(parts))).rejects.toThrow("ENOENT");
  });
});

describe("createDockerArchive without the first layer", () => {
  it("includes the other layers, and lists all", async () => {
    const image = sample("web", { layers: 3 });
    const parts = partsOf(image);
    const members = await membersOf(await buffer(createDockerArchive(parts, Promise.resolve())));
    const paths = parts.layers.map(({ diffId }) => `${diffId}/layer.tar`);
    const list = [{ Config: `${hex(image.id)}.json`, RepoTags: [name], Layers: paths }];
    expect(members.map((member) => member.name)).toEqual([
      `${hex(image.id)}.json`,
      ...paths.slice(1),
      "manifest.json",
    ]);
    expect(members.at(-1)?.content.toString()).toBe(JSON.stringify(list));
  });

  it("includes the first layer if the image has it again above others: the daemon reads it there", async () => {
    const [one, other] = [noise("one", 700), noise("other", 700)];
    const archive = await buffer(createDockerArchive(partsOf(imageOf([one, other, one])), Promise.resolve()));
    expect(await layersIn(archive)).toEqual([other, one].map((layer) => hex(digestOf(layer))));
  });

  it("lists the layers once the daemon has the first layer", async () => {
    const image = sample("web", { layers: 2 });
    const first = Promise.withResolvers<void>();
    const made = createDockerArchive(partsOf(image), first.promise);
    const ended = once(made, "end");
    const chunks: Buffer[] = [];
    made.on("data", (chunk: Buffer) => chunks.push(chunk));
    const [, last = Buffer.alloc(0)] = image.layers;
    while (!Buffer.concat(chunks).includes(last)) await once(made, "data");
    expect(Buffer.concat(chunks).includes("manifest.json")).toBe(false);
    first.resolve();
    await ended;
    expect(Buffer.concat(chunks).includes("manifest.json")).toBe(true);
  });

  it("ends with the error of the first layer", async () => {
    const refused = Promise.reject(new Error("no space left on device"));
    refused.catch(() => {});
    const archive = createDockerArchive(partsOf(sample("web")), refused);
    await expect(buffer(archive)).rejects.toThrow("no space left on device");
  });
});

describe("loadIntoDaemon", () => {
  /** Loads an image, and expects that the daemon has it and no other. */
  async function expectLoaded(image: Sample, daemon: DockerDaemon, files?: LayerFile[]): Promise<void> {
    await loadIntoDaemon(daemon.engine, partsOf(image, files), labels);
    expect([...daemon.images]).toEqual([[name, image.id]]);
    expect([...daemon.contents.values()]).toEqual([image]);
  }

  /** Expects that an image cannot be loaded, and that nothing remains. @returns the error message */
  async function refusal(image: Sample, daemon: DockerDaemon, files?: LayerFile[]): Promise<string> {
    const given = loadIntoDaemon(daemon.engine, partsOf(image, files), labels);
    const error = await given.catch((caught: unknown) => caught);
    expect([daemon.images.size, daemon.contents.size]).toEqual([0, 0]);
    return error instanceof Error ? error.message : "it was loaded";
  }

  /** The files of an image's layers, one of them replaced. */
  const filesWith = (image: Sample, which: number, instead: LayerFile) =>
    image.layers.map((layer, index) => (index === which ? instead : fileOf(layer)));

  it.each([1, 2, 5])("loads an image of %i layers, and leaves no other", async (layers) => {
    await expectLoaded(sample("web", { layers }), await dockerDaemon());
  });

  it("loads an image without layers", async () => {
    await expectLoaded(imageOf([]), await dockerDaemon());
  });

  it.each([0, 1, 511, 512, 513])("loads an image whose first layer has %i bytes", async (size) => {
    await expectLoaded(imageOf([Buffer.alloc(size, "odd"), noise("other", 700)]), await dockerDaemon());
  });

  it("loads an image that has its first layer twice", async () => {
    const [one, other] = [noise("one", 700), noise("other", 700)];
    for (const layers of [
      [one, one],
      [one, other, one],
    ])
      await expectLoaded(imageOf(layers), await dockerDaemon());
  });

  it("releases each layer once the daemon has its bytes, the first before the others are complete", async () => {
    const image = sample("web", { layers: 3 });
    const released: number[] = [];
    const lowest = Promise.withResolvers<void>();
    const late = lateFile(image.layers[2] ?? Buffer.alloc(0), lowest.promise);
    const parts = partsOf(image, filesWith(image, 2, late));
    const layers = parts.layers.map((layer, index) => ({
      ...layer,
      async release() {
        released.push(index);
        if (index === 0) lowest.resolve();
        throw new Error("EBUSY: resource busy");
      },
    }));
    const daemon = await dockerDaemon();
    await loadIntoDaemon(daemon.engine, { ...parts, layers }, labels);
    expect([...daemon.images]).toEqual([[name, image.id]]);
    expect([released[0], new Set(released)]).toEqual([0, new Set([0, 1, 2])]);
  });

  it("does not change other images, even with the same first layer", async () => {
    const daemon = await dockerDaemon();
    const image = sample("web");
    const theirs = imageOf(image.layers.slice(0, 1));
    daemon.contents.set(theirs.id, theirs);
    daemon.images.set("theirs:1", theirs.id);
    await loadIntoDaemon(daemon.engine, partsOf(image), labels);
    expect(Object.fromEntries(daemon.images)).toEqual({ "theirs:1": theirs.id, [name]: image.id });
    expect([...daemon.contents.keys()]).toEqual([theirs.id, image.id]);
  });

  it("imports the first layer while the others are being restored", async () => {
    const daemon = await dockerDaemon();
    const image = sample("web", { layers: 3 });
    const made = Promise.withResolvers<void>();
    const { import: make } = daemon;
    daemon.import = async (...layer) => {
      const response = await make(...layer);
      made.resolve();
      return response;
    };
    const late = lateFile(image.layers[1] ?? Buffer.alloc(0), made.promise);
    await expectLoaded(image, daemon, filesWith(image, 1, late));
  });

  it.each([0, 1, 2])("rejects when layer %i cannot be restored", async (index) => {
    const image = sample("web", { layers: 3 });
    const files = filesWith(image, index, missingFile());
    expect(await refusal(image, await dockerDaemon(), files)).toBe("the layer sha256:aa: miss");
  });

  it.each([
    { which: 0, why: /^its first layer has the diff ID sha256:[0-9a-f]{64}, not sha256:[0-9a-f]{64}$/ },
    { which: 1, why: /^invalid diffID for layer 1: / },
  ])("rejects when layer $which has other content", async ({ which, why }) => {
    const image = sample("web", { layers: 3 });
    const evil = fileOf(noise("evil", 700));
    expect(await refusal(image, await dockerDaemon(), filesWith(image, which, evil))).toMatch(why);
  });

  it.each(["POST /images/create", "POST /images/load"])(
    "rejects when the daemon refuses %s",
    async (refused) => {
      const daemon = await dockerDaemon();
      daemon.refuse = (call) =>
        call === refused ? { status: 500, message: "the daemon is in maintenance" } : undefined;
      const why = await refusal(sample("web", { layers: 3 }), daemon);
      expect(why).toContain("the daemon is in maintenance");
    },
  );

  it.each(["import", "load"] as const)("rejects when the daemon reports an error: %s", async (call) => {
    const daemon = await dockerDaemon();
    daemon[call] = async () => '{"error":"no space left on device"}\r\n';
    expect(await refusal(sample("web", { layers: 3 }), daemon)).toBe("no space left on device");
  });

  it("removes the image of the first layer if another layer fails while the daemon still imports it", async () => {
    const daemon = await dockerDaemon();
    const image = sample("web", { layers: 2 });
    const [arrived, broken] = [0, 1].map(() => Promise.withResolvers<void>());
    const { import: make } = daemon;
    daemon.import = async (...layer) => {
      arrived?.resolve();
      await broken?.promise;
      return await make(...layer);
    };
    const written = Promise.resolve(arrived?.promise).then(() => {
      broken?.resolve();
      throw new Error("the layer sha256:aa: miss");
    });
    written.catch(() => {});
    const late = { path: join(folder, "late"), written };
    expect(await refusal(image, daemon, filesWith(image, 1, late))).toBe("the layer sha256:aa: miss");
  });
});
