import { truncate } from "node:fs/promises";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import { Parser } from "tar";
import { describe, expect, it } from "vitest";
import type { BroughtImage } from "../../../src/images/transfer/node-plan.ts";
import { type ArchiveStream, ociLayout } from "../../../src/images/transfer/oci-layout.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";
import { blob, digestOf, imageOf, mediaTypes } from "../archives.ts";
import { noise } from "../tar-files.ts";
import { imageIn, layerOf } from "./source-images.ts";

/** The blobs of an image's layers, as they are in its archive. */
const blobsOf = ({ content: { file, layers } }: BroughtImage) =>
  layers.map(({ digest, size, offset = 0 }) => ({ digest, size, offset, file }));

/** The files of an archive, by name. */
async function filesOf(archive: ArchiveStream): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const reading: Promise<void>[] = [];
  const parser = new Parser({
    strict: true,
    onReadEntry: (entry) =>
      reading.push(
        entry.concat().then((bytes) => {
          expect(files.has(entry.path)).toBe(false);
          files.set(entry.path, Buffer.from(bytes));
        }),
      ),
  });
  const ended = new Promise((resolve, reject) => parser.on("end", resolve).on("error", reject));
  for await (const chunk of archive.read()) parser.write(Buffer.from(chunk));
  parser.end();
  await ended;
  await Promise.all(reading);
  return files;
}

const jsonIn = (files: ReadonlyMap<string, Buffer>, name: string): unknown =>
  JSON.parse(String(files.get(name)));

const pathOf = (digest: string) => `blobs/sha256/${digest.replace("sha256:", "")}`;

describe("an archive for containerd", () => {
  it("is an OCI layout that names each image, whole, by containerd's own annotation", async () => {
    const names = ["docker.io/library/web:1", "docker.io/library/web:latest"];
    const web = imageIn(temporaryFolder(), names, [noise("a", 2_000)]);
    const files = await filesOf(ociLayout([web], blobsOf(web)));
    expect(jsonIn(files, "oci-layout")).toEqual({ imageLayoutVersion: "1.0.0" });
    const { mediaType, digest, size } = web.content.target;
    expect(jsonIn(files, "index.json")).toMatchObject({
      schemaVersion: 2,
      manifests: expect.arrayContaining(
        names.map((name) => ({
          mediaType,
          digest,
          size,
          annotations: { "io.containerd.image.name": name },
        })),
      ),
    });
  });

  it("gives an OCI image its name by digest, too, for pods that ask for it by that", async () => {
    const web = imageIn(
      temporaryFolder(),
      ["localhost:5000/shop/web:1", "localhost:5000/shop/web:2"],
      [noise("a", 100)],
    );
    const files = await filesOf(ociLayout([web], []));
    const given = JSON.stringify(jsonIn(files, "index.json")).matchAll(/"io.containerd.image.name":"(.*?)"/g);
    expect([...given].map(([, name]) => name)).toEqual([
      "localhost:5000/shop/web:1",
      "localhost:5000/shop/web:2",
      `localhost:5000/shop/web@${web.content.target.digest}`,
    ]);
  });

  it("gives an image of Docker's format none: its manifest was made here, and is in no registry", async () => {
    const web = imageIn(temporaryFolder(), ["docker.io/library/web:1"], [noise("a", 100)]);
    const target = { ...web.content.target, mediaType: mediaTypes.dockerManifest };
    const files = await filesOf(ociLayout([{ ...web, content: { ...web.content, target } }], []));
    expect(jsonIn(files, "index.json")).toMatchObject({
      manifests: [{ mediaType: mediaTypes.dockerManifest }],
    });
  });

  it("brings the documents of all images, each once, and those blobs alone that it is to", async () => {
    const folder = temporaryFolder();
    const shared = noise("shared", 3_000);
    const web = imageIn(folder, ["docker.io/library/web:1"], [shared, noise("web", 1_000)]);
    const api = imageIn(folder, ["docker.io/library/api:1"], [shared, noise("api", 1_000)]);
    const same = { ...web, names: ["docker.io/library/same:1"] };
    const [, ofWeb] = blobsOf(web);
    if (ofWeb === undefined) throw new Error("it has two layers");
    const files = await filesOf(ociLayout([web, api, same], [ofWeb]));
    const documents = [web, api].flatMap(({ content }) => content.documents);
    expect([...files.keys()].toSorted()).toEqual(
      [
        "oci-layout",
        "index.json",
        pathOf(ofWeb.digest),
        ...documents.map(({ digest }) => pathOf(digest)),
      ].toSorted(),
    );
    for (const { digest, bytes } of documents) expect(files.get(pathOf(digest))).toEqual(bytes);
    expect(digestOf(files.get(pathOf(ofWeb.digest)) ?? Buffer.alloc(0))).toBe(ofWeb.digest);
  });

  it("may hold nothing", async () => {
    const files = await filesOf(ociLayout([], []));
    expect(jsonIn(files, "index.json")).toMatchObject({ manifests: [] });
  });

  it("can be read again from the start", async () => {
    const web = imageIn(temporaryFolder(), ["docker.io/library/web:1"], [noise("a", 2_000)]);
    const archive = ociLayout([web], blobsOf(web));
    expect(
      (await buffer(Readable.from(archive.read()))).equals(await buffer(Readable.from(archive.read()))),
    ).toBe(true);
  });

  it("is as long as it says, and a tar with every document and every blob in it, whatever their sizes", async () => {
    const folder = temporaryFolder();
    // Around a tar's blocks, and around what is read at once.
    const size = fc.oneof(fc.nat(1_100), fc.constantFrom(511, 512, 513, 1_048_575, 1_048_576, 1_048_577));
    const layers = fc.array(size, { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(fc.array(layers, { maxLength: 3 }), async (images) => {
        const brought = images.map((sizes, index) =>
          imageIn(
            folder,
            [`docker.io/library/image:${index}`],
            sizes.map((bytes, at) => layerOf(`${index}/${at}`, bytes)),
          ),
        );
        const blobs = [...new Map(brought.flatMap(blobsOf).map((each) => [each.digest, each])).values()];
        const archive = ociLayout(brought, blobs);
        expect((await buffer(Readable.from(archive.read()))).length).toBe(archive.bytes);
        const files = await filesOf(archive);
        const wanted = [...blobs, ...brought.flatMap(({ content }) => content.documents)];
        for (const { digest } of wanted)
          expect(digestOf(files.get(pathOf(digest)) ?? Buffer.from("?"))).toBe(digest);
        expect(files.size).toBe(new Set(wanted.map(({ digest }) => digest)).size + 2);
      }),
      { numRuns: 30 },
    );
  });

  it("fails when a file has become shorter since its index was read, rather than to send something else", async () => {
    const web = imageIn(temporaryFolder(), ["docker.io/library/web:1"], [noise("a", 5_000)]);
    const archive = ociLayout([web], blobsOf(web));
    await truncate(web.content.file, 3_000);
    await expect(buffer(Readable.from(archive.read()))).rejects.toThrow(
      `${web.content.file} became shorter while it was loaded.`,
    );
  });

  it("names an index where an image is one", async () => {
    const web = imageIn(temporaryFolder(), ["docker.io/library/web:1"], [noise("a", 100)]);
    const [manifest] = web.content.documents;
    if (manifest === undefined) throw new Error("it has a manifest");
    const { mediaType, digest, size } = manifest;
    const index = blob({ schemaVersion: 2, manifests: [{ mediaType, digest, size }] }, mediaTypes.index);
    const content = {
      ...web.content,
      target: index.descriptor,
      documents: [{ ...index.descriptor, bytes: index.content }, ...web.content.documents],
    };
    const files = await filesOf(ociLayout([{ ...web, content }], []));
    expect(jsonIn(files, "index.json")).toMatchObject({ manifests: [index.descriptor, {}] });
    expect(files.has(pathOf(index.descriptor.digest))).toBe(true);
    expect(files.has(pathOf(imageOf([noise("a", 100)]).id))).toBe(true);
  });
});
