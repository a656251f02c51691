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

/** Where the cache lays out a layer. */
const pathOf = (layer: Buffer) => join(folder, hex(digestOf(layer)));

/** Lays out a layer. */
const lay = (layer: Buffer) => writeFileSync(pathOf(layer), layer);

type LayerFile = Pick<LoadableLayer, "path" | "written">;

/** A layer that is there. */
function fileOf(layer: Buffer): LayerFile {
  lay(layer);
  return { path: pathOf(layer), written: Promise.resolve() };
}

/** A layer that is laid out when a test says so, and has come when that is done. */
const lateFile = (layer: Buffer, when: Promise<unknown>): LayerFile => ({
  path: pathOf(layer),
  written: when.then(() => lay(layer)),
});

/** A layer that does not come. */
function missingFile(): LayerFile {
  const written = Promise.reject(new Error("the layer sha256:aa: miss"));
  written.catch(() => {});
  return { path: join(folder, "missing"), written };
}

/** An image as parts, its layers there already unless a test brings them itself. */
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

/** The layers of an archive in the order in which they are in it. */
const layersIn = async (archive: Buffer) =>
  (await membersOf(archive)).flatMap(({ name: path }) =>
    path.endsWith("/layer.tar") ? [path.split("/")[0]] : [],
  );

describe("the archive that gives an image to a Docker daemon", () => {
  it("is read back as the same image, under its name", async () => {
    const image = sample("web", { layers: 3 });
    const archive = await buffer(createDockerArchive(partsOf(image)));
    expect(shown(await read(archive))).toEqual([
      expected(image, ["docker.io/kind-action/restored:0123456789abcdef"]),
    ]);
  });

  it("is a tar that a strict reader takes: config, layers, and the list of them, to the byte", async () => {
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

  it("ends as a tar does, so that nobody waits for more", async () => {
    const archive = await buffer(createDockerArchive(partsOf(sample("web"))));
    expect(archive.length % 512).toBe(0);
    expect(archive.subarray(-1024).equals(Buffer.alloc(1024))).toBe(true);
  });

  it.each([0, 1, 511, 512, 513, 1_000_003, 3 * 1024 ** 2])(
    "has layers of any size: %i bytes",
    async (size) => {
      const layer = Buffer.alloc(size, "0123456789abc");
      const members = await membersOf(
        await buffer(createDockerArchive(partsOf(imageOf([layer, noise("other", 700)])))),
      );
      const path = `${hex(digestOf(layer))}/layer.tar`;
      expect(members.find((member) => member.name === path)?.content.equals(layer)).toBe(true);
    },
  );

  it("may have no layer at all", async () => {
    const image = imageOf([]);
    const archive = await buffer(createDockerArchive(partsOf(image)));
    expect((await membersOf(archive)).map((member) => member.name)).toEqual([
      `${hex(image.id)}.json`,
      "manifest.json",
    ]);
  });

  it("has a config that is not ASCII alone", async () => {
    const config = JSON.stringify({ author: "Jürgen – 日本", rootfs: { type: "layers", diff_ids: [] } });
    const id = hex(digestOf(Buffer.from(config)));
    const [first] = await membersOf(await buffer(createDockerArchive({ config, id, name, layers: [] })));
    expect(first?.content.toString()).toBe(config);
  });
});

describe("the layers of an archive that is being made", () => {
  it("go into it as they come, and lie on each other as the config has it", async () => {
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
      // It is sent while the others are still on their way.
      while (!Buffer.concat(chunks).includes(layer)) await once(made, "data");
    }
    await ended;
    const archive = Buffer.concat(chunks);
    expect(await layersIn(archive)).toEqual(order.map((index) => parts.layers[index]?.diffId));
    expect(shown(await read(archive))).toEqual([expected(image, [`docker.io/${name}`])]);
  });

  it("are in it once, though an image has the same one twice", async () => {
    const [one, other] = [noise("one", 700), noise("other", 700)];
    const image = imageOf([one, other, one, one]);
    const archive = await buffer(createDockerArchive(partsOf(image)));
    expect(await layersIn(archive)).toEqual([one, other].map((layer) => hex(digestOf(layer))));
    expect(shown(await read(archive))).toEqual([expected(image, [`docker.io/${name}`])]);
  });

  it("end it with an error when one does not come, though others still may", async () => {
    const image = sample("broken", { layers: 3 });
    const never = { path: join(folder, "never"), written: new Promise(() => {}) };
    const parts = partsOf(image, [fileOf(image.layers[0] ?? Buffer.alloc(0)), missingFile(), never]);
    await expect(buffer(createDockerArchive(parts))).rejects.toThrow("the layer sha256:aa: miss");
  });

  it("end it with an error when a file is gone before it is read", async () => {
    const gone = { path: join(folder, "gone"), written: Promise.resolve() };
    const parts = partsOf(sample("gone", { layers: 1 }), [gone]);
    await expect(buffer(createDockerArchive(parts))).rejects.toThrow("ENOENT");
  });
});

describe("an archive without the first layer, which the daemon gets otherwise", () => {
  it("has the others, and the list of all", async () => {
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

  it("has it where the image has it once more above others: there it is asked for", async () => {
    const [one, other] = [noise("one", 700), noise("other", 700)];
    const archive = await buffer(createDockerArchive(partsOf(imageOf([one, other, one])), Promise.resolve()));
    expect(await layersIn(archive)).toEqual([other, one].map((layer) => hex(digestOf(layer))));
  });

  it("has its list when the daemon has the first layer, and not before", async () => {
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

  it("ends with the reason when the daemon does not take that", async () => {
    const refused = Promise.reject(new Error("no space left on device"));
    refused.catch(() => {});
    const archive = createDockerArchive(partsOf(sample("web")), refused);
    await expect(buffer(archive)).rejects.toThrow("no space left on device");
  });
});

describe("an image that is given to a Docker daemon", () => {
  /** Gives it, and expects that it is there alone. */
  async function expectGiven(image: Sample, daemon: DockerDaemon, files?: LayerFile[]): Promise<void> {
    await loadIntoDaemon(daemon.engine, partsOf(image, files), labels);
    expect([...daemon.images]).toEqual([[name, image.id]]);
    expect([...daemon.contents.values()]).toEqual([image]);
  }

  /** Gives it in vain. @returns why; nothing is there then */
  async function refusal(image: Sample, daemon: DockerDaemon, files?: LayerFile[]): Promise<string> {
    const given = loadIntoDaemon(daemon.engine, partsOf(image, files), labels);
    const error = await given.catch((caught: unknown) => caught);
    expect([daemon.images.size, daemon.contents.size]).toEqual([0, 0]);
    return error instanceof Error ? error.message : "it was taken";
  }

  /** The files of an image's layers, one of them another. */
  const filesWith = (image: Sample, which: number, instead: LayerFile) =>
    image.layers.map((layer, index) => (index === which ? instead : fileOf(layer)));

  it.each([1, 2, 5])("is the same there, and nothing else is: of %i layers", async (layers) => {
    await expectGiven(sample("web", { layers }), await dockerDaemon());
  });

  it("may have no layer", async () => {
    await expectGiven(imageOf([]), await dockerDaemon());
  });

  it.each([0, 1, 511, 512, 513])("may have a lowest layer of any size: %i bytes", async (size) => {
    await expectGiven(imageOf([Buffer.alloc(size, "odd"), noise("other", 700)]), await dockerDaemon());
  });

  it("may have its lowest layer twice", async () => {
    const [one, other] = [noise("one", 700), noise("other", 700)];
    for (const layers of [
      [one, one],
      [one, other, one],
    ])
      await expectGiven(imageOf(layers), await dockerDaemon());
  });

  it("leaves each of its layers as soon as Docker has its bytes, the lowest before the others have come", async () => {
    const image = sample("web", { layers: 3 });
    const left: number[] = [];
    const lowest = Promise.withResolvers<void>();
    const late = lateFile(image.layers[2] ?? Buffer.alloc(0), lowest.promise);
    const parts = partsOf(image, filesWith(image, 2, late));
    const layers = parts.layers.map((layer, index) => ({
      ...layer,
      async leave() {
        left.push(index);
        if (index === 0) lowest.resolve();
        throw new Error("EBUSY: resource busy");
      },
    }));
    const daemon = await dockerDaemon();
    await loadIntoDaemon(daemon.engine, { ...parts, layers }, labels);
    expect([...daemon.images]).toEqual([[name, image.id]]);
    expect([left[0], new Set(left)]).toEqual([0, new Set([0, 1, 2])]);
  });

  it("leaves other images alone, also those that have its lowest layer", async () => {
    const daemon = await dockerDaemon();
    const image = sample("web");
    const theirs = imageOf(image.layers.slice(0, 1));
    daemon.contents.set(theirs.id, theirs);
    daemon.images.set("theirs:1", theirs.id);
    await loadIntoDaemon(daemon.engine, partsOf(image), labels);
    expect(Object.fromEntries(daemon.images)).toEqual({ "theirs:1": theirs.id, [name]: image.id });
    expect([...daemon.contents.keys()]).toEqual([theirs.id, image.id]);
  });

  it("is unpacked from its lowest layer on while the others come", async () => {
    const daemon = await dockerDaemon();
    const image = sample("web", { layers: 3 });
    const made = Promise.withResolvers<void>();
    const { import: make } = daemon;
    daemon.import = async (...layer) => {
      const said = await make(...layer);
      made.resolve();
      return said;
    };
    const late = lateFile(image.layers[1] ?? Buffer.alloc(0), made.promise);
    await expectGiven(image, daemon, filesWith(image, 1, late));
  });

  it.each([0, 1, 2])("is not there where one of its layers does not come: %i", async (index) => {
    const image = sample("web", { layers: 3 });
    const files = filesWith(image, index, missingFile());
    expect(await refusal(image, await dockerDaemon(), files)).toBe("the layer sha256:aa: miss");
  });

  it.each([
    { which: 0, why: /^its first layer is sha256:[0-9a-f]{64}, not sha256:[0-9a-f]{64}$/ },
    { which: 1, why: /^invalid diffID for layer 1: / },
  ])("is not there where a layer is another one: $which", async ({ which, why }) => {
    const image = sample("web", { layers: 3 });
    const evil = fileOf(noise("evil", 700));
    expect(await refusal(image, await dockerDaemon(), filesWith(image, which, evil))).toMatch(why);
  });

  it.each(["POST /images/create", "POST /images/load"])(
    "is not there where the daemon refuses: %s",
    async (refused) => {
      const daemon = await dockerDaemon();
      daemon.refuse = (call) =>
        call === refused ? { status: 500, message: "the daemon is in maintenance" } : undefined;
      const why = await refusal(sample("web", { layers: 3 }), daemon);
      expect(why).toContain("the daemon is in maintenance");
    },
  );

  it.each(["import", "load"] as const)("is not there where the daemon cannot make it: %s", async (call) => {
    const daemon = await dockerDaemon();
    daemon[call] = async () => '{"error":"no space left on device"}\r\n';
    expect(await refusal(sample("web", { layers: 3 }), daemon)).toBe("no space left on device");
  });

  it("is not there either where that turns out when the daemon has its lowest layer, and is yet to say so", async () => {
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
