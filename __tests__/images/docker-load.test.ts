import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { beforeEach, describe, expect, it } from "vitest";
import { dockerArchive } from "../../src/images/docker-load.ts";
import { membersOf } from "../fixtures/tar-members.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { digestOf, imageOf, type Sample, sample } from "./archives.ts";
import { expected, read, shown } from "./reading.ts";
import { noise } from "./tar-files.ts";

const name = "kind-action/restored:0123456789abcdef";
const hex = (digest: string) => digest.replace("sha256:", "");

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

/** A layer's file, as the cache lays it out. */
function fileOf(layer: Buffer): string {
  const path = join(folder, hex(digestOf(layer)));
  writeFileSync(path, layer);
  return path;
}

/** An image as parts, the files of its layers there already unless a test brings them itself. */
const partsOf = ({ config, id, layers }: Sample, files: Promise<string>[] = []) => ({
  config: config.toString(),
  id: hex(id),
  name,
  layers: layers.map((layer, index) => ({
    diffId: hex(digestOf(layer)),
    file: files[index] ?? Promise.resolve(fileOf(layer)),
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
    const archive = await buffer(dockerArchive(partsOf(image)));
    expect(shown(await read(archive))).toEqual([
      expected(image, ["docker.io/kind-action/restored:0123456789abcdef"]),
    ]);
  });

  it("is a tar that a strict reader takes: config, layers, and the list of them, to the byte", async () => {
    const image = sample("web", { layers: 2 });
    const members = await membersOf(await buffer(dockerArchive(partsOf(image))));
    const paths = image.layers.map((layer) => `${hex(digestOf(layer))}/layer.tar`);
    const list = [{ Config: `${hex(image.id)}.json`, RepoTags: [name], Layers: paths }];
    expect(members.map((member) => [member.name, member.content.toString("latin1")])).toEqual([
      [`${hex(image.id)}.json`, image.config.toString("latin1")],
      ...image.layers.map((layer, index) => [paths[index], layer.toString("latin1")]),
      ["manifest.json", JSON.stringify(list)],
    ]);
  });

  it("ends as a tar does, so that nobody waits for more", async () => {
    const archive = await buffer(dockerArchive(partsOf(sample("web"))));
    expect(archive.length % 512).toBe(0);
    expect(archive.subarray(-1024).equals(Buffer.alloc(1024))).toBe(true);
  });

  it.each([0, 1, 511, 512, 513, 1_000_003, 3 * 1024 ** 2])(
    "has layers of any size: %i bytes",
    async (size) => {
      const layer = Buffer.alloc(size, "0123456789abc");
      const members = await membersOf(
        await buffer(dockerArchive(partsOf(imageOf([layer, noise("other", 700)])))),
      );
      const path = `${hex(digestOf(layer))}/layer.tar`;
      expect(members.find((member) => member.name === path)?.content.equals(layer)).toBe(true);
    },
  );

  it("may have no layer at all", async () => {
    const image = imageOf([]);
    const archive = await buffer(dockerArchive(partsOf(image)));
    expect((await membersOf(archive)).map((member) => member.name)).toEqual([
      `${hex(image.id)}.json`,
      "manifest.json",
    ]);
  });

  it("has a config that is not ASCII alone", async () => {
    const config = JSON.stringify({ author: "Jürgen – 日本", rootfs: { type: "layers", diff_ids: [] } });
    const id = hex(digestOf(Buffer.from(config)));
    const [first] = await membersOf(await buffer(dockerArchive({ config, id, name, layers: [] })));
    expect(first?.content.toString()).toBe(config);
  });
});

describe("the layers of an archive that is being made", () => {
  it("go into it as they come, and lie on each other as the config has it", async () => {
    const image = sample("late", { layers: 3 });
    const files = image.layers.map(() => Promise.withResolvers<string>());
    const parts = partsOf(
      image,
      files.map(({ promise }) => promise),
    );
    const made = dockerArchive(parts);
    const ended = once(made, "end");
    const chunks: Buffer[] = [];
    made.on("data", (chunk: Buffer) => chunks.push(chunk));
    const order = [2, 0, 1];
    for (const index of order) {
      const layer = image.layers[index] ?? Buffer.alloc(0);
      files[index]?.resolve(fileOf(layer));
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
    const archive = await buffer(dockerArchive(partsOf(image)));
    expect(await layersIn(archive)).toEqual([one, other].map((layer) => hex(digestOf(layer))));
    expect(shown(await read(archive))).toEqual([expected(image, [`docker.io/${name}`])]);
  });

  it("end it with an error when one does not come, though others still may", async () => {
    const image = sample("broken", { layers: 3 });
    const failed = Promise.reject(new Error("the layer sha256:aa: miss"));
    const never = new Promise<string>(() => {});
    const parts = partsOf(image, [
      Promise.resolve(fileOf(image.layers[0] ?? Buffer.alloc(0))),
      failed,
      never,
    ]);
    await expect(buffer(dockerArchive(parts))).rejects.toThrow("the layer sha256:aa: miss");
  });

  it("end it with an error when a file is gone before it is read", async () => {
    const parts = partsOf(sample("gone", { layers: 1 }), [Promise.resolve(join(folder, "gone"))]);
    await expect(buffer(dockerArchive(parts))).rejects.toThrow("ENOENT");
  });
});
