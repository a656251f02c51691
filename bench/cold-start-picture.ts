import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { removeClusters } from "../__tests__/e2e/machine.ts";
import { runAction } from "../__tests__/harness/run-action.ts";
import { labInputs } from "../__tests__/lab/inputs.ts";

/**
 * Draws where the time of a cold start goes, from the logs of all who take part.
 *
 *     node bench/cold-start-picture.ts [--nodes N] [--image current|old] [--fast-start true|false]
 */
const { values: flags } = parseArgs({
  options: {
    nodes: { type: "string", default: "1" },
    image: { type: "string", default: "current" },
    "fast-start": { type: "string", default: "true" },
  },
});

/** Something that happened, in milliseconds since the epoch. */
interface Moment {
  readonly at: number;
  readonly who: string;
  readonly what: string;
}

const name = `picture-${randomBytes(3).toString("hex")}`;

/** A script that waits for every pod and writes down what can be known, a file each. */
function collect(into: string): string {
  return `set -e
kubectl wait --for=condition=Ready pods --all --all-namespaces --timeout=300s >/dev/null
kubectl get pods --all-namespaces -o json >${into}/pods.json
kubectl get nodes -o json >${into}/nodes.json
for node in $(kind get nodes --name ${name}); do
  docker inspect "$node" >${into}/$node.container.json
  docker exec "$node" journalctl --output=short-unix --no-pager --unit=containerd --unit=kubelet >${into}/$node.journal
  docker exec "$node" bash -c 'cd /var/log/pods && for log in */*/0.log; do echo "== $log"; head -c 400000 "$log"; done' >${into}/$node.pods
done
`;
}

async function momentsOf(from: string): Promise<Moment[]> {
  const moments: Moment[] = [];
  for (const file of await readdir(from)) {
    const text = await readFile(join(from, file), "utf8");
    if (file === "pods.json") moments.push(...conditions(text, "pod"));
    else if (file === "nodes.json") moments.push(...conditions(text, "node"));
    else if (file.endsWith(".container.json")) moments.push(...containerMoments(text));
    else if (file.endsWith(".journal")) moments.push(...journalMoments(file.replace(".journal", ""), text));
    else if (file.endsWith(".pods")) moments.push(...podLogMoments(file.replace(".pods", ""), text));
  }
  return moments;
}

const list = z.looseObject({
  items: z.array(
    z.looseObject({
      metadata: z.looseObject({ name: z.string(), creationTimestamp: z.string() }),
      status: z.looseObject({
        conditions: z.array(
          z.looseObject({ type: z.string(), status: z.string(), lastTransitionTime: z.string() }),
        ),
      }),
    }),
  ),
});

/** What the API knows of objects, to the second: it cuts off what is below. */
const conditions = (text: string, kind: string): Moment[] =>
  list.parse(JSON.parse(text)).items.flatMap(({ metadata, status }) => [
    {
      at: Date.parse(metadata.creationTimestamp),
      who: kind,
      what: `${metadata.name} created (whole seconds)`,
    },
    ...status.conditions
      .filter(({ type, status: value }) => ["Ready", "PodScheduled"].includes(type) && value === "True")
      .map(({ type, lastTransitionTime }) => ({
        at: Date.parse(lastTransitionTime),
        who: kind,
        what: `${metadata.name} ${type} (whole seconds)`,
      })),
  ]);

function containerMoments(text: string): Moment[] {
  const [container] = z
    .array(
      z.looseObject({
        Name: z.string(),
        Created: z.string(),
        State: z.looseObject({ StartedAt: z.string() }),
      }),
    )
    .parse(JSON.parse(text));
  if (container === undefined) return [];
  return [
    { at: Date.parse(container.Created), who: "docker", what: `${container.Name} create` },
    { at: Date.parse(container.State.StartedAt), who: "docker", what: `${container.Name} started` },
  ];
}

const journalPatterns: readonly [RegExp, string][] = [
  [/containerd successfully booted/, "containerd is up"],
  [/"Started kubelet"|Started kubelet\.service/, "kubelet started"],
  [/"Successfully registered node"/, "node registered"],
  [/RunPodSandbox for .*Name:([\w-]+),.* returns sandbox id/, "sandbox"],
  [/StartContainer for .* returns successfully/, "container started"],
  [/"SyncLoop ADD" source="api" pods=\["([^"]+)"\]/, "pod seen"],
  [
    /"SyncLoop \(probe\)" probe="(?:readiness|startup)" status="(?:ready|started)" pod="([^"]+)"/,
    "probe succeeds",
  ],
];

function journalMoments(node: string, text: string): Moment[] {
  return text.split("\n").flatMap((line) => {
    const [, at, unit] = /^(\d+\.\d+) \S+ (\w+)\[/.exec(line) ?? [];
    const found = journalPatterns.find(([pattern]) => pattern.test(line));
    if (at === undefined || found === undefined) return [];
    const subject = found[0].exec(line)?.[1] ?? "";
    return [
      {
        at: Number(at) * 1000,
        who: `${node.replace(`${name}-`, "")} ${unit}`,
        what: `${found[1]} ${subject}`,
      },
    ];
  });
}

const podPatterns: readonly RegExp[] = [
  /successfully acquired lease \S+/,
  /"Started controller" controller="(?:namespace|serviceaccount|daemonset|deployment|replicaset|endpointslice|taint-eviction)\S*"/,
  /Serving securely|caches populated|became leader at term|Caches are synced/,
  /CoreDNS-\S+|plugin\/ready: .*/,
];

/** The first line of each container, and those that say something. */
function podLogMoments(node: string, text: string): Moment[] {
  return text.split(/^== /m).flatMap((log) => {
    const [path = "", ...lines] = log.split("\n");
    const who = `${node.replace(`${name}-`, "")} ${path.split("/")[1] ?? ""}`;
    const seen = new Set<string>();
    return lines.flatMap((line, index): Moment[] => {
      const at = Date.parse(line.split(" ")[0] ?? "");
      const what =
        index === 0
          ? "first line of its log"
          : podPatterns.map((pattern) => pattern.exec(line)?.[0]).find(Boolean);
      if (Number.isNaN(at) || what === undefined || seen.has(what)) return [];
      seen.add(what);
      return [{ at, who, what }];
    });
  });
}

/** kubeadm's own lines, which kind prints when it says more, with the time of the day in UTC. */
function kubeadmMoments(log: string): Moment[] {
  const today = new Date().toISOString().slice(0, 10);
  return log.split("\n").flatMap((line) => {
    const [, time, what] = /^[IW]\d{4} (\d\d:\d\d:\d\d\.\d{6}) +\d+ \S+\] (.*)/.exec(line) ?? [];
    if (time === undefined || what === undefined) return [];
    if (!/^\[|creating|waiting|poll|Applied|GET .*(livez|healthz).* 200|POST/.test(what)) return [];
    return [{ at: Date.parse(`${today}T${time}Z`), who: "kubeadm", what: what.slice(0, 90) }];
  });
}

const folder = await mkdtemp(join(tmpdir(), "picture-"));
try {
  const workers = "- role: worker\n".repeat(Number(flags.nodes) - 1);
  const began = Date.now();
  const run = await runAction({
    inputs: {
      ...labInputs(flags.image === "old" ? "old" : "current"),
      config: `kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n${workers}`,
      cluster_name: name,
      fast_start: flags["fast-start"],
      verbosity: "3",
    },
    command: ["bash", "-c", collect(folder)],
  });
  if (run.exitCode !== 0) throw new Error(`${run.main.log}\n${run.command?.log}`);
  const moments = [...(await momentsOf(folder)), ...kubeadmMoments(run.main.log)]
    .filter(({ at }) => at >= began - 1_000)
    .toSorted((a, b) => a.at - b.at);
  console.log(`main took ${run.main.seconds.toFixed(1)} s. Seconds since its start:\n`);
  for (const { at, who, what } of moments)
    console.log(`${((at - began) / 1000).toFixed(1).padStart(6)}  ${who.padEnd(34)} ${what}`);
} finally {
  await removeClusters(name);
  await rm(folder, { recursive: true, force: true });
}
