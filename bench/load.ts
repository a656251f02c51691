import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { z } from "zod";
import { docker, removeClusters } from "../__tests__/e2e/machine.ts";
import { inheritedEnvironment } from "../__tests__/harness/job-variables.ts";
import { type ActionRun, type RunActionOptions, runAction } from "../__tests__/harness/run-action.ts";
import { runnerGrace, runProcess } from "../__tests__/harness/step-process.ts";
import { labInputs } from "../__tests__/lab/inputs.ts";
import { readLab } from "../__tests__/lab/lab.ts";
import { contextName } from "../src/cluster/kubeconfig.ts";
import { KubernetesApi, readAccess } from "../src/kubernetes/client.ts";
import { waitUntilReady } from "../src/kubernetes/readiness.ts";
import { errorMessage } from "../src/lib/errors.ts";
import { gatherMaterial, type Image, makeImage, makeLayer, makeLayers, writeArchive } from "./images.ts";
import { median, type Row, report } from "./report.ts";

/**
 * How images get into nodes, beside kind's own way.
 *
 *     script/bench load [--repetitions N] [--only GROUP]... [--json]
 *
 * `--only` measures some of the cases, `1-node`, `3-nodes`, `daemon`, `archives`, `memory`, `6-nodes`, `create`. The result
 * is kept when all were measured, 5 times.
 */

// What is measured. The order is that of the table.

interface Case {
  readonly name: string;
  readonly unit?: "MB";
  readonly bar?: {
    readonly text: string;
    readonly speedup?: true;
    readonly holds: (ours: number, theirs: number) => boolean;
  };
}

const faster = (times: number) => ({
  text: `≥ ${times}× faster`,
  speedup: true as const,
  holds: (ours: number, theirs: number) => theirs >= times * ours,
});
const atMost = (share: number) => ({
  text: `≤ ${share}×`,
  holds: (ours: number, theirs: number) => ours <= share * theirs,
});

const cases = {
  held: { name: "3 nodes, first load, until all nodes hold it", bar: faster(6) },
  ran: { name: "3 nodes, first load, until a pod on one node runs from it", bar: faster(3.5) },
  ranOnOne: { name: "1 node, first load, until a pod runs from it", bar: faster(2) },
  six: { name: "6 nodes over 1 node of them, both ours, until all hold it", bar: atMost(1.6) },
  changed: { name: "3 nodes, 5 MB layer changed", bar: faster(12) },
  unchanged: { name: "3 nodes, nothing changed, against `kind load image-archive`", bar: faster(15) },
  engine: {
    name: "the same, the engine's own time, against `kind load docker-image`",
    bar: { ...atMost(1), text: "no slower" },
  },
  step: { name: "the same, our whole process" },
  archives: { name: "4 archives sharing a base, 3 nodes", bar: faster(4) },
  created: { name: "create + load, 3 nodes, against create alone (both ours)", bar: atMost(1.05) },
  memory: {
    name: "memory of the action while loading 1 GB, 4 layers",
    unit: "MB",
    bar: { text: "≤ 150 MB", holds: (ours: number) => ours <= 150 },
  },
  memorySending: { name: "the same in 256 layers, which are sent to each node, once", unit: "MB" },
} satisfies Record<string, Case>;

type Side = "ours" | "theirs";
const samples = new Map<Case, Record<Side, number[]>>();
/** What went wrong, and what a log said that ought to be known. */
const problems: string[] = [];
const remarks = new Set<string>();

function record(which: Case, side: Side, value: number): void {
  const known = samples.get(which) ?? { ours: [], theirs: [] };
  known[side].push(value);
  samples.set(which, known);
  say(`${which.name}: ${side} ${value.toFixed(2)} ${which.unit ?? "s"}`);
}

/** Tells whoever waits how far it is. */
function say(text: string): void {
  console.error(`${Math.round(performance.now() / 1000)} s: ${text}`);
}

/** One failure does not hide what else there is to measure. */
async function attempt(what: string, action: () => Promise<void>): Promise<void> {
  stop.signal.throwIfAborted();
  try {
    await action();
  } catch (error) {
    stop.signal.throwIfAborted();
    say(`${what}: ${errorMessage(error)}`);
    problems.push(`${what}: ${errorMessage(error).split("\n")[0]}`);
  }
}

// What it takes.

const { values: flags } = parseArgs({
  options: {
    repetitions: { type: "string", default: "5" },
    only: { type: "string", multiple: true, default: [] },
    json: { type: "boolean", default: false },
  },
});
const repetitions = Number(flags.repetitions);
if (!(Number.isInteger(repetitions) && repetitions > 0)) throw new Error("--repetitions wants a number.");

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => stop.abort(new Error(`Ended by ${signal}.`)));

const lab = readLab();
const material = await gatherMaterial(lab.testImage);
const networks = await docker("network", "ls", "--format", "{{.Name}}");
const folder = await mkdtemp(join(tmpdir(), "bench-"));
const loadAction = resolve(import.meta.dirname, "..", "load");
const threeNodes = clusterConfig(3);

function clusterConfig(nodes: number): string {
  const workers = "- role: worker\n".repeat(nodes - 1);
  return `kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n${workers}`;
}

/** Runs a program to its end. @throws when it fails */
async function run(program: string, ...args: string[]): Promise<{ seconds: number; log: string }> {
  stop.signal.throwIfAborted();
  const lines: string[] = [];
  const { exitCode, seconds } = await runProcess({
    program,
    args,
    cwd: folder,
    env: { ...inheritedEnvironment(), HOME: folder },
    onLine: (line) => lines.push(line),
    interrupt: stop.signal,
    grace: runnerGrace,
  });
  const log = lines.join("\n");
  if (exitCode !== 0) throw new Error(`${program} ${args.slice(0, 3).join(" ")} failed: ${log}`);
  return { seconds, log };
}

/** Runs an action to its end. @throws when it fails */
async function act(options: RunActionOptions): Promise<ActionRun> {
  stop.signal.throwIfAborted();
  const done = await runAction({ ...options, signal: stop.signal });
  const log = [done.main, done.command, done.post].map((step) => step?.log).join("\n");
  if (done.exitCode !== 0) {
    const errors = done.annotations.filter(({ level }) => level === "error").map(({ message }) => message);
    throw new Error(`the action failed: ${errors.join(" ")}\n${log}`);
  }
  for (const [line] of log.matchAll(/^.*(?:error|attempt \d|cannot be|\(node:).*$/gim))
    remarks.add(`Ours said: ${line}`);
  return done;
}

/** Gives the disk and the processors a moment, so that no side pays for what was before. */
async function settle(): Promise<void> {
  await run("sync");
  await sleep(1_000, undefined, { signal: stop.signal });
}

/** Waits until the processors are mostly idle, within bounds. */
async function calm(): Promise<void> {
  for (let look = 0; look < 20; look++) {
    const before = processorTimes();
    await sleep(3_000, undefined, { signal: stop.signal });
    const now = processorTimes();
    if (now.idle - before.idle > 0.75 * (now.all - before.all)) return;
  }
}

function processorTimes(): { idle: number; all: number } {
  const times = cpus().map((cpu) => cpu.times);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    idle: sum(times.map(({ idle }) => idle)),
    all: sum(times.flatMap((each) => Object.values(each))),
  };
}

// A cluster to load into.

/** A script for a node: whether it holds an image of a name, with an ID, whole. */
const holds = `export CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1
crictl inspecti "$0" | grep -q "$1" && ctr -n k8s.io images check "name==$0" | grep -qw complete ||
  { echo "$HOSTNAME does not hold $0"; exit 1; }`;

/** The same: removes all images but those of a list. */
const removeOthers = `export CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1
ctr -n k8s.io images ls -q | grep -vxF "$0" | xargs -r ctr -n k8s.io images rm --sync`;

const freshName = () => `bench-load-${randomBytes(3).toString("hex")}`;

class Cluster {
  readonly name = freshName();
  /** The names of its nodes, the workers last. */
  nodes: readonly string[] = [];
  readonly #kubeconfig = join(folder, this.name);
  /** The images that the node image brought, a line each. */
  #images = "";

  static async make(nodes: number): Promise<Cluster> {
    const cluster = new Cluster();
    try {
      await cluster.#create(nodes);
      return cluster;
    } catch (error) {
      await cluster.remove();
      throw error;
    }
  }

  async #create(nodes: number): Promise<void> {
    const config = `${this.#kubeconfig}.yaml`;
    await writeFile(config, clusterConfig(nodes));
    say(`A cluster of ${nodes} node(s)`);
    const options = ["--image", lab.nodeImages.current.image, "--config", config];
    await run("kind", "create", "cluster", ...this.#named, ...options, "--kubeconfig", this.#kubeconfig);
    const api = new KubernetesApi(await readAccess(this.#kubeconfig, contextName(this.name)));
    await waitUntilReady(api, { name: this.name, wait: 600_000, readiness: "everything", nodes });
    api.close();
    this.nodes = (await run("kind", "get", "nodes", ...this.#named)).log.split("\n").toSorted();
    this.#images = (
      await run("docker", "exec", this.nodes[0] ?? "", "ctr", "-n", "k8s.io", "images", "ls", "-q")
    ).log;
    await calm();
  }

  /** Loads archives as a user of either side does. @returns seconds that its process took */
  async load(side: Side, archives: readonly string[]): Promise<number> {
    await settle();
    if (side === "ours") return (await this.loadStep({ load_archives: archives.join("\n") })).main.seconds;
    return await this.kindLoad("image-archive", ...archives);
  }

  loadStep(inputs: Record<string, string>, env: Record<string, string> = {}): Promise<ActionRun> {
    return act({ action: loadAction, inputs: { cluster_name: this.name, ...inputs }, env });
  }

  async kindLoad(what: "image-archive" | "docker-image", ...which: string[]): Promise<number> {
    const { seconds, log } = await run("kind", "load", what, ...which, ...this.#named);
    if (/error|fail/i.test(log)) remarks.add(`kind said: ${log}`);
    return seconds;
  }

  /** @returns seconds from asking for a pod until it runs */
  async pod({ name }: Image): Promise<number> {
    const began = performance.now();
    const never = ["--image-pull-policy", "Never", "--restart", "Never"];
    await this.#kubectl("run", "pod", "--image", name, ...never);
    await this.#kubectl("wait", "--for=condition=Ready", "pod/pod", "--timeout=60s");
    const seconds = (performance.now() - began) / 1000;
    say(`pod: ${seconds.toFixed(2)} s`);
    return seconds;
  }

  /** @throws when a node does not hold an image, under its name and with its ID */
  async mustHold(images: readonly Image[], nodes = this.nodes): Promise<void> {
    for (const { name, id } of images)
      await Promise.all(nodes.map((node) => run("docker", "exec", node, "bash", "-c", holds, name, id)));
  }

  /** Makes it what it was. */
  async clear(): Promise<void> {
    await this.#kubectl("delete", "pod", "pod", "--ignore-not-found", "--grace-period=1");
    await Promise.all(
      this.nodes.map((node) => run("docker", "exec", node, "bash", "-c", removeOthers, this.#images)),
    );
  }

  async remove(): Promise<void> {
    await removeClusters(this.name);
  }

  get #named(): string[] {
    return ["--name", this.name];
  }

  async #kubectl(...args: string[]): Promise<void> {
    await run("kubectl", "--kubeconfig", this.#kubeconfig, ...args);
  }
}

// How it is measured. Each turn has images of its own, and ends with a cluster as it was.

const megabyte = 1_000_000;
const sides = ["ours", "theirs"] as const;
const archive = join(folder, "image.tar");

async function repeat(
  what: string,
  turns: readonly Side[],
  action: (side: Side) => Promise<void>,
  cleanUp?: () => Promise<unknown>,
): Promise<void> {
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    for (const side of turns) {
      await attempt(`${what}, ${repetition}, ${side}`, () => action(side));
      await attempt(`${what}, cleaning up`, async () => void (await cleanUp?.()));
    }
  }
}

/** An image of 240 MB, 4 layers. */
const freshImage = async () => makeImage(await makeLayers(4, 60 * megabyte, material));

async function firstLoad(cluster: Cluster): Promise<void> {
  const turn = async (side: Side) => {
    const image = await freshImage();
    await writeArchive(archive, image);
    const seconds = (await cluster.load(side, [archive])) + (await cluster.pod(image));
    await cluster.mustHold([image]);
    record(cases.ranOnOne, side, seconds);
  };
  await repeat("first load, 1 node", sides, turn, () => cluster.clear());
}

/** What people do all day: a first load and a pod from it, a rebuild, and the same again. */
async function development(cluster: Cluster): Promise<void> {
  const turn = async (side: Side) => {
    const image = await freshImage();
    await writeArchive(archive, image);
    const first = await cluster.load(side, [archive]);
    await attempt(`pod, 3 nodes, ${side}`, async () =>
      record(cases.ran, side, first + (await cluster.pod(image))),
    );
    await cluster.mustHold([image]);
    record(cases.held, side, first);

    const rebuilt = makeImage([...image.layers, await makeLayer(5 * megabyte, material)], image.name);
    await writeArchive(archive, rebuilt);
    const changed = await cluster.load(side, [archive]);
    await cluster.mustHold([rebuilt]);
    record(cases.changed, side, changed);

    const unchanged = await cluster.load(side, [archive]);
    await cluster.mustHold([rebuilt]);
    record(cases.unchanged, side, unchanged);
  };
  await repeat("loads, 3 nodes", sides, turn, () => cluster.clear());
}

/** An image that the daemon and all nodes have: what is there to do is to find that out. */
async function daemonImage(cluster: Cluster): Promise<void> {
  const image = await freshImage();
  const loaded = z.tuple([z.object({ seconds: z.number() })]);
  const turn = async (side: Side) => {
    await settle();
    if (side === "theirs") {
      const seconds = await cluster.kindLoad("docker-image", image.name);
      await cluster.mustHold([image]);
      record(cases.engine, side, seconds);
      record(cases.step, side, seconds);
    } else {
      const { outputs, main } = await cluster.loadStep({ load_images: image.name });
      await cluster.mustHold([image]);
      record(cases.engine, side, loaded.parse(JSON.parse(outputs.images ?? ""))[0].seconds);
      record(cases.step, side, main.seconds);
    }
  };
  try {
    await writeArchive(archive, image);
    await run("docker", "load", "--quiet", "--input", archive);
    await cluster.kindLoad("docker-image", image.name);
    await repeat("image of the daemon", sides, turn);
  } finally {
    await docker("rmi", "--force", image.name).catch(() => []);
    await cluster.clear();
  }
}

/** What a build of several services gives: each archive has all of the base that they share. */
async function sharedBase(cluster: Cluster): Promise<void> {
  const turn = async (side: Side) => {
    const base = await makeLayers(3, 60 * megabyte, material);
    const images: Image[] = [];
    const archives = [1, 2, 3, 4].map((number) => join(folder, `${number}.tar`));
    for (const path of archives) {
      const image = makeImage([...base, await makeLayer(5 * megabyte, material)]);
      await writeArchive(path, image);
      images.push(image);
    }
    const seconds = await cluster.load(side, archives);
    await cluster.mustHold(images);
    record(cases.archives, side, seconds);
  };
  await repeat("4 archives", sides, turn, () => cluster.clear());
}

async function memory(cluster: Cluster): Promise<void> {
  const status = join(folder, "status");
  const probe = join(folder, "probe.cjs");
  // The step's own process writes down what it was when it ends: no other measure has its peak, and nothing but it.
  await writeFile(
    probe,
    `const { readFileSync, writeFileSync } = require("node:fs");
process.on("exit", () => writeFileSync(${JSON.stringify(status)}, readFileSync("/proc/self/status")));
`,
  );
  const measure = async (which: Case, layers: number) => {
    const image = makeImage(await makeLayers(layers, Math.floor((1000 * megabyte) / layers), material));
    await writeArchive(archive, image);
    await settle();
    await cluster.loadStep({ load_archives: archive }, { NODE_OPTIONS: `--require=${probe}` });
    const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(status, "utf8")) ?? [];
    await cluster.mustHold([image]);
    record(which, "ours", (Number(kibibytes) * 1024) / megabyte);
  };
  const cleanUp = () => cluster.clear();
  await repeat("1 GB", ["ours"], () => measure(cases.memory, 4), cleanUp);
  await attempt("1 GB, sent", () => measure(cases.memorySending, 256));
  await cleanUp();
}

async function sixNodes(cluster: Cluster): Promise<void> {
  const one = cluster.nodes.slice(-1);
  const turn = async (side: Side) => {
    const image = await freshImage();
    await writeArchive(archive, image);
    await settle();
    const nodes = side === "ours" ? cluster.nodes : one;
    const { main } = await cluster.loadStep({ load_archives: archive, load_nodes: nodes.join("\n") });
    await cluster.mustHold([image], nodes);
    record(cases.six, side, main.seconds);
  };
  await repeat("6 nodes", sides, turn, () => cluster.clear());
}

/** Main with archives to load, and main without. */
async function createAndLoad(): Promise<void> {
  const inputs = { ...labInputs(), config: threeNodes };
  const turn = async (side: Side) => {
    const name = freshName();
    const image = await freshImage();
    await writeArchive(archive, image);
    await settle();
    await calm();
    const look = `for node in $(kind get nodes --name ${name}); do docker exec "$node" bash -c "$0" "$@" || exit; done`;
    try {
      const { main } = await act({
        inputs: { ...inputs, cluster_name: name, ...(side === "ours" && { load_archives: archive }) },
        ...(side === "ours" && { command: ["bash", "-c", look, holds, image.name, image.id] }),
      });
      record(cases.created, side, main.seconds);
    } finally {
      await removeClusters(name);
    }
  };
  await repeat("create", sides, turn);
}

/** What can be asked for alone; the clusters that it takes do not live at the same time. */
const groups = new Map<string, { nodes: number; measure: (cluster: Cluster) => Promise<void> }>([
  ["1-node", { nodes: 1, measure: firstLoad }],
  ["3-nodes", { nodes: 3, measure: development }],
  ["daemon", { nodes: 3, measure: daemonImage }],
  ["archives", { nodes: 3, measure: sharedBase }],
  ["memory", { nodes: 3, measure: memory }],
  ["6-nodes", { nodes: 6, measure: sixNodes }],
]);
const names = [...groups.keys(), "create"];

async function measure(chosen: readonly string[]): Promise<void> {
  const onClusters = [...groups].filter(([name]) => chosen.includes(name));
  for (const [nodes, some] of Map.groupBy(onClusters, ([, group]) => group.nodes)) {
    await attempt(`${nodes} nodes`, async () => {
      const cluster = await Cluster.make(nodes);
      try {
        for (const [name, group] of some) await attempt(name, () => group.measure(cluster));
      } finally {
        await cluster.remove();
      }
    });
  }
  if (chosen.includes("create")) await attempt("create", createAndLoad);
}

/** A row for each case that was asked for. Where some value is missing, no bar holds. */
function rows(): Row[] {
  return Object.values(cases).flatMap((which: Case) => {
    const values = samples.get(which) ?? { ours: [], theirs: [] };
    if (!whole && !samples.has(which)) return [];
    const complete = Object.values(values).every(({ length }) => length === 0 || length === repetitions);
    const { name, unit, bar } = which;
    return {
      ...values,
      name,
      ...(unit && { unit }),
      ...(bar && {
        speedup: bar.speedup === true,
        bar: {
          text: bar.text,
          holds: complete && bar.holds(median(values.ours), median(values.theirs)),
        },
      }),
    };
  });
}

const whole = flags.only.length === 0;
try {
  const unknown = flags.only.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`--only wants ${names.join(", ")}; not ${unknown.join(", ")}.`);
  await measure(whole ? names : flags.only);
  report(
    "load",
    {
      theirs: "theirs: `kind load`, or what the row says",
      keep: whole && repetitions === 5,
      notes: [
        `- ${repetitions} repetitions, in turns. Images of 240 MB: 4 layers of random bytes (55 %) and real files, new ones for each first load. Whole processes, wall clock, unless the row says otherwise; archives just written and in memory.`,
        "- Until a pod runs: the load, then `kubectl run` until the pod is Ready. After each load, crictl and ctr in every node have said that the image is there, whole.",
        "- Changed: the image of a first load of the same side, with another layer on top. Memory: the peak of the step's process (VmHWM).",
        ...[...remarks].map((remark) => `- ${remark}`),
        ...problems.map((problem) => `- Failed: ${problem}`),
      ],
    },
    rows(),
  );
  if (problems.length > 0) process.exitCode = 1;
} catch (error) {
  if (!stop.signal.aborted) throw error;
  console.error(errorMessage(error));
  process.exitCode = 130;
} finally {
  await rm(folder, { recursive: true, force: true });
  if (!networks.includes("kind")) await docker("network", "rm", "kind").catch(() => []);
}
