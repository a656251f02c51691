import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { docker, removeClusters } from "../__tests__/e2e/machine.ts";
import { inheritedEnvironment } from "../__tests__/harness/job-variables.ts";
import { runAction } from "../__tests__/harness/run-action.ts";
import { runnerGrace, runProcess } from "../__tests__/harness/step-process.ts";
import { labInputs } from "../__tests__/lab/inputs.ts";
import { type Lab, readLab } from "../__tests__/lab/lab.ts";
import { errorMessage } from "../src/lib/errors.ts";
import { median, type Row, report } from "./report.ts";

/** A cluster that is started on both sides. */
export interface ColdStart {
  readonly name: string;
  readonly image: keyof Lab["nodeImages"];
  readonly roles: readonly ("control-plane" | "worker")[];
  /** Ours may take this share of their time. */
  readonly bar?: number;
  /** Inputs of the action, beside those of every start. */
  readonly inputs?: Readonly<Record<string, string>>;
  /** The other side is the action with these inputs, not kind. */
  readonly against?: Readonly<Record<string, string>>;
}

/** What both sides wait for when theirs and ours say that they are done: $0 is an image of the node's with nslookup. */
const ready = `set -e
kubectl wait --for=condition=Ready pods --all --all-namespaces --timeout=300s
kubectl run dns --image "$0" --image-pull-policy Never --restart Never --command -- \
  sh -c 'until nslookup kubernetes.default.svc.cluster.local; do sleep 0.1; done'
kubectl wait --for=jsonpath='{.status.phase}'=Succeeded pod/dns --timeout=120s
`;

const { values: flags } = parseArgs({
  options: {
    repetitions: { type: "string", default: "5" },
    only: { type: "string", multiple: true, default: [] },
    input: { type: "string", multiple: true, default: [] },
    json: { type: "boolean", default: false },
  },
});

/** Measures cold starts, ours and theirs in turns, and reports them under a name. */
export async function measureColdStarts(
  name: string,
  starts: readonly ColdStart[],
  theirs = "`kind create cluster --wait 5m`",
): Promise<void> {
  const repetitions = Number(flags.repetitions);
  const chosen = starts.filter((start) => flags.only.length === 0 || flags.only.includes(start.name));
  const whole = chosen.length === starts.length && repetitions >= 5 && flags.input.length === 0;
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());
  const folder = await mkdtemp(join(tmpdir(), "bench-"));
  const problems: string[] = [];
  const rows: Row[] = [];
  try {
    for (const start of chosen) {
      const on = {
        start,
        folder,
        signal: stop.signal,
        helper: await helperImage(start, folder, stop.signal),
      };
      const samples: Record<"ours" | "theirs", number[]> = { ours: [], theirs: [] };
      const { inputs = {}, against } = start;
      for (let repetition = 1; repetition <= repetitions; repetition++) {
        for (const [side, measure] of [
          ["ours", () => startOurs(on, inputs)],
          ["theirs", () => (against === undefined ? startTheirs(on) : startOurs(on, against))],
        ] as const) {
          stop.signal.throwIfAborted();
          await sleep(3_000);
          try {
            samples[side].push(await measure());
            console.error(`${start.name}, ${repetition}: ${side} ${samples[side].at(-1)?.toFixed(2)} s`);
          } catch (error) {
            stop.signal.throwIfAborted();
            console.error(errorMessage(error));
            problems.push(`${start.name}, ${repetition}, ${side}: ${errorMessage(error).split("\n")[0]}`);
          }
        }
      }
      const { bar } = start;
      const holds = (most: number) =>
        problems.length === 0 && median(samples.ours) <= most * median(samples.theirs);
      rows.push({
        name: start.name,
        ...samples,
        ...(bar !== undefined && { bar: { text: `≤ ${bar}×`, holds: holds(bar) } }),
      });
    }
    report(
      name,
      {
        theirs,
        keep: whole,
        notes: [
          `- ${repetitions} repetitions, in turns, after one that is not counted. From the start (of main, of kind) until every pod is Ready and a pod has been made that got an answer from DNS; the last part by the same commands on both sides.`,
          ...problems.map((problem) => `- Failed: ${problem}`),
        ],
      },
      rows,
    );
    if (problems.length > 0) process.exitCode = 1;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    process.exitCode = 130;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Measured {
  readonly start: ColdStart;
  readonly folder: string;
  readonly signal: AbortSignal;
  /** An image that the node image brings, with a shell and nslookup. */
  readonly helper: string;
}

const freshName = () => `bench-cold-${randomBytes(3).toString("hex")}`;

const configOf = ({ roles }: ColdStart) =>
  `kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n${roles.map((role) => `- role: ${role}\n`).join("")}`;

async function startOurs(
  { start, signal, helper }: Measured,
  inputs: Readonly<Record<string, string>>,
): Promise<number> {
  const name = freshName();
  const given = Object.fromEntries(flags.input.map((input) => input.split("=", 2) as [string, string]));
  try {
    const done = await runAction({
      inputs: { ...labInputs(start.image), config: configOf(start), cluster_name: name, ...inputs, ...given },
      command: ["bash", "-c", ready, helper],
      signal,
    });
    if (done.exitCode !== 0) throw new Error(`${done.main.log}\n${done.command?.log}`);
    return done.main.seconds + (done.command?.seconds ?? 0);
  } finally {
    await removeClusters(name);
  }
}

async function startTheirs({ start, folder, signal, helper }: Measured): Promise<number> {
  const name = freshName();
  const config = join(folder, `${name}.yaml`);
  const kubeconfig = join(folder, name);
  await writeFile(config, configOf(start));
  const { image } = readLab().nodeImages[start.image];
  try {
    const create = [
      "create",
      "cluster",
      "--name",
      name,
      "--image",
      image,
      "--config",
      config,
      "--wait",
      "5m",
    ];
    const created = await run("kind", [...create, "--kubeconfig", kubeconfig], folder, signal);
    const waited = await run("bash", ["-c", ready, helper], folder, signal, { KUBECONFIG: kubeconfig });
    return created + waited;
  } finally {
    await removeClusters(name);
  }
}

/** Starts a cluster that is not counted, which has the image in memory for both sides, and looks into it. */
async function helperImage(start: ColdStart, folder: string, signal: AbortSignal): Promise<string> {
  const name = freshName();
  const { image } = readLab().nodeImages[start.image];
  try {
    await run(
      "kind",
      ["create", "cluster", "--name", name, "--image", image, "--kubeconfig", join(folder, name)],
      folder,
      signal,
    );
    const images = await docker("exec", `${name}-control-plane`, "ctr", "-n", "k8s.io", "images", "ls", "-q");
    const helper = images.find((each) => each.includes("local-path-helper"));
    if (helper === undefined) throw new Error(`${image} brings no local-path-helper.`);
    return helper;
  } finally {
    await removeClusters(name);
  }
}

/** Runs a program to its end. @returns seconds @throws when it fails */
async function run(
  program: string,
  args: readonly string[],
  folder: string,
  signal: AbortSignal,
  env: Record<string, string> = {},
): Promise<number> {
  const lines: string[] = [];
  const { exitCode, seconds } = await runProcess({
    program,
    args: [...args],
    cwd: folder,
    env: { ...inheritedEnvironment(), HOME: folder, ...env },
    onLine: (line) => lines.push(line),
    interrupt: signal,
    grace: runnerGrace,
  });
  if (exitCode !== 0) throw new Error(`${program} ${args.slice(0, 3).join(" ")} failed: ${lines.join("\n")}`);
  return seconds;
}
