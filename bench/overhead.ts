import { createHash } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runAction } from "../__tests__/harness/run-action.ts";
import { labInputs } from "../__tests__/lab/inputs.ts";
import { readLab } from "../__tests__/lab/lab.ts";
import { KubernetesApi, readAccess } from "../src/kubernetes/client.ts";
import { waitUntilReady } from "../src/kubernetes/readiness.ts";
import { median, report } from "./report.ts";

/**
 * What main costs beyond what it waits for: its whole process, less the time that `kind create cluster` ran, less the
 * time from then until the cluster was ready. The latter two are seen from outside: by a `kind` that writes down when
 * it began and ended, and by an observer of the API beside the action's own.
 */
const repetitions = 5;
const cluster = "bench-overhead";

const lab = readLab();
const folder = await mkdtemp(join(tmpdir(), "bench-"));
const times = join(folder, "times");
const kind = join(folder, "kind");
try {
  await writeFile(
    kind,
    `#!/bin/sh
case $1 in create) date +%s.%N >>${times} ;; esac
${lab.kind.path} "$@"
code=$?
case $1 in create) date +%s.%N >>${times} ;; esac
exit $code
`,
  );
  await chmod(kind, 0o755);
  const inputs = labInputs();
  const sum = createHash("sha256")
    .update(await readFile(kind))
    .digest("hex");
  const own: number[] = [];
  const waited: number[] = [];
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    await rm(times, { force: true });
    const home = await mkdtemp(join(folder, "home-"));
    const ready = observe(join(home, ".kube", "config"));
    const run = await runAction({
      inputs: {
        ...inputs,
        cluster_name: cluster,
        checksums: `kind=${sum}\nkubectl=${lab.kubectl.sha256}`,
      },
      env: { HOME: home, PATH: `${folder}:${process.env.PATH}` },
    });
    if (run.exitCode !== 0) throw new Error(run.main.log);
    const [began = 0, ended = 0] = (await readFile(times, "utf8")).trim().split("\n").map(Number);
    const kindAndWait = (await ready) - began;
    own.push(run.main.seconds - kindAndWait);
    waited.push(kindAndWait);
    console.error(
      `${repetition}: main ${run.main.seconds.toFixed(2)} s, kind ${(ended - began).toFixed(2)} s, until ready ${kindAndWait.toFixed(2)} s, own ${own.at(-1)?.toFixed(2)} s`,
    );
  }
  const total = waited.map((seconds, index) => seconds + (own[index] ?? 0));
  report(
    "overhead",
    {
      theirs: "kind create cluster, then until ready",
      notes: [
        "1 node, tools and image on the machine, no archives. Own work = main's process less kind and the wait.",
      ],
    },
    [
      { name: "main", ours: total, theirs: waited },
      {
        name: "main's own work",
        ours: own,
        theirs: [],
        bar: { text: "< 1.5 s", holds: median(own) < 1.5 },
      },
    ],
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** When the cluster was ready, in seconds since the epoch. */
async function observe(kubeconfig: string): Promise<number> {
  for (;;) {
    const access = await readAccess(kubeconfig, `kind-${cluster}`).catch(() => undefined);
    if (access !== undefined) {
      const api = new KubernetesApi(access);
      await waitUntilReady(api, { name: cluster, wait: 300_000, readiness: "everything", nodes: 1 });
      api.close();
      return Date.now() / 1000;
    }
    await sleep(50);
  }
}
