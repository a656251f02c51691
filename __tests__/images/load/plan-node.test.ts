import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InvalidArchiveError } from "../../../src/archive/read-archive.ts";
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

describe("a node", () => {
  const web = image("web:1", [layer("base"), layer("app")]);

  it("that has nothing is brought everything", () => {
    const plan = planNodeLoad([web], has(), false);
    expect(plan.import).toEqual([web]);
    expect(plan.upload).toEqual([
      { digest: digest("base"), size: megabytes, offset: 0, file: "/archives/web:1.tar" },
      { digest: digest("app"), size: megabytes, offset: 0, file: "/archives/web:1.tar" },
    ]);
    expect(plan).toMatchObject({ present: [], retag: [], link: [] });
  });

  it("that has some layers is brought the others", () => {
    const plan = planNodeLoad([web], has({ blobDigests: new Set([digest("base")]) }), false);
    expect(namesOf(plan.upload)).toEqual([digest("app")]);
  });

  it("that has the image under its name is brought nothing", () => {
    expect(planNodeLoad([web], hasImages([web]), true)).toEqual({
      present: [web],
      retag: [],
      bring: [],
      link: [],
      send: [],
    });
  });

  it("that has lost a layer of the image is brought that", () => {
    const inventory = { ...hasImages([web]), content: new Set([digest("base")]) };
    const { import: bring, upload: send } = planNodeLoad([web], inventory, true);
    expect(bring).toEqual([web]);
    expect(namesOf(send)).toEqual([digest("app")]);
    // What the node image brought is as it is: its layers may be there unpacked alone.
    expect(planNodeLoad([web], { ...inventory, preloadedIds: new Set([web.id]) }, true).present).toEqual([
      web,
    ]);
  });

  it("that has the image under another name is told the name alone", () => {
    const there = { ...web, names: ["docker.io/library/old:1"] };
    expect(planNodeLoad([web], hasImages([there]), true)).toMatchObject({
      present: [],
      retag: [{ image: web, names: web.names }],
      bring: [],
      send: [],
    });
  });

  it("is told those names alone that it lacks, or has for another image", () => {
    const [lacking, moved] = ["docker.io/library/web:lacking", "docker.io/library/web:moved"];
    const all = { ...web, names: [...web.names, lacking, moved] };
    const other = image("other:1", [], [moved]);
    const { retag } = planNodeLoad([all], hasImages([web, other]), false);
    expect(retag).toEqual([{ image: all, names: [lacking, moved] }]);
  });

  it("gets what images share once", () => {
    const api = image("api:1", [layer("base"), layer("more")]);
    const plan = planNodeLoad([web, api], has(), false);
    expect(namesOf(plan.upload)).toEqual([digest("base"), digest("app"), digest("more")]);
  });

  it("keeps what it runs itself: nothing takes the name of an image that the node image brought", () => {
    const name = "registry.k8s.io/kube-apiserver:v1.34.11";
    const own = image("own", [], [name]);
    const inventory = { ...hasImages([own]), own: new Set([own.id]) };
    const replace = () =>
      planNodeLoad([{ ...web, names: ["docker.io/library/web:1", name] }], inventory, true);
    expect(replace).toThrow(InvalidArchiveError);
    expect(replace).toThrow(
      `web:1.tar cannot be loaded: it would replace ${name}, which the node image brought and the cluster itself runs. ` +
        "Give the image another name; for another Kubernetes, take another node image.",
    );
    // The same image may be loaded again, also under another name.
    expect(planNodeLoad([own], inventory, true).present).toEqual([own]);
    const renamed = { ...own, names: ["docker.io/library/mine:1"] };
    expect(planNodeLoad([renamed], inventory, true).retag).toEqual([
      { image: renamed, names: renamed.names },
    ]);
  });

  it("gets a new image under a name that another image of the user's has", () => {
    const old = image("old", [], web.names);
    expect(planNodeLoad([web], hasImages([old]), false).import).toEqual([web]);
  });

  it("cannot have a layer that neither it nor the archive holds", () => {
    const partial = image("web:1", [layer("base"), { ...layer("app"), offset: undefined }]);
    expect(() => planNodeLoad([partial], has(), false)).toThrow(
      `web:1.tar cannot be loaded: it does not hold the layer ${digest("app")} of docker.io/library/web:1, and neither does a node. ` +
        "Save the image again: with Docker's containerd image store, by `docker save --platform`.",
    );
    const plan = planNodeLoad([partial], has({ blobDigests: new Set([digest("app")]) }), false);
    expect(namesOf(plan.upload)).toEqual([digest("base")]);
  });

  it("gets a layer from one archive that another lacks, whichever was named first", () => {
    const partial = image("web:1", [{ ...layer("base"), offset: undefined }]);
    const whole = image("api:1", [layer("base")]);
    const blob = { digest: digest("base"), size: megabytes, offset: 0, file: "/archives/api:1.tar" };
    expect(planNodeLoad([whole, partial], has(), false).upload).toEqual([blob]);
    expect(planNodeLoad([partial, whole], has(), false).upload).toEqual([blob]);
  });

  it("cannot be brought an image of which only the name is known", () => {
    expect(() => planNodeLoad([{ ...web, content: undefined }], has(), false)).toThrow("web:1.tar");
    expect(planNodeLoad([{ ...web, content: undefined }], hasImages([web]), false).present).toHaveLength(1);
  });
});

describe("what is linked rather than sent", () => {
  const plan = (sizes: readonly number[], canLink = true) => {
    const layers = sizes.map((size, index) => layer(`${index}`, size));
    const { hardlink: link, upload: send } = planNodeLoad([image("web:1", layers)], has(), canLink);
    const megabytesOf = (blobs: typeof link) => blobs.map(({ size }) => size / megabytes);
    return { link: megabytesOf(link), send: megabytesOf(send) };
  };

  it("are large blobs, where they are much together", () => {
    expect(plan([40, 1, 5, 0.1])).toEqual({ link: [40, 5], send: [1, 0.1] });
    expect(plan([8, 8, 8, 8])).toEqual({ link: [8, 8, 8, 8], send: [] });
  });

  it("is nothing where little is missing: a container for it would cost more", () => {
    expect(plan([5, 5])).toEqual({ link: [], send: [5, 5] });
    expect(plan(Array.from({ length: 40 }, () => 1)).link).toEqual([]);
  });

  it("is nothing where links are impossible", () => {
    expect(plan([40, 1], false)).toEqual({ link: [], send: [40, 1] });
  });
});

describe("any images and any node", () => {
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
      return drawn.flatMap(([id, content, wanted]) => {
        const names = wanted.filter((name) => !taken.has(name));
        for (const name of names) taken.add(name);
        return names.length === 0 ? [] : [image(id, content, names)];
      });
    });
  /** Names of the node's images: some that are loaded, some others, some of the cluster's own. */
  const inventory = fc.record({
    names: fc.dictionary(
      fc.constantFrom(...imageNames, "other"),
      fc.constantFrom("1", "2", "3", "other", "own"),
    ),
    content: fc.subarray(layerNames),
    own: fc.subarray(["own", "1"]),
  });

  it("are planned so that the node has all of them, each part once, and nothing that it had", () => {
    let refused = 0;
    fc.assert(
      fc.property(images, inventory, fc.boolean(), (wanted, drawn, canLink) => {
        const idOf = (name: string) => digest(`id of ${name}`);
        const node = has({
          idByName: new Map(Object.entries(drawn.names).map(([name, id]) => [name, idOf(id)])),
          imageIds: new Set(Object.values(drawn.names).map(idOf)),
          preloadedIds: new Set(drawn.own.map(idOf)),
          blobDigests: new Set(drawn.content.map(digest)),
        });
        const replaced = wanted.some(({ names, id }) =>
          names.some((name) => {
            const before = node.idByName.get(name);
            return before !== undefined && before !== id && node.preloadedIds.has(before);
          }),
        );
        if (replaced) {
          refused++;
          expect(() => planNodeLoad(wanted, node, canLink)).toThrow(InvalidArchiveError);
          return;
        }
        const {
          present,
          retag,
          import: bring,
          hardlink: link,
          upload: send,
        } = planNodeLoad(wanted, node, canLink);
        // Every image is in one of the three.
        const planned = [...present, ...retag.map((each) => each.image), ...bring];
        expect(planned.map(({ id }) => id).toSorted()).toEqual(wanted.map(({ id }) => id).toSorted());
        for (const { id, content } of bring) {
          const whole = content.layers.every((each) => node.blobDigests.has(each.digest));
          expect(node.imageIds.has(id) && (whole || node.preloadedIds.has(id))).toBe(false);
        }
        // Afterwards every name is right, and no other has changed.
        const after = new Map(node.idByName);
        for (const { names, id } of bring) for (const name of names) after.set(name, id);
        for (const {
          image: { id },
          names,
        } of retag)
          for (const name of names) after.set(name, id);
        const right = new Map(node.idByName);
        for (const { names, id } of wanted) for (const name of names) right.set(name, id);
        expect(after).toEqual(right);
        // Just what is missing is brought, each blob once, either way.
        const missing = bring
          .flatMap(({ content }) => content.layers.map((each) => each.digest))
          .filter((each) => !node.blobDigests.has(each));
        expect(namesOf([...link, ...send]).toSorted()).toEqual([...new Set(missing)].toSorted());
        if (!canLink) expect(link).toEqual([]);
      }),
      { numRuns: 300 },
    );
    // Otherwise nothing was seen of images of the cluster's own.
    expect(refused).toBeGreaterThan(10);
  });
});

describe("the images of several archives", () => {
  const web = image("web:1", [layer("a")]);

  it("are one list, in their order", () => {
    const api = image("api:1", [layer("b")]);
    expect(mergeImages([web, api])).toEqual([web, api]);
  });

  it("are each there once, with all the names that the archives give it", () => {
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

  it("cannot be two of one name", () => {
    const other = { ...image("other", [layer("b")], web.names), from: "other.tar" };
    expect(() => mergeImages([web, other])).toThrow(InvalidArchiveError);
    expect(() => mergeImages([web, other])).toThrow(
      "other.tar cannot be loaded: its docker.io/library/web:1 is another image than that of web:1.tar, and a node has one of a name. " +
        "Load one of the two, or give them different tags.",
    );
  });

  it("may be an image of the daemon's that is in an archive, too", () => {
    const known = { ...web, names: ["docker.io/library/web:dev"], from: "web:dev", content: undefined };
    expect(mergeImages([web, known])).toEqual([
      { ...web, names: ["docker.io/library/web:1", "docker.io/library/web:dev"] },
    ]);
  });
});
