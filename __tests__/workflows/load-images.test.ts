import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createLog } from "../../src/lib/log.ts";
import { createProgramRunner } from "../../src/lib/subprocess.ts";
import { readJob } from "../../src/runner/job.ts";
import { loadIntoCluster } from "../../src/workflows/load-images.ts";
import { cacheProgramOf } from "../fixtures/cache-program.ts";
import { dockerDaemon, nodeContainer } from "../fixtures/docker-daemon.ts";
import { memoryCache } from "../fixtures/memory-cache.ts";
import { recordingPrinter } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

/** Runs the action `load` on a machine with the cluster `shop`. @param exported KIND_CLUSTER_NAME */
async function load(inputs: Readonly<Record<string, string>>, exported?: string): Promise<void> {
  const daemon = await dockerDaemon();
  const node = nodeContainer("shop", "control-plane");
  daemon.containers.set(node.id, node);
  for (const [name, value] of Object.entries(inputs)) vi.stubEnv(`INPUT_${name.toUpperCase()}`, value);
  onTestFinished(() => void vi.unstubAllEnvs());
  const printer = recordingPrinter();
  const folder = temporaryFolder();
  const env = { PATH: process.env.PATH ?? "", ...daemon.endpoint };
  try {
    await loadIntoCluster({
      env,
      job: readJob({ GITHUB_WORKSPACE: folder, RUNNER_TEMP: folder, KIND_CLUSTER_NAME: exported }),
      runId: "12-1-abc",
      runProgram: createProgramRunner("12-1-abc", env),
      spawnWorker: cacheProgramOf(memoryCache()),
      printer,
      log: createLog(printer),
      startedMs: Date.now(),
    });
  } finally {
    expect(daemon.changes).toEqual([]);
  }
}

describe("loadIntoCluster", () => {
  it("rejects an invalid cluster name together with all other problems", async () => {
    const inputs = { cluster_name: "My Cluster", load_images: "Web", wait: "soon" };
    const problems = load(inputs);
    await expect(problems).rejects.toThrow(
      /load_images "Web": .*wait "soon": .*cluster_name "My Cluster": /s,
    );
    await expect(problems).rejects.toThrow('cluster_name "My Cluster": is not a valid cluster name: ');
  });

  it.each([
    { source: "the input", inputs: { cluster_name: "other" }, exported: "shop", name: "other" },
    { source: "KIND_CLUSTER_NAME", inputs: {}, exported: "other", name: "other" },
    { source: "the default of kind", inputs: {}, exported: undefined, name: "kind" },
  ])(
    "rejects a cluster that is not running, with the name of $source",
    async ({ inputs, exported, name }) => {
      await expect(load({ ...inputs, load_images: "web" }, exported)).rejects.toThrow(
        `cluster_name "${name}": is not a running cluster: create it first, with \`org/kind-action\` or kind`,
      );
    },
  );

  it("rejects nodes that the cluster does not have", async () => {
    const inputs = { cluster_name: "shop", load_images: "web", load_nodes: "shop-worker" };
    await expect(load(inputs)).rejects.toThrow(/^load_nodes "shop-worker": .*shop-control-plane/);
  });
});
