import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { docker, removeClusters } from "../__tests__/e2e/machine.ts";
import { runAction } from "../__tests__/harness/run-action.ts";
import { labInputs } from "../__tests__/lab/inputs.ts";
import { readLab } from "../__tests__/lab/lab.ts";
import { pushedImage } from "../__tests__/lab/upstream/pushed-image.ts";
import { startUpstream } from "../__tests__/lab/upstream/registry.ts";
import { median, report, settle } from "./report.ts";

/**
 * How long a node image takes until the Docker daemon has it: out of the cache, pulled from a registry that gives 20 MB
 * a second, and at the least: what is in the cache decompressed and unpacked on the same disk.
 *
 *     script/bench node-image [--repetitions N]
 */
const { values: flags } = parseArgs({
  options: { repetitions: { type: "string", default: "5" }, json: { type: "boolean", default: false } },
});
const repetitions = Number(flags.repetitions);
const run = promisify(execFile);

const cluster = "bench-node-image";
const folder = await mkdtemp(join(tmpdir(), "bench-"));
const cacheDir = join(folder, "cache");
const lab = readLab().nodeImages.current;
const fresh = `bench-node-image:${lab.kubernetes}`;

const restored: number[] = [];
const pulled: number[] = [];
const limit: number[] = [];
try {
  const layers = await makeNodeImage(fresh);
  const [id = ""] = await docker("inspect", "--format", "{{.Id}}", fresh);
  await using pushed = await pushedImage(fresh);
  await using upstream = await startUpstream({ images: pushed.images });
  const reference = `127.0.0.1:${upstream.port}/${pushed.repository}:${lab.kubernetes}@${pushed.digest}`;
  const forget = async () => {
    await docker("rmi", "--force", id).catch(() => []);
    await settle();
  };
  /** Makes a cluster. @returns how long it took to have the image, and where it came from */
  const cluster1 = async () => {
    const inputs = { ...labInputs(), node_image: reference, cluster_name: cluster };
    const done = await runAction({ inputs, cacheDir });
    if (done.exitCode !== 0) throw new Error(`${done.main.log}\n${done.post?.log}`);
    const { tasks }: { tasks: { name: string; seconds: number }[] } = JSON.parse(done.outputs.timings ?? "");
    const seconds = tasks.find(({ name }) => name === "Get node images")?.seconds ?? Number.NaN;
    return { seconds, hit: JSON.parse(done.outputs.cache_hit ?? "{}")["node-image"] === true };
  };
  await forget();
  await cluster1();
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    await forget();
    const began = performance.now();
    await docker("pull", "--quiet", reference);
    pulled.push((performance.now() - began) / 1000);
    await forget();
    const { seconds, hit } = await cluster1();
    if (!hit) throw new Error("The image did not come out of the cache.");
    restored.push(seconds);
    await forget();
    limit.push(await unpackingAlone(layers));
    console.error(
      `${repetition}: restored ${restored.at(-1)} s, pulled ${pulled.at(-1)?.toFixed(2)} s, limit ${limit.at(-1)?.toFixed(2)} s`,
    );
  }
  const compressed = pushed.images.list[0]?.layers.reduce((sum, { size }) => sum + size, 0) ?? 0;
  report(
    "node-image",
    {
      theirs: "the other way",
      keep: repetitions >= 5,
      notes: [
        `- ${repetitions} repetitions, in turns; before each, the image is gone from the daemon, and the disk has come to rest (a minute). The lab's node image in two layers, ${(compressed / 1e6).toFixed(0)} MB as a registry has it.`,
        "- Ours: the task of main that has the image, in a job that makes a cluster of it. Pulled: `docker pull`, from a registry that gives 20 MB a second and waits 50 ms before each answer.",
        "- The limit: the same two layers decompressed by zstd and unpacked by tar, side by side, on the disk of Docker's images.",
      ],
    },
    [
      {
        name: "against `docker pull`",
        ours: restored,
        theirs: pulled,
        speedup: true,
        bar: { text: "≥ 3× faster", holds: median(pulled) >= 3 * median(restored) },
      },
      {
        name: "against decompressing and unpacking",
        ours: restored,
        theirs: limit,
        bar: { text: "≤ 2×", holds: median(restored) <= 2 * median(limit) },
      },
    ],
  );
} finally {
  await removeClusters(cluster);
  await docker("rmi", "--force", fresh).catch(() => []);
  await rm(folder, { recursive: true, force: true });
}

/**
 * Makes a node image that shares nothing with those of the lab, in two layers as kind's own: the system, and the images.
 *
 * @returns the layers, compressed
 */
async function makeNodeImage(name: string): Promise<string[]> {
  const context = await mkdtemp(join(folder, "image-"));
  const images = "var/lib/containerd";
  const pack = async (name: string, ...what: string[]) => {
    const command = `docker run --rm --entrypoint tar "$0" --one-file-system -C / -c "\${@:2}" >"$1"`;
    await run("bash", ["-c", command, lab.image, join(context, name), ...what]);
  };
  await pack("system.tar", `--exclude=./${images}`, ".");
  await pack("images.tar", images);
  const [configText = ""] = await docker("inspect", "--format", "{{json .Config}}", lab.image);
  const { Entrypoint, Env, StopSignal }: { Entrypoint: string[]; Env: string[]; StopSignal: string } =
    JSON.parse(configText);
  await writeFile(
    join(context, "Dockerfile"),
    [
      "FROM scratch",
      "ADD system.tar /",
      "ADD images.tar /",
      ...Env.map((variable) => `ENV ${variable.replace("=", '="')}"`),
      `ENTRYPOINT ${JSON.stringify(Entrypoint)}`,
      ...(StopSignal ? [`STOPSIGNAL ${StopSignal}`] : []),
      "",
    ].join("\n"),
  );
  await run("docker", ["build", "--quiet", "--tag", name, context], {
    env: { ...process.env, DOCKER_BUILDKIT: "0" },
    maxBuffer: 10_000_000,
  });
  const tars = ["system.tar", "images.tar"].map((tar) => join(context, tar));
  await run("zstd", ["-q", "-T0", "--rm", ...tars]);
  return tars.map((tar) => `${tar}.zst`);
}

/** @returns seconds until the layers are unpacked from where they lie compressed, and nothing else is done */
async function unpackingAlone(layers: readonly string[]): Promise<number> {
  const [root = ""] = await docker("info", "--format", "{{.DockerRootDir}}");
  const to = await mkdtemp(join(root, "bench-"));
  try {
    const began = performance.now();
    await Promise.all(
      layers.map(async (layer, index) => {
        const target = join(to, String(index));
        await mkdir(target);
        await run("sh", ["-c", 'zstd -dc "$0" | tar -x -C "$1"', layer, target]);
      }),
    );
    return (performance.now() - began) / 1000;
  } finally {
    await rm(to, { recursive: true, force: true });
  }
}
