import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { z } from "zod";
import { ClusterJob } from "../__tests__/e2e/cluster-job.ts";
import { docker, removeClusters } from "../__tests__/e2e/machine.ts";
import { labInputs } from "../__tests__/lab/inputs.ts";
import { readLab } from "../__tests__/lab/lab.ts";
import { addOns } from "../__tests__/lab/upstream/add-ons.ts";
import { totalSize } from "../__tests__/lab/upstream/images.ts";
import { bridgeGateway, startUpstream } from "../__tests__/lab/upstream/registry.ts";
import { Engine } from "../src/docker/engine.ts";
import { KubernetesApi, parseAccess } from "../src/kubernetes/client.ts";
import { renderHostsToml } from "../src/registries/hosts-toml.ts";
import { median, report, settle } from "./report.ts";

/**
 * Twelve images of add-ons, 1.0 GB, deployed to three nodes until all pods are Ready: pulled from their registry 20 MB a
 * second and 50 ms a request away, and through proxies whose volumes came out of the cache.
 *
 *     script/bench caches [--repetitions N]
 */
const { values: flags } = parseArgs({
  options: { repetitions: { type: "string", default: "5" }, json: { type: "boolean", default: false } },
});
const repetitions = Number(flags.repetitions);
const run = promisify(execFile);

const registry = "registry.example";
const config =
  "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n- role: worker\n- role: worker\n";
const folder = await mkdtemp(join(tmpdir(), "bench-"));
const images = await addOns();
const upstream = await startUpstream({ images });
const url = upstream.url(await bridgeGateway());
const cacheDir = join(folder, "cache");
const manifest = join(folder, "add-ons.json");
await writeFile(manifest, JSON.stringify({ apiVersion: "v1", kind: "List", items: deployments() }));

/** The events with which nodes say that they have pulled an image. */
const pulls = "/api/v1/namespaces/default/events?fieldSelector=reason%3DPulled";
const metadata = z.object({ resourceVersion: z.string() });
const List = z.object({ metadata });
const Change = z.object({ type: z.string(), object: z.object({ metadata }) });

const until = ["wait", "--for=condition=Available", "--timeout=300s", "deployment", "--all"];

const plain: Deployed[] = [];
const restored: Deployed[] = [];
const again: Deployed[] = [];
const blobs: number[] = [];
try {
  // Fills the cache, and has the images in memory for all.
  await ours(async (job) => void (await deploy(job.kubeconfig)));
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    plain.push(await theirs());
    console.error(`${repetition}: kind and kubectl`, plain.at(-1));
    await ours(async (job) => {
      upstream.traffic.reset();
      restored.push(await deploy(job.kubeconfig));
      blobs.push(upstream.traffic.blobRequests.size);
      console.error(`${repetition}: restored`, restored.at(-1), `${blobs.at(-1)} blobs asked for`);
    });
    await twice((deployed) => {
      again.push(deployed);
      console.error(`${repetition}: twice in a job`, deployed);
    });
  }
  const limit = await unpackingAlone();
  const size = totalSize(images) / 1e6;
  const pulling = (all: readonly Deployed[]) => all.map(({ pulled }) => pulled);
  const readiness = (all: readonly Deployed[]) => all.map(({ ready }) => ready);
  const noBlobs = blobs.every((count) => count === 0);
  report(
    "caches",
    {
      theirs: "plain kind and kubectl, no proxies",
      keep: repetitions >= 5,
      notes: [
        `- ${repetitions} repetitions, in turns. ${images.list.length} images, ${size.toFixed(0)} MB compressed, in Deployments on 3 nodes: from \`kubectl apply\` until the last image is pulled, and until all pods are Ready. The upstream gives 20 MB a second in all, and waits 50 ms before each answer.`,
        `- Blobs that the upstream was asked for with restored volumes: ${blobs.join(", ")}.`,
        "- Twice in one job: without a cache, a second cluster of a job whose first one has pulled all of it.",
        `- The limit is unpacking: with all bytes on the disk already, the same images take ${limit.toFixed(2)} s for tar to decompress and unpack each layer once, two at a time. Nodes unpack what they share each for themselves.`,
      ],
    },
    [
      {
        name: "restored volumes, until all is pulled",
        ours: pulling(restored),
        theirs: pulling(plain),
        speedup: true,
        bar: {
          text: "≥ 4× faster, no blob asked for",
          holds: noBlobs && median(pulling(plain)) >= 4 * median(pulling(restored)),
        },
      },
      {
        name: "until all pods are Ready",
        ours: readiness(restored),
        theirs: readiness(plain),
        speedup: true,
      },
      {
        name: "twice in one job, until all is pulled",
        ours: pulling(again),
        theirs: pulling(plain),
        speedup: true,
      },
      { name: "until all pods are Ready", ours: readiness(again), theirs: readiness(plain), speedup: true },
    ],
  );
} finally {
  await upstream.close();
  await rm(folder, { recursive: true, force: true });
}

/** A Deployment for each image. */
function deployments(): object[] {
  return images.list.map(({ repository, tag }, index) => {
    const labels = { app: `add-on-${index}` };
    const container = {
      name: "add-on",
      image: `${registry}/${repository}:${tag}`,
      readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
    };
    return {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: labels.app },
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          // Two workers and a control plane, which takes its share.
          spec: { containers: [container], tolerations: [{ operator: "Exists" }] },
        },
      },
    };
  });
}

/** Seconds from `kubectl apply` on. */
interface Deployed {
  /** Until the last image is pulled: the nodes say so with an event. */
  readonly pulled: number;
  /** Until all pods are Ready. */
  readonly ready: number;
}

async function deploy(kubeconfig: string): Promise<Deployed> {
  const on = ["--kubeconfig", kubeconfig];
  const api = new KubernetesApi(parseAccess(await readFile(kubeconfig, "utf8")));
  const stop = new AbortController();
  try {
    const before = List.parse(await api.get(pulls)).metadata.resourceVersion;
    const began = performance.now();
    const seconds = () => (performance.now() - began) / 1000;
    const pulled = allPulled(api, before, stop.signal).then(seconds);
    // Told below, unless something else fails first.
    pulled.catch(() => {});
    await run("kubectl", [...on, "apply", "--filename", manifest]);
    await run("kubectl", [...on, ...until]);
    const ready = seconds();
    return { pulled: await pulled, ready };
  } finally {
    stop.abort();
    api.close();
  }
}

/** Waits until each image has been pulled, since a version of the list of events. */
async function allPulled(api: KubernetesApi, since: string, signal: AbortSignal): Promise<void> {
  let version = since;
  let left = images.list.length;
  for (;;) {
    for await (const each of api.watch(pulls, version, signal)) {
      const { type, object } = Change.parse(each);
      version = object.metadata.resourceVersion;
      if (type === "ADDED" && --left === 0) return;
    }
  }
}

/** A job with proxies and the cache. */
async function ours(work: (job: ClusterJob) => Promise<void>): Promise<void> {
  const name = `bench-caches-${randomBytes(3).toString("hex")}`;
  const inputs = { ...labInputs(), config, registry_proxies: `${registry}=${url}` };
  await settle();
  await using job = await ClusterJob.start(name, { inputs, cacheDir });
  await work(job);
  const done = await job.end();
  if (done.exitCode !== 0) throw new Error(done.post?.log);
}

/** A job that makes one cluster after the other, without a cache. */
async function twice(measured: (deployed: Deployed) => void): Promise<void> {
  const names = [1, 2].map((count) => `bench-caches-${randomBytes(3).toString("hex")}-${count}`);
  const [first = "", second = ""] = names;
  const inputs = { ...labInputs(), config, registry_proxies: `${registry}=${url}`, cache: "none" };
  await settle();
  const earlier = await ClusterJob.start(first, { inputs });
  try {
    await deploy(earlier.kubeconfig);
    // Its nodes are in nobody's way.
    await Promise.all(
      ["control-plane", "worker", "worker2"].map((node) => docker("pause", `${first}-${node}`)),
    );
    const later = await ClusterJob.start(second, { inputs, env: { RUNNER_TEMP: earlier.temp } });
    try {
      measured(await deploy(later.kubeconfig));
    } finally {
      await later[Symbol.asyncDispose]();
    }
  } finally {
    await Promise.all(
      ["control-plane", "worker", "worker2"].map((node) =>
        docker("unpause", `${first}-${node}`).catch(() => []),
      ),
    );
    await earlier[Symbol.asyncDispose]();
  }
}

/** What people do today: nodes pull from the registry themselves. */
async function theirs(): Promise<Deployed> {
  const name = `bench-caches-${randomBytes(3).toString("hex")}`;
  const kubeconfig = join(folder, name);
  const file = join(folder, `${name}.yaml`);
  await writeFile(file, config);
  await settle();
  try {
    const create = ["create", "cluster", "--name", name, "--config", file, "--wait", "5m"];
    await run("kind", [...create, "--image", readLab().nodeImages.current.image, "--kubeconfig", kubeconfig]);
    const hosts = renderHostsToml([{ name: registry, hosts: [], server: url }]);
    const engine = new Engine({});
    for (const { id } of await engine.containers.listNodes(name))
      await engine.containers.writeFiles(id, hosts);
    return await deploy(kubeconfig);
  } finally {
    await removeClusters(name);
  }
}

/** @returns seconds that unpacking takes, and nothing else */
async function unpackingAlone(): Promise<number> {
  const layers = new Map(
    images.list.flatMap((image) => image.layers.map(({ digest, size }) => [digest, size])),
  );
  const to = await mkdtemp(join(folder, "unpacked-"));
  const queue = layers.entries();
  const began = performance.now();
  const worker = async () => {
    for (const [digest, size] of queue) {
      const target = join(to, digest.replace(":", "-"));
      await mkdir(target);
      const unpack = run("tar", ["--extract", "--gzip", "--directory", target]);
      images.read(digest, { start: 0, end: size - 1 }).pipe(unpack.child.stdin ?? process.stdout);
      await unpack;
    }
  };
  await Promise.all([worker(), worker()]);
  const seconds = (performance.now() - began) / 1000;
  await rm(to, { recursive: true });
  return seconds;
}
