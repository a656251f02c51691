import { cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { Engine } from "../../src/docker/engine.ts";
import type { ActionRun } from "../harness/run-action.ts";
import { labInputs } from "../lab/inputs.ts";
import { type PinnedNodeImage, pinnedNodeImage } from "../lab/upstream/pinned-node-image.ts";
import { bridgeGateway, startUpstream, type Upstream } from "../lab/upstream/registry.ts";
import { smallImages } from "../lab/upstream/small-images.ts";
import { ClusterJob } from "./cluster-job.ts";
import { buildImage, removeImages } from "./image-archive.ts";
import { docker, leftSince, type Machine, machineNow, nothing, removeClusters } from "./machine.ts";
import { account, type PrivateRegistry, privateRegistry } from "./private-registry.ts";

const cluster = "e2e-registry";
const network = "e2e-registry";
const laterCluster = "e2e-registry-later";
const oldCluster = "e2e-registry-old";

/** A registry on the internet, which the lab's stands for. */
const upstreamName = "registry.example";
/** And one that wants a login. */
const privateName = "private.example";

/** A user's own: two nodes, and a patch of containerd's configuration. */
const config = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
- role: worker
containerdConfigPatches:
- |-
  [plugins."io.containerd.grpc.v1.cri"]
    max_container_log_line_size = 32768
`;

const Pods = z.object({
  items: z.array(
    z.object({ metadata: z.object({ name: z.string(), deletionTimestamp: z.string().optional() }) }),
  ),
});

const deployment = (image: string) => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web" },
  spec: {
    // One on each node.
    replicas: 2,
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: {
        terminationGracePeriodSeconds: 0,
        tolerations: [{ operator: "Exists" }],
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: "kubernetes.io/hostname",
            whenUnsatisfiable: "DoNotSchedule",
            labelSelector: { matchLabels: { app: "web" } },
          },
        ],
        containers: [
          {
            name: "web",
            image,
            imagePullPolicy: "Always",
            readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
          },
        ],
      },
    },
  },
});

/** Builds a page as an image, and pushes it as the runner does. */
async function push(image: string, page: string): Promise<void> {
  await buildImage(page);
  await docker("tag", page, image);
  await docker("push", "--quiet", image);
  await removeImages(page, image);
}

async function unusedPort(): Promise<number> {
  const server = await listening();
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

async function listening(): Promise<Server> {
  const server = createServer();
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  return server;
}

/** For steps that build on each other, beside those of other groups. */
const inTurn = { concurrent: false };

describe("registries", () => {
  let before: Machine;
  let upstream: Upstream;
  let login: PrivateRegistry;
  let node: PinnedNodeImage;
  let proxied: Record<string, string>;
  let cacheDir: string;
  let job: ClusterJob;
  let port: number;

  beforeAll(async () => {
    cacheDir = await mkdtemp(join(tmpdir(), "cache-"));
    const registriesOfOthers = await Promise.allSettled([
      smallImages(2, 300_000).then(async (images) => {
        upstream = await startUpstream({ images, bandwidth: 1e9, latency: 0 });
      }),
      unusedPort().then(async (free) => {
        login = await privateRegistry(free);
      }),
      pinnedNodeImage().then((image) => {
        node = image;
      }),
    ]);
    for (const each of registriesOfOthers) if (each.status === "rejected") throw each.reason;
    before = await machineNow();
    port = await unusedPort();
    proxied = {
      ...labInputs(),
      node_image: node.reference,
      registry_proxies: `${upstreamName}=${upstream.url(await bridgeGateway())}\n${privateName}=${login.url}`,
      registry_credentials: `${privateName}=${account.user}:${account.password}`,
    };
    const inputs = { ...proxied, config, registry: "true", registry_port: String(port) };
    // Of its own: that of other clusters may be there, and not be ours.
    const env = { KIND_EXPERIMENTAL_DOCKER_NETWORK: network };
    job = await ClusterJob.start(cluster, { inputs, cacheDir, env });
  });
  afterAll(async () => {
    await job?.[Symbol.asyncDispose]();
    await removeClusters(cluster, laterCluster, oldCluster);
    await node?.[Symbol.asyncDispose]();
    await login?.[Symbol.asyncDispose]();
    await upstream?.close();
    await rm(cacheDir, { recursive: true, force: true });
  });

  /** The images of the upstream, as pods name them. */
  const upstreamImages = () =>
    upstream.images.list.map(({ repository, tag }) => `${upstreamName}/${repository}:${tag}`);

  /** Runs a pod from each image of the upstream. One after the other: a proxy asks again for what is still on its way. */
  async function runPods(on: ClusterJob, node?: string): Promise<void> {
    const overrides = JSON.stringify({
      apiVersion: "v1",
      spec: { terminationGracePeriodSeconds: 0, ...(node && { nodeName: node }) },
    });
    for (const [index, image] of upstreamImages().entries()) {
      const name = `pod-${index}-${node ?? "any"}`;
      const options = ["--image-pull-policy=Always", "--labels=from=upstream", "--overrides", overrides];
      await on.kubectl("run", name, "--image", image, ...options);
      await on.kubectl("wait", "--for=condition=Ready", "--timeout=90s", `pod/${name}`);
    }
  }

  describe.concurrent("a local registry", () => {
    /** What all pods serve. */
    async function pages(): Promise<string[]> {
      const listed = await job.kubectl(
        ...["get", "pods", "--selector=app=web", "--field-selector=status.phase=Running", "--output=json"],
      );
      const { items } = Pods.parse(JSON.parse(listed));
      const served = items
        .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
        .map(({ metadata: { name } }) =>
          job.kubectl("get", "--raw", `/api/v1/namespaces/default/pods/${name}:8080/proxy/index.html`),
        );
      return (await Promise.all(served)).map((page) => page.trim());
    }

    const rolledOut = () => job.kubectl("rollout", "status", "deployment/web", "--timeout=90s");

    it("serves images that the runner pushes to every node, under the same name", inTurn, async () => {
      const image = `localhost:${port}/shop/web:dev`;
      await push(image, "e2e-registry/first:1");
      await job.apply(deployment(image));
      await rolledOut();
      expect(await pages()).toEqual(["e2e-registry/first:1", "e2e-registry/first:1"]);
    });

    it("serves an image that was pushed again to a rollout", inTurn, async () => {
      await push(`localhost:${port}/shop/web:dev`, "e2e-registry/second:1");
      await job.kubectl("rollout", "restart", "deployment/web");
      await rolledOut();
      expect(await pages()).toEqual(["e2e-registry/second:1", "e2e-registry/second:1"]);
    });

    it("is available to nodes by its name", inTurn, async () => {
      await job.apply(deployment(`kind-registry:${port}/shop/web:dev`));
      await rolledOut();
      expect(await pages()).toEqual(["e2e-registry/second:1", "e2e-registry/second:1"]);
    });

    it("is described by a ConfigMap in the cluster", inTurn, async () => {
      const described = await job.kubectl(
        ...["get", "configmap", "local-registry-hosting", "--namespace=kube-public"],
        String.raw`--output=jsonpath={.data.localRegistryHosting\.v1}`,
      );
      expect(described).toContain(`host: "localhost:${port}"`);
      expect(described).toContain(`hostFromClusterNetwork: "kind-registry:${port}"`);
    });

    it("is published on loopback only", inTurn, async () => {
      const [published = ""] = await docker("port", "kind-registry");
      expect(published).toBe(`${port}/tcp -> 127.0.0.1:${port}`);
    });
  });

  describe.concurrent("a proxy", () => {
    it("pulls from its upstream once for all nodes", inTurn, async () => {
      upstream.traffic.reset();
      await runPods(job, `${cluster}-control-plane`);
      await runPods(job, `${cluster}-worker`);
      const times = [...upstream.traffic.blobRequests.values()];
      expect(times.length).toBeGreaterThan(0);
      expect(times.every((count) => count === 1)).toBe(true);
    });

    it("does not change the addresses of the nodes", inTurn, async () => {
      const address = `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`;
      const of = async (name: string) => (await docker("inspect", "--format", address, name))[0];
      expect(await of("kind-registry")).toMatch(/\.199$/);
      expect(await of(`${cluster}-proxy-${upstreamName}`)).toMatch(/\.198$/);
      const nodes = [await of(`${cluster}-control-plane`), await of(`${cluster}-worker`)];
      expect(nodes.toSorted()).toEqual([expect.stringMatching(/\.2$/), expect.stringMatching(/\.3$/)]);
    });

    it("that dies does not make pulls fail", inTurn, async () => {
      await docker("stop", "--time", "0", `${cluster}-proxy-${upstreamName}`);
      await job.kubectl("delete", "pods", "--selector=from=upstream", "--now");
      await runPods(job);
      await docker("start", `${cluster}-proxy-${upstreamName}`);
    });
  });

  it.concurrent("a private registry is used with the given credentials", async () => {
    const image = `${privateName}/${login.image}`;
    await job.kubectl("run", "private", "--image", image, "--image-pull-policy=Always");
    await job.kubectl("wait", "--for=condition=Ready", "--timeout=90s", "pod/private");
  });

  describe("after the job", () => {
    let first: ActionRun;

    let other: Upstream;
    let garbageDir: string;

    beforeAll(async () => {
      first = await job.end();
      await node.forget();
      await node.unreachable();
      upstream.traffic.reset();
      other = await startUpstream({ images: upstream.images, bandwidth: 1e9, latency: 0 });
      garbageDir = await mkdtemp(join(tmpdir(), "cache-"));
      await cp(cacheDir, garbageDir, { recursive: true });
      for (const entry of await readdir(garbageDir, { recursive: true, withFileTypes: true }))
        if (entry.isFile() && !entry.name.endsWith(".json"))
          await writeFile(join(entry.parentPath, entry.name), "garbage");
    });
    afterAll(async () => {
      await other?.close();
      await rm(garbageDir, { recursive: true, force: true });
    });

    it("the address of the local registry is available to the next steps", () => {
      expect(first.exitCode, first.post?.log).toBe(0);
      expect(first.outputs.LOCAL_REGISTRY).toBe(`localhost:${port}`);
      expect(first.env.LOCAL_REGISTRY).toBe(`localhost:${port}`);
    });

    it("nothing is left, and there were no warnings", async () => {
      expect(await leftSince(before)).toEqual(nothing);
      const told = first.annotations.map(({ message }) => message);
      expect(told.filter((message) => /registry|proxy|cache/i.test(message))).toEqual([]);
    });

    it("no password is in a log, the summary, the state of post or the cache", async () => {
      const { main, post, summary, state } = first;
      const seen = `${main.log}${post?.log}${summary}${JSON.stringify(state)}`;
      const encoded = Buffer.from(`${account.user}:${account.password}`).toString("base64");
      for (const secret of [account.password, encoded]) expect(seen).not.toContain(secret);
      // Nor is what only those with a password may see.
      expect(post?.log).not.toContain(privateName);
    });

    it.concurrent("the next job pulls nothing: the images of nodes and pods are restored from the cache", async () => {
      expect(JSON.parse(first.outputs.cache_hit ?? "")).toEqual({ "node-image": false, proxies: false });
      // Of its own: another job that ends may take along a network that nothing is on yet.
      const env = { KIND_EXPERIMENTAL_DOCKER_NETWORK: laterCluster };
      const later = await ClusterJob.start(laterCluster, { inputs: proxied, cacheDir, env });
      try {
        await runPods(later);
        // Layers are in the nodes from the beginning: only what a name stands for is asked for.
        const asked = await new Engine({}).containers.logs(`${laterCluster}-proxy-${upstreamName}`);
        expect(asked).toMatch(/uri="?\/v2\/\S+\/manifests\/sha256:/);
        expect(asked).not.toMatch(/uri="?\/v2\/\S+\/blobs\//);
      } finally {
        const run = await later.end();
        await later[Symbol.asyncDispose]();
        expect(run.exitCode, run.post?.log).toBe(0);
        expect(JSON.parse(run.outputs.cache_hit ?? "")).toEqual({ "node-image": true, proxies: true });
        expect(run.summary).toContain("Restored from cache:");
        // It had nothing to add.
        expect(run.post?.log).toContain("the cache already has all of them");
      }
      expect([...upstream.traffic.blobRequests]).toEqual([]);
    });

    it.concurrent("a job with an invalid cache, a port in use and a wrong password succeeds, with warnings", async () => {
      await using taken = await listening();
      const { port: takenPort } = taken.address() as AddressInfo;
      // A node image of old, whose containerd has to be told where to look.
      const { node_image } = labInputs("old");
      const inputs = {
        ...proxied,
        node_image: node_image ?? "",
        registry_proxies: `${upstreamName}=${other.url(await bridgeGateway())}\n${privateName}=${login.url}`,
        registry_credentials: `${privateName}=${account.user}:wrong`,
        registry: "true",
        registry_port: String(takenPort),
      };
      const old = await ClusterJob.start(oldCluster, { inputs, cacheDir: garbageDir });
      try {
        const [published = ""] = await docker("port", "kind-registry");
        const address = `localhost:${published.split(":").at(-1)}`;
        const image = `${address}/shop/web:dev`;
        await push(image, "e2e-registry/elsewhere:1");
        await old.kubectl("run", "web", "--image", image, "--image-pull-policy=Always");
        await old.kubectl("wait", "--for=condition=Ready", "--timeout=90s", "pod/web");
        await runPods(old);
        const run = await old.end();
        expect(run.exitCode, run.post?.log).toBe(0);
        expect(run.outputs.LOCAL_REGISTRY).toBe(address);
        const warnings = run.annotations
          .filter(({ level }) => level === "warning")
          .map(({ message }) => message);
        expect(
          warnings.filter((message) => message.includes(`the local registry listens on ${address}`)),
        ).toHaveLength(1);
        expect(warnings.filter((message) => message.includes("The Actions cache"))).toHaveLength(1);
        expect(
          warnings.filter((message) => message.includes(`${privateName} rejected the credentials`)),
        ).toHaveLength(1);
      } finally {
        await old[Symbol.asyncDispose]();
      }
    });
  });
});
