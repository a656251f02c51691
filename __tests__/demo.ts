import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildArchive } from "./e2e/image-archive.ts";
import { leftSince, machineNow } from "./e2e/machine.ts";
import { runAction } from "./harness/run-action.ts";
import { labInputs } from "./lab/inputs.ts";

/** script/demo: shows what a workflow would see, and what is left on the machine afterwards. */
const workspace = await mkdtemp(join(tmpdir(), "demo-"));
const cluster = "demo";
const image = "demo/app:1";
const print = (line: string) => console.log(line);
const title = (text: string) => print(`\n== ${text}`);
try {
  const before = await machineNow();
  title("An earlier job builds an image, and hands it on as an archive");
  await mkdir(join(workspace, "images"));
  const began = performance.now();
  await buildArchive(image, join(workspace, "images", "app.tar"));
  print(`images/app.tar with ${image} (${((performance.now() - began) / 1000).toFixed(1)} s)`);

  title("This job uses the action, and runs a pod from that image");
  const pod = [
    `kubectl run app --image=${image} --image-pull-policy=Never`,
    "kubectl wait --for=condition=Ready pod/app --timeout=60s",
    "kubectl get pods --all-namespaces",
  ];
  const run = await runAction({
    workspace,
    inputs: { ...labInputs(), cluster_name: cluster, load_archives: "images/*.tar" },
    command: ["sh", "-exc", pod.join("\n")],
    print,
  });

  title("The job's summary page");
  print(run.summary);
  const { processes, containers, volumes, networks } = await leftSince(before);
  const left = [...processes, ...containers, ...volumes, ...networks];
  title(
    left.length === 0
      ? "Nothing is left: no container, volume, network, process"
      : `Left: ${left.join(", ")}`,
  );
  const seconds = [run.main, run.command, run.post].map((step) => `${step?.seconds.toFixed(1) ?? "-"} s`);
  print(`main ${seconds[0]}, pod ${seconds[1]}, post ${seconds[2]}`);
  process.exitCode = run.exitCode || (left.length === 0 ? 0 : 1);
} finally {
  await rm(workspace, { recursive: true, force: true });
}
