import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InvalidArchiveError } from "../../../src/archive/errors.ts";
import { mergeImages, planNodeLoad, type SourceImage } from "../../../src/images/load/plan-node.ts";
import type { NodeInventory } from "../../../src/node/containerd/client.ts";

const digest = (name: string) => `sha256:${Buffer.from(name).toString("hex").padStart(64, "0").slice(-64)}`;
const megabytes = 1_000_000;

/** A layer of some megabytes, by its name. */
const layer = (name: string, size = 1) => ({
  digest: digest(name),
  size: size * megabytes,
  mediaType: "",
  offset: 0,
});

/** An image of layers, in an archive of its own. */
const image = (
  name: string,
  layers: readonly (Omit<ReturnType<typeof layer>, "offset"> & { offset: number | undefined })[] = [],
  names: readonly string[] = [`docker.io/library/${name}`],
) => ({
  names,
  id: digest(`id of ${name}`),
  from: `${name}.tar`,
  content: {
    file: `/archives/${name}.tar`,
    target: { digest: digest(`manifest of ${name}`), size: 1, mediaType: "" },
    manifests: [],
    layers,
  },
});

const has = (more: Partial<NodeInventory> = {}): NodeInventory => ({
  idByName: new Map(),
  imageIds: new Set(),
  preloadedIds: new Set(),
  blobDigests: new Set(),
  ...more,
});

/** A node that has images under these names, with their blobs. */
const hasImages = (images: readonly SourceImage[]): NodeInventory =>
  has({
    idByName: new Map(images.flatMap(({ names, id }) => names.map((name) => [name, id]))),
    imageIds: new Set(images.map(({ id }) => id)),
    blobDigests: new Set(
      images.flatMap(({ content }) => content?.layers ?? []).map(({ digest: each }) => each),
    ),
  });

const namesOf = (blobs: readonly { digest: string }[]) => blobs.map(({ digest: each }) => each);

describe("planNodeLoad", () => {
  const web = image("web:1", [layer("base"), layer("app")]);

  it("imports everything into a node that has nothing", () => {
    const plan = planNodeLoad([web], has(), false);
    expect(plan.import).toEqual([web]);
    expect(plan.upload).toEqual([
      { digest: digest("base"), size: megabytes, offset: 0, file: "/archives/web:1.tar" },
      { digest: digest("app"), size: megabytes, offset: 0, file: "/archives/web:1.tar" },
    ]);
    expect(plan).toMatchObject({ present: [], retag: [], hardlink: [] });
  });

  it("imports only the layers that a node lacks", () => {
    const plan = planNodeLoad([web], has({ blobDigests: new Set([digest("base")]) }), false);
    expect(namesOf(plan.upload)).toEqual([digest("app")]);
  });

  it("imports nothing into a node that has the image under its name", () => {
    expect(planNodeLoad([web], hasImages([web]), true)).toEqual({
      present: [web],
      retag: [],
      import: [],
      hardlink: [],
      upload: [],
    });
  });

  it("imports a layer that a node has lost", () => {
    const inventory = { ...hasImages([web]), blobDigests: new Set([digest("base")]) };
    const plan = planNodeLoad([web], inventory, true);
    expect(plan.import).toEqual([web]);
    expect(namesOf(plan.upload)).toEqual([digest("app")]);
    // The layers of an image of the node image may only exist unpacked.
    expect(planNodeLoad([web], { ...inventory, preloadedIds: new Set([web.id]) }, true).present).toEqual([
      web,
    ]);
  });

  it("only adds a name in a node that has the image under another name", () => {
    const present = { ...web, names: ["docker.io/library/old:1"] };
    expect(planNodeLoad([web], hasImages([present]), true)).toMatchObject({
      present: [],
      retag: [{ image: web, names: web.names }],
      import: [],
      upload: [],
    });
  });

  it("adds only names that the node lacks, or has for another image", () => {
    const [lacking, moved] = ["docker.io/library/web:lacking", "docker.io/library/web:moved"];
    const all = { ...web, names: [...web.names, lacking, moved] };
    const other = image("other:1", [], [moved]);
    const { retag } = planNodeLoad([all], hasImages([web, other]), false);
    expect(retag).toEqual([{ image: all, names: [lacking, moved] }]);
  });

  it("imports layers that images share once", () => {
    const api = image("api:1", [layer("base"), layer("more")]);
    const plan = planNodeLoad([web, api], has(), false);
    expect(namesOf(plan.upload)).toEqual([digest("base"), digest("app"), digest("more")]);
  });

  it("rejects an image that would replace one of the node image", () => {
    const name = "registry.k8s.io/kube-apiserver:v1.34.11";
    const own = image("own", [], [name]);
    const inventory = { ...hasImages([own]), preloadedIds: new Set([own.id]) };
    const replace = () =>
      planNodeLoad([{ ...web, names: ["docker.io/library/web:1", name] }], inventory, true);
    expect(replace).toThrow(InvalidArchiveError);
    expect(replace).toThrow(
      `web:1.tar: it would replace ${name}, which is part of the node image and which the cluster itself runs. ` +
        "Give the image another name. For another Kubernetes version, use another node image.",
    );
    // The same image may be loaded again, also under another name.
    expect(planNodeLoad([own], inventory, true).present).toEqual([own]);
    const renamed = { ...own, names: ["docker.io/library/mine:1"] };
    expect(planNodeLoad([renamed], inventory, true).retag).toEqual([
      { image: renamed, names: renamed.names },
    ]);
  });

  it("replaces another image of the user", () => {
    const old = image("old", [], web.names);
    expect(planNodeLoad([web], hasImages([old]), false).import).toEqual([web]);
  });

  it("rejects an image with a layer that neither the node nor the archive has", () => {
    const partial = image("web:1", [layer("base"), { ...layer("app"), offset: undefined }]);
    expect(() => planNodeLoad([partial], has(), false)).toThrow(
      `web:1.tar: layer ${digest("app")} of docker.io/library/web:1 is neither in the archive nor in the node. ` +
        "Save the image again; with Docker's containerd image store, use `docker save --platform`.",
    );
    const plan = planNodeLoad([partial], has({ blobDigests: new Set([digest("app")]) }), false);
    expect(namesOf(plan.upload)).toEqual([digest("base")]);
  });

  it("imports a layer that one archive lacks from another, in any order", () => {
    const partial = image("web:1", [{ ...layer("base"), offset: undefined }]);
    const whole = image("api:1", [layer("base")]);
    const blob = { digest: digest("base"), size: megabytes, offset: 0, file: "/archives/api:1.tar" };
    expect(planNodeLoad([whole, partial], has(), false).upload).toEqual([blob]);
    expect(planNodeLoad([partial, whole], has(), false).upload).toEqual([blob]);
  });

  it("rejects an image without content that the node lacks", () => {
    expect(() => planNodeLoad([{ ...web, content: undefined }], has(), false)).toThrow("web:1.tar");
    expect(planNodeLoad([{ ...web, content: undefined }], hasImages([web]), false).present).toHaveLength(1);
  });
});

describe("planNodeLoad with hard links", () => {
  const plan = (sizes: readonly number[], canLink = true) => {
    const layers = sizes.map((size, index) => layer(`${index}`, size));
    const { hardlink, upload } = planNodeLoad([image("web:1", layers)], has(), canLink);
    const megabytesOf = (blobs: typeof hardlink) => blobs.map(({ size }) => size / megabytes);
    return { hardlink: megabytesOf(hardlink), upload: megabytesOf(upload) };
  };

  it("links large blobs if their total is large", () => {
    expect(plan([40, 1, 5, 0.1])).toEqual({ hardlink: [40, 5], upload: [1, 0.1] });
    expect(plan([8, 8, 8, 8])).toEqual({ hardlink: [8, 8, 8, 8], upload: [] });
  });

  it("links nothing if the total is small: the helper container would cost more", () => {
    expect(plan([5, 5])).toEqual({ hardlink: [], upload: [5, 5] });
    expect(plan(Array.from({ length: 40 }, () => 1)).hardlink).toEqual([]);
  });

  it("links nothing if links are impossible", () => {
    expect(plan([40, 1], false)).toEqual({ hardlink: [], upload: [40, 1] });
  });
});

describe("planNodeLoad of any images and any node", () => {
  const layerNames = ["a", "b", "c", "d", "e"];
  const imageNames = ["u", "v", "w", "x", "y"];
  const layers = fc.subarray(layerNames).map((names) =>
    // Some large, some small.
    names.map((name) => layer(name, name < "c" ? 20 : 1)),
  );
  const images = fc
    .uniqueArray(
      fc.tuple(fc.constantFrom("1", "2", "3", "4"), layers, fc.subarray(imageNames, { minLength: 1 })),
      {
        selector: ([id]) => id,
      },
    )
    .map((drawn) => {
      const taken = new Set<string>();
      return drawn.flatMap(([id, content, candidates]) => {
        const names = candidates.filter((name) => !taken.has(name));
        for (const name of names) taken.add(name);
        return names.length === 0 ? [] : [image(id, content, names)];
      });
    });
  /** Names of the node's images: some that are loaded, some others, some of the node image. */
  const inventory = fc.record({
    names: fc.dictionary(
      fc.constantFrom(...imageNames, "other"),
      fc.constantFrom("1", "2", "3", "other", "own"),
    ),
    content: fc.subarray(layerNames),
    own: fc.subarray(["own", "1"]),
  });

  it("imports exactly the blobs and names that the node lacks, each once", () => {
    let refused = 0;
    fc.assert(
      fc.property(images, inventory, fc.boolean(), (sources, drawn, canLink) => {
        const idOf = (name: string) => digest(`id of ${name}`);
        const node = has({
          idByName: new Map(Object.entries(drawn.names).map(([name, id]) => [name, idOf(id)])),
          imageIds: new Set(Object.values(drawn.names).map(idOf)),
          preloadedIds: new Set(drawn.own.map(idOf)),
          blobDigests: new Set(drawn.content.map(digest)),
        });
        const replaced = sources.some(({ names, id }) =>
          names.some((name) => {
            const before = node.idByName.get(name);
            return before !== undefined && before !== id && node.preloadedIds.has(before);
          }),
        );
        if (replaced) {
          refused++;
          expect(() => planNodeLoad(sources, node, canLink)).toThrow(InvalidArchiveError);
          return;
        }
        const { present, retag, import: imported, hardlink, upload } = planNodeLoad(sources, node, canLink);
        // Every image is in one of the three.
        const planned = [...present, ...retag.map((each) => each.image), ...imported];
        expect(planned.map(({ id }) => id).toSorted()).toEqual(sources.map(({ id }) => id).toSorted());
        for (const { id, content } of imported) {
          const whole = content.layers.every((each) => node.blobDigests.has(each.digest));
          expect(node.imageIds.has(id) && (whole || node.preloadedIds.has(id))).toBe(false);
        }
        // Afterwards every name is right, and no other has changed.
        const after = new Map(node.idByName);
        for (const { names, id } of imported) for (const name of names) after.set(name, id);
        for (const {
          image: { id },
          names,
        } of retag)
          for (const name of names) after.set(name, id);
        const right = new Map(node.idByName);
        for (const { names, id } of sources) for (const name of names) right.set(name, id);
        expect(after).toEqual(right);
        // Exactly the missing blobs are imported, each once, by either method.
        const missing = imported
          .flatMap(({ content }) => content.layers.map((each) => each.digest))
          .filter((each) => !node.blobDigests.has(each));
        expect(namesOf([...hardlink, ...upload]).toSorted()).toEqual([...new Set(missing)].toSorted());
        if (!canLink) expect(hardlink).toEqual([]);
      }),
      { numRuns: 300 },
    );
    // Otherwise images of the node image were not covered.
    expect(refused).toBeGreaterThan(10);
  });
});

describe("mergeImages", () => {
  const web = image("web:1", [layer("a")]);

  it("returns the images of all archives in their order", () => {
    const api = image("api:1", [layer("b")]);
    expect(mergeImages([web, api])).toEqual([web, api]);
  });

  it("returns each image once, with all its names", () => {
    const again = {
      ...web,
      names: ["docker.io/library/web:1", "docker.io/library/web:latest"],
      from: "again.tar",
    };
    const [merged, ...others] = mergeImages([web, again]);
    expect(others).toEqual([]);
    expect(merged).toEqual({
      ...web,
      names: ["docker.io/library/web:1", "docker.io/library/web:latest"],
    });
  });

  it("rejects two images of one name", () => {
    const other = { ...image("other", [layer("b")], web.names), from: "other.tar" };
    expect(() => mergeImages([web, other])).toThrow(InvalidArchiveError);
    expect(() => mergeImages([web, other])).toThrow(
      "other.tar: its docker.io/library/web:1 differs from the image of that name in web:1.tar, and a node can have only one of them. " +
        "Load one of the two, or give them different tags.",
    );
  });

  it("merges an image of the daemon with the same image in an archive", () => {
    const known = { ...web, names: ["docker.io/library/web:dev"], from: "web:dev", content: undefined };
    expect(mergeImages([web, known])).toEqual([
      { ...web, names: ["docker.io/library/web:1", "docker.io/library/web:dev"] },
    ]);
  });
});
