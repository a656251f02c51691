import { createReadStream, writeFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import {
  hasImages,
  type LoadPlan,
  type LoadTarget,
  loadImages,
} from "../../../src/images/load/load-images.ts";
import { ProgramError, type RunProgram } from "../../../src/lib/subprocess.ts";
import { type ConnectedNode, NodeSessions } from "../../../src/node/sessions.ts";
import { dockerSaveNew, ociImage, type Sample, type Saved, sample } from "../../archive/archives.ts";
import { tar } from "../../archive/tar-files.ts";
import { type Machine, machine } from "../../fixtures/machine.ts";
import { recordingLog } from "../../fixtures/recording.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";

const amd64 = { os: "linux", architecture: "amd64" };

/** An archive in a folder, as `docker save` writes it. */
async function archive(folder: string, name: string, saved: readonly Saved[]) {
  const bytes = tar(dockerSaveNew(saved));
  const path = join(folder, name);
  await writeFile(path, name.endsWith(".gz") ? gzipSync(bytes) : bytes);
  return { path, bytes: bytes.length };
}

/** An image as a node has it. */
function stored(image: Sample) {
  const { manifest, blobs } = ociImage(image, "none");
  return {
    target: manifest.descriptor.digest,
    blobs: new Map(blobs.map(({ descriptor, content }) => [descriptor.digest, content])),
  };
}

/** The IDs of an image in the nodes. */
const idsOf = ({ nodes }: Machine, name: string) => nodes.map(({ containerd }) => containerd.idOf(name));

const noCli: RunProgram = async (program, args) => {
  const output = { exitCode: 1, stdout: "", stderr: "pull access denied" };
  throw new ProgramError(program, args, output, "failed with exit code 1");
};

/** Loads images into all nodes of a machine, and closes the sessions with them afterwards. */
async function load(to: Machine, plan: Partial<LoadPlan>, { nodes, ...target }: Partial<LoadTarget> = {}) {
  const { engine } = to.daemon;
  const log = recordingLog();
  const sessions = new NodeSessions(engine, "shop");
  const outcome = loadImages(
    { archives: [], images: [], folder: join(temporaryFolder(), "images"), ...plan },
    {
      platform: amd64,
      nodes: nodes ?? sessions.waitFor([], 5_000),
      into: to.nodes.map(({ name }) => name),
      startTimeoutMs: 300_000,
      alwaysPulls: false,
      ...target,
    },
    { engine, runProgram: noCli, labels: {} },
    log,
  ).finally(() => sessions.close());
  outcome.catch(() => {});
  return { outcome, log };
}

const twoNodes = ["shop-control-plane", "shop-worker"];

describe("loadImages", () => {
  it("loads the images of several archives into all nodes, uncompressed and compressed ones", async () => {
    const to = await machine(twoNodes);
    const folder = temporaryFolder();
    const [web, api] = [sample("web"), sample("api")];
    const archives = [
      await archive(folder, "web.tar", [{ image: web, tags: ["web:1", "web:dev"] }]),
      await archive(folder, "api.tar.gz", [{ image: api, tags: ["api:1"] }]),
    ];
    const { outcome, log } = await load(to, { archives });
    const seconds = expect.any(Number);
    expect(await outcome).toEqual([
      {
        names: ["docker.io/library/web:1", "docker.io/library/web:dev"],
        id: web.id,
        outcome: "loaded",
        nodes: twoNodes,
        bytes: web.layers.reduce((sum, layer) => sum + layer.length, 0),
        seconds,
      },
      {
        names: ["docker.io/library/api:1"],
        id: api.id,
        outcome: "loaded",
        nodes: twoNodes,
        bytes: api.layers.reduce((sum, layer) => sum + layer.length, 0),
        seconds,
      },
    ]);
    expect(idsOf(to, "docker.io/library/web:dev")).toEqual([web.id, web.id]);
    expect(idsOf(to, "docker.io/library/api:1")).toEqual([api.id, api.id]);
    expect(log.lines).toEqual([
      expect.stringMatching(
        /^docker.io\/library\/web:1, docker.io\/library\/web:dev: loaded into shop-control-plane, shop-worker, \d+\.\d kB, \d+\.\d s$/,
      ),
      expect.stringMatching(/^docker.io\/library\/api:1: loaded into shop-control-plane, shop-worker, /),
    ]);
  });

  it("leaves no program in a node once the sessions are closed", async () => {
    const to = await machine(twoNodes);
    const archives = [
      await archive(temporaryFolder(), "web.tar", [{ image: sample("web"), tags: ["web:1"] }]),
    ];
    const { outcome } = await load(to, { archives });
    await outcome;
    await to.idle();
  });

  it("reads archives while the nodes are starting", async () => {
    const to = await machine(twoNodes);
    const archives = [
      await archive(temporaryFolder(), "web.tar", [{ image: sample("web"), tags: ["web:1"] }]),
    ];
    const sessions = new NodeSessions(to.daemon.engine, "shop");
    const nodes = Promise.withResolvers<readonly ConnectedNode[]>();
    const { outcome } = await load(to, { archives }, { nodes: nodes.promise });
    nodes.resolve(await sessions.waitFor(twoNodes, 5_000));
    expect(await outcome).toMatchObject([{ outcome: "loaded" }]);
    sessions.close();
  });

  it("reports images that the nodes had, and those that got another name", async () => {
    const to = await machine(twoNodes);
    const [web, api] = [sample("web"), sample("api")];
    for (const { containerd } of to.nodes) {
      containerd.store(stored(web), "docker.io/library/web:1");
      containerd.store(stored(api), "docker.io/library/api:dev");
    }
    const archives = [
      await archive(temporaryFolder(), "all.tar", [
        { image: web, tags: ["web:1"] },
        { image: api, tags: ["api:1"] },
      ]),
    ];
    const { outcome, log } = await load(to, { archives });
    expect((await outcome).map(({ outcome: result, bytes }) => [result, bytes])).toEqual([
      ["already there", 0],
      ["re-tagged", 0],
    ]);
    expect(log.lines).toEqual([
      "docker.io/library/web:1: already there in shop-control-plane, shop-worker",
      "docker.io/library/api:1: re-tagged in shop-control-plane, shop-worker",
    ]);
  });
});

describe("loadImages with selected nodes", () => {
  const web = async () => [
    await archive(temporaryFolder(), "web.tar", [{ image: sample("web"), tags: ["web:latest"] }]),
  ];

  it("loads images into these nodes alone", async () => {
    const to = await machine(twoNodes);
    const { outcome } = await load(to, { archives: await web() }, { into: ["shop-worker"] });
    expect(await outcome).toMatchObject([{ nodes: ["shop-worker"] }]);
    expect(idsOf(to, "docker.io/library/web:latest")).toEqual([undefined, sample("web").id]);
  });

  it.each([
    { cluster: ["shop-control-plane"], unpacks: "shop-control-plane" },
    { cluster: ["shop-control-plane", "shop-worker"], unpacks: "shop-worker" },
    { cluster: ["shop-control-plane", "shop-worker", "shop-worker2"], unpacks: undefined },
  ])("unpacks in $unpacks in a cluster of $cluster", async ({ cluster, unpacks }) => {
    const to = await machine(cluster);
    const { outcome } = await load(to, { archives: await web() });
    await outcome;
    await to.idle();
    const unpacking = to.nodes.filter(({ containerd }) => containerd.unpacked.length > 0);
    expect(unpacking.map(({ name }) => name)).toEqual(unpacks === undefined ? [] : [unpacks]);
  });

  it("warns of images that pods pull nevertheless", async () => {
    const to = await machine(twoNodes);
    const { outcome, log } = await load(to, { archives: await web() });
    await outcome;
    expect(log.warnings).toEqual([
      expect.stringMatching(
        /^docker.io\/library\/web:latest: Kubernetes always pulls images with the tag latest/,
      ),
    ]);
  });
});

describe("loadImages from the Docker daemon", () => {
  /** A daemon that has these images, and exports them. */
  async function withImages(to: Machine, images: Readonly<Record<string, Sample>>) {
    const folder = temporaryFolder();
    const exports: (readonly string[])[] = [];
    for (const [name, { id }] of Object.entries(images)) to.daemon.images.set(name, id);
    await mkdir(join(folder, "exports"));
    to.daemon.exported = ({ names }) => {
      exports.push(names);
      const saved = names.flatMap((name) => {
        const image = images[name];
        return image === undefined ? [] : [{ image, tags: [name] }];
      });
      const path = join(folder, "exports", `${exports.length}.tar`);
      writeFileSync(path, tar(dockerSaveNew(saved)));
      return createReadStream(path);
    };
    return exports;
  }

  it("exports the images that a node lacks into one archive, and no others", async () => {
    const to = await machine(twoNodes);
    const images = { "web:1": sample("web"), "api:1": sample("api"), "db:1": sample("db") };
    const exports = await withImages(to, images);
    // Both nodes have one of them, and one node has another.
    for (const { containerd } of to.nodes) containerd.store(stored(images["db:1"]), "docker.io/library/db:1");
    to.nodes[0]?.containerd.store(stored(images["api:1"]), "docker.io/library/api:1");
    const { outcome } = await load(to, { images: ["web:1", "api:1", "db:1"] });
    const outcomes = Object.fromEntries(
      (await outcome).map(({ names: [name = ""], outcome: result }) => [name, result]),
    );
    expect(outcomes).toEqual({
      "docker.io/library/web:1": "loaded",
      "docker.io/library/api:1": "loaded",
      "docker.io/library/db:1": "already there",
    });
    expect(exports).toEqual([["web:1", "api:1"]]);
    expect(idsOf(to, "docker.io/library/web:1")).toEqual([images["web:1"].id, images["web:1"].id]);
    expect(idsOf(to, "docker.io/library/api:1")).toEqual([images["api:1"].id, images["api:1"].id]);
  });

  it("exports nothing if every node has the images, maybe under other names", async () => {
    const to = await machine(twoNodes);
    const web = sample("web");
    const exports = await withImages(to, { "web:2": web });
    for (const { containerd } of to.nodes) containerd.store(stored(web), "docker.io/library/web:1");
    const { outcome } = await load(to, { images: ["web:2"] });
    expect(await outcome).toMatchObject([{ outcome: "re-tagged", bytes: 0 }]);
    expect(idsOf(to, "docker.io/library/web:2")).toEqual([web.id, web.id]);
    expect(exports).toEqual([]);
  });

  it("rejects with the name of an image that cannot be pulled", async () => {
    const to = await machine(twoNodes);
    await withImages(to, { "web:1": sample("web") });
    const { outcome } = await load(to, { images: ["web:1", "wbe:1"] });
    await expect(outcome).rejects.toThrow(/^Could not pull image wbe:1: /);
    expect(idsOf(to, "docker.io/library/web:1")).toEqual([undefined, undefined]);
  });

  it("loads an image once that is in an archive, too", async () => {
    const to = await machine(twoNodes);
    const web = sample("web");
    await withImages(to, { "web:dev": web });
    const archives = [await archive(temporaryFolder(), "web.tar", [{ image: web, tags: ["web:1"] }])];
    const { outcome } = await load(to, { archives, images: ["web:dev"] });
    expect(await outcome).toMatchObject([
      { names: ["docker.io/library/web:1", "docker.io/library/web:dev"], outcome: "loaded" },
    ]);
    expect(idsOf(to, "docker.io/library/web:dev")).toEqual([web.id, web.id]);
  });
});

describe("loadImages with an invalid archive or node", () => {
  it("rejects two archives with different images of one name, before a node is changed", async () => {
    const to = await machine(twoNodes);
    const folder = temporaryFolder();
    const archives = [
      await archive(folder, "old.tar", [{ image: sample("old"), tags: ["web:1"] }]),
      await archive(folder, "new.tar", [{ image: sample("new"), tags: ["web:1"] }]),
    ];
    const { outcome } = await load(to, { archives });
    await expect(outcome).rejects.toThrow(
      `${folder}/new.tar: its docker.io/library/web:1 differs from the image of that name in ${folder}/old.tar, and a node can have only one of them. ` +
        "Load one of the two, or give them different tags.",
    );
    expect(idsOf(to, "docker.io/library/web:1")).toEqual([undefined, undefined]);
    await to.idle();
  });

  it("rejects a file that is no archive, before a node is changed", async () => {
    const to = await machine(twoNodes);
    const folder = temporaryFolder();
    const path = join(folder, "readme.tar");
    await writeFile(path, "This is no archive.");
    const archives = [
      await archive(folder, "web.tar", [{ image: sample("web"), tags: ["web:1"] }]),
      { path, bytes: 19 },
    ];
    const { outcome } = await load(to, { archives });
    await expect(outcome).rejects.toThrow(path);
    expect(idsOf(to, "docker.io/library/web:1")).toEqual([undefined, undefined]);
    await to.idle();
  });

  it("rejects without waiting for the nodes", async () => {
    const to = await machine(twoNodes);
    const path = join(temporaryFolder(), "readme.tar");
    await writeFile(path, "This is no archive.");
    const never = new Promise<never>(() => {});
    const { outcome } = await load(to, { archives: [{ path, bytes: 19 }] }, { nodes: never });
    await expect(outcome).rejects.toThrow(path);
  });

  it("rejects with the node that ends while its images are listed, and leaves no program in the others", async () => {
    const to = await machine(twoNodes);
    const [first, second] = to.nodes;
    const listed = Promise.withResolvers<void>();
    if (first !== undefined)
      first.containerd.afterwards = (call) => {
        if (call === "ImageService/ListImages") listed.resolve();
      };
    if (second !== undefined)
      second.containerd.fail = async () => {
        await listed.promise;
        to.daemon.kill(second.id);
        return "killed";
      };
    const archives = [
      await archive(temporaryFolder(), "web.tar", [{ image: sample("web"), tags: ["web:1"] }]),
    ];
    const { outcome } = await load(to, { archives });
    await expect(outcome).rejects.toThrow("shop-worker");
    await to.idle();
  });
});

describe("hasImages", () => {
  it("is true for archives and for images of the daemon", () => {
    expect(hasImages({ archives: [], images: [] })).toBe(false);
    expect(hasImages({ archives: [{ path: "/a.tar", bytes: 1 }], images: [] })).toBe(true);
    expect(hasImages({ archives: [], images: ["web"] })).toBe(true);
  });
});
