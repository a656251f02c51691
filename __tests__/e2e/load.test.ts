import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ActionRun } from "../harness/run-action.ts";
import { labInputs } from "../lab/inputs.ts";
import { archiveTools } from "./archive-tools.ts";
import { badArchives, badName } from "./bad-archives.ts";
import { ClusterJob, errorOf, loadedImages } from "./cluster-job.ts";
import {
  buildEarlyImages,
  early,
  expectEarlyPods,
  expectOverlap,
  removeEarlyImages,
} from "./early-images.ts";
import { buildArchive, buildImage, imageId, removeImages } from "./image-archive.ts";
import { docker, removeClusters } from "./machine.ts";
import { Node } from "./node.ts";
import { expectSharedLayers } from "./shared-layers.ts";
import { writeUnbuilt } from "./unbuilt-image.ts";

const nodesOf = (cluster: string) =>
  [new Node(`${cluster}-control-plane`), new Node(`${cluster}-worker`)] as const;
const cluster = "e2e-load";
const nodes = nodesOf(cluster);
const [controlPlane, worker] = nodes;
const both = nodes.map(({ name }) => name);
const twoNodes = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
- role: worker
`;

const oldCluster = "e2e-load-old";
/** kind restarts containerd when it is to be patched, a moment after the node has come up. */
const patched = `${twoNodes}containerdConfigPatches:
- |-
  [plugins."io.containerd.grpc.v1.cri"]
    max_container_log_line_size = 32768
`;

/** Layers that are under way long enough for something to happen meanwhile. */
const manyLayers = Array.from({ length: 16 }, () => 9_000_000);

describe("loading images", () => {
  let workspace: string;
  let job: ClusterJob;
  let oldJob: Promise<ClusterJob>;

  beforeAll(async () => {
    workspace = await mkdtemp(join(tmpdir(), "workspace-"));
    const load = await buildEarlyImages(workspace);
    const inputs = { ...labInputs(), config: twoNodes, ...load };
    const write = async () => {
      for (const { image, file, write } of archiveTools) await write(image, join(workspace, file));
    };
    const starting = ClusterJob.start(cluster, { workspace, inputs }).then((started) => {
      job = started;
    });
    await Promise.all([starting, write()]).finally(() => starting);
    // It comes up beside the first tests, which leave the processors alone most of the time.
    const oldInputs = { ...labInputs("old"), config: patched, ...load };
    oldJob = ClusterJob.start(oldCluster, { workspace, inputs: oldInputs });
    oldJob.catch(() => {});
  });
  afterAll(async () => {
    await Promise.allSettled([
      job?.[Symbol.asyncDispose](),
      oldJob?.then((old) => old[Symbol.asyncDispose]()),
    ]);
    await removeClusters(cluster, oldCluster);
    await removeEarlyImages();
    await rm(workspace, { recursive: true, force: true });
  });

  it("runs pods from what main loaded while the cluster was starting", () => expectEarlyPods(job, nodes));

  it("writes the layers of a large image once for all nodes", () =>
    expectSharedLayers(job, nodes, workspace));

  describe("from archives of every tool", () => {
    let pages: Record<string, string>;
    const podOf = (file: string) => basename(file).replaceAll(".", "-");

    beforeAll(async () => {
      const run = await job.load({ load_archives: archiveTools.map(({ file }) => file).join("\n") });
      expect(run.exitCode, run.main.log).toBe(0);
      pages = await job.pages(
        Object.fromEntries(archiveTools.map(({ image, file }) => [podOf(file), image])),
      );
    });

    it.each(archiveTools)("runs a pod from what $tool wrote", ({ image, file }) => {
      expect(pages[podOf(file)]).toBe(image);
    });
  });

  describe("from the Docker daemon", () => {
    const [first, second, alias] = ["e2e-load/first:1", "e2e-load/second:1", "e2e-load/alias:1"];
    const missing = "registry.invalid/e2e-load/missing:1";
    let refused: Promise<ActionRun>;

    beforeAll(async () => {
      // A pull is tried three times: meanwhile there are other things to be seen.
      refused = job.load({ load_images: `${early.sent}\n${missing}` });
      await Promise.all([buildImage(first, [1_000_000]), buildImage(second, [2_000_000])]);
    });
    afterAll(() => removeImages(first, second, alias));

    it("transfers only missing layers, and sets the output `images`", async () => {
      const run = await job.load({ load_images: `${first}\n${second}` });
      expect(run.exitCode, run.main.log).toBe(0);
      const images = loadedImages(run).toSorted((a, b) => a.name.localeCompare(b.name));
      expect(images).toMatchObject([
        { name: `docker.io/${first}`, id: await imageId(first), nodes: both },
        { name: `docker.io/${second}`, id: await imageId(second), nodes: both },
      ]);
      // The layer of the test image is in the nodes since the archives, and with each image's own comes its page.
      const page = 20_000;
      const over = images.map(({ bytes }, index) => bytes - 1_000_000 * (index + 1));
      for (const bytes of over) {
        expect(bytes).toBeGreaterThan(0);
        expect(bytes).toBeLessThan(page);
      }
      for (const { seconds } of images) expect(seconds).toBeLessThan(run.main.seconds);
      expect(run.summary).toContain(`\`docker.io/${first}\` | loaded | 1.0 MB | 2 |`);
    });

    it("transfers nothing the second time", async () => {
      const run = await job.load({ load_images: `${first}\n${second}` });
      expect(run.exitCode, run.main.log).toBe(0);
      expect(run.main.log).toContain(`docker.io/${first}: already there in ${both.join(", ")}`);
      expect(loadedImages(run).map(({ bytes }) => bytes)).toEqual([0, 0]);
    });

    it("transfers nothing for another name, and runs pods by that name", async () => {
      await docker("tag", first, alias);
      const run = await job.load({ load_images: alias });
      expect(run.exitCode, run.main.log).toBe(0);
      expect(run.main.log).toContain(`docker.io/${alias}: re-tagged in ${both.join(", ")}`);
      expect(loadedImages(run)).toMatchObject([
        { name: `docker.io/${alias}`, id: await imageId(first), nodes: both, bytes: 0 },
      ]);
      expect(await job.pages({ first, second, alias })).toEqual({ first, second, alias: first });
    });

    it("rejects an image that is neither in the daemon nor can be pulled, with its name", async () => {
      const run = await refused;
      expect(run.exitCode).toBe(1);
      expect(errorOf(run)).toContain(`Could not pull image ${missing}`);
    });
  });

  describe("into some of the nodes", () => {
    it("loads the image into the workers, and not into the control plane", async () => {
      const name = "e2e-load/workers-only:1";
      await buildArchive(name, join(workspace, "workers-only.tar"));
      const run = await job.load({ load_archives: "workers-only.tar", load_nodes: "workers" });
      expect(run.exitCode, run.main.log).toBe(0);
      expect(loadedImages(run)).toMatchObject([{ name: `docker.io/${name}`, nodes: [worker.name] }]);
      expect([...(await worker.images()).keys()]).toContain(`docker.io/${name}`);
      expect([...(await controlPlane.images()).keys()]).not.toContain(`docker.io/${name}`);
    });

    it("rejects a node that the cluster does not have, with the names of its nodes", async () => {
      await writeUnbuilt("e2e-load/nowhere:1", join(workspace, "nowhere.tar"));
      const run = await job.load({
        load_archives: "nowhere.tar",
        load_nodes: `${worker.name}, e2e-load-worker9`,
      });
      expect(run.exitCode).toBe(1);
      expect(errorOf(run)).toContain(`the cluster has no node e2e-load-worker9. It has: ${both.join(", ")}`);
    });
  });

  describe("from an invalid archive", () => {
    let began: number;

    beforeAll(async () => {
      began = await worker.now();
    });

    async function expectRefusal(file: string, reason: RegExp): Promise<void> {
      const run = await job.load({ load_archives: file });
      expect(run.exitCode).toBe(1);
      expect(errorOf(run)).toContain(`Could not load ${join(workspace, file)}: `);
      expect(errorOf(run)).toMatch(reason);
      expect(await job.leftovers()).toEqual([]);
    }

    it.each(badArchives)("rejects one that $what", async ({ file, reason, content }) => {
      await writeFile(join(workspace, file), content());
      await expectRefusal(file, reason);
    });

    it("rejects one that would replace an image of the cluster itself", async () => {
      const imagesOf = () => Promise.all(nodes.map((node) => node.images()));
      const before = await imagesOf();
      const apiServer = [...(before[0]?.keys() ?? [])].find((name) =>
        name.startsWith("registry.k8s.io/kube-apiserver:"),
      );
      const cni = await job.kubectl(
        ...["get", "daemonset", "kindnet", "--namespace", "kube-system"],
        ...["--output", "jsonpath={.spec.template.spec.containers[0].image}"],
      );
      for (const name of [apiServer ?? "", cni]) {
        await writeUnbuilt(name, join(workspace, "impostor.tar"));
        await expectRefusal(
          "impostor.tar",
          new RegExp(`it would replace ${name}, which is part of the node image`),
        );
      }
      expect(await imagesOf()).toEqual(before);
    });

    it("leaves nothing of them in any node", async () => {
      for (const node of nodes) {
        expect(await node.known(badName)).toEqual([]);
        expect(await node.brokenBlobs(began)).toEqual([]);
      }
    });
  });

  describe("into nodes with an old containerd, whose configuration is patched", () => {
    let old: ClusterJob;
    const oldNodes = nodesOf(oldCluster);

    beforeAll(async () => {
      old = await oldJob;
    });

    it("runs pods from what was loaded while kind restarted containerd", () =>
      expectEarlyPods(old, oldNodes));

    it("writes the layers of a large image once for all nodes", () =>
      expectSharedLayers(old, oldNodes, workspace));

    it("loads the images of main before kind has ended", async () => {
      expectOverlap(await old.end(), oldNodes);
    });
  });

  it("loads an image of sixty large layers completely", async () => {
    const name = "e2e-load/sixty:1";
    const layers = Array.from({ length: 60 }, () => 4_000_000);
    await writeUnbuilt(name, join(workspace, "sixty.tar"), layers);
    const run = await job.load({ load_archives: "sixty.tar" });
    expect(run.exitCode, run.main.log).toBe(0);
    // Its garbage collector runs after a hundred changes, and takes what no image refers to yet.
    for (const node of nodes) expect(await node.known(name)).toMatchObject([{ complete: true }]);
  });

  describe("while a node is in trouble", () => {
    it("loads the blobs of an image again that a node has lost", async () => {
      const name = "e2e-load/lost:1";
      await writeUnbuilt(name, join(workspace, "lost.tar"), [1_000_000, 1_000_000]);
      const began = await worker.now();
      const first = await job.load({ load_archives: "lost.tar" });
      expect(first.exitCode, first.main.log).toBe(0);
      await worker.loseLayers(began);
      expect(await worker.known(name)).toMatchObject([{ complete: false }]);
      const second = await job.load({ load_archives: "lost.tar" });
      expect(second.exitCode, second.main.log).toBe(0);
      expect(await worker.known(name)).toMatchObject([{ complete: true }]);
    });

    it("succeeds when the node's containerd is restarted meanwhile", async () => {
      const name = "e2e-load/restarted:1";
      const began = await worker.now();
      await writeUnbuilt(name, join(workspace, "restarted.tar"), manyLayers);
      let ended = false;
      const started = job.linking();
      const loading = job.load({ load_archives: "restarted.tar" }).finally(() => {
        ended = true;
      });
      await started;
      await worker.restartContainerd();
      expect(ended, "the restart came too late to be in the middle").toBe(false);
      const run = await loading;
      expect(run.exitCode, run.main.log).toBe(0);
      expect(run.main.log, "a warning of Node's").not.toMatch(/\(node:\d+\)/);
      expect(await worker.brokenBlobs(began)).toEqual([]);
      expect(await worker.known(name)).toMatchObject([{ complete: true }]);
      expect((await worker.images()).get(`docker.io/${name}`)).toBe(loadedImages(run)[0]?.id);
      expect(await job.leftovers()).toEqual([]);
    });

    /** Sees that a load has failed because of the worker, and for the worker alone. */
    async function expectWorkerFailed(run: ActionRun, name: string): Promise<void> {
      expect(run.exitCode, run.main.log).toBe(1);
      expect(errorOf(run)).toContain(`Could not load images into ${worker.name}.`);
      expect(errorOf(run)).toContain(`Loaded into ${controlPlane.name}.`);
      expect(await controlPlane.known(name)).toMatchObject([{ complete: true }]);
      expect([...(await controlPlane.images()).keys()]).toContain(`docker.io/${name}`);
      expect(await job.leftovers()).toEqual([]);
    }

    it("fails with the name of a node that does not respond, and of those that have the images", async () => {
      const name = "e2e-load/one-paused:1";
      await writeUnbuilt(name, join(workspace, "one-paused.tar"));
      await docker("pause", worker.name);
      const run = await job
        .load({ load_archives: "one-paused.tar" })
        .finally(() => docker("unpause", worker.name));
      await expectWorkerFailed(run, name);
    });

    it("fails with the name of a node that dies, and of those that have the images", async () => {
      const name = "e2e-load/survived:1";
      await writeUnbuilt(name, join(workspace, "survived.tar"), manyLayers);
      const started = job.linking();
      const loading = job.load({ load_archives: "survived.tar" });
      await started;
      await docker("kill", worker.name);
      await expectWorkerFailed(await loading, name);
    });

    it("fails with the name of a node that was dead before, and of those that have the images", async () => {
      const name = "e2e-load/one-dead:1";
      await writeUnbuilt(name, join(workspace, "one-dead.tar"));
      await expectWorkerFailed(await job.load({ load_archives: "one-dead.tar" }), name);
    });
  });

  it("loads the images of main before kind has ended", async () => {
    expectOverlap(await job.end(), nodes);
  });

  it("leaves a cluster that the job can delete", async () => {
    const run = await job.end();
    expect(run.post?.exitCode, run.post?.log).toBe(0);
    expect(await docker("ps", "--all", "--filter", `name=${cluster}`, "--format", "{{.Names}}")).toEqual([]);
    expect(await docker("volume", "ls", "--filter", `name=kind-action.${cluster}`, "--quiet")).toEqual([]);
  });
});
