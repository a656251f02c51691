import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { highlightLogs } from "../../src/logs/highlights.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

describe("highlightLogs", () => {
  /** Writes a folder as kind exports it. @param nodes the files of each node, by name */
  async function exported(
    nodes: Readonly<Record<string, Readonly<Record<string, string>>>>,
  ): Promise<string> {
    const folder = temporaryFolder();
    for (const [node, files] of Object.entries(nodes)) {
      await mkdir(join(folder, node));
      for (const [file, lines] of Object.entries(files)) await writeFile(join(folder, node, file), lines);
    }
    return folder;
  }

  it("returns the lines that show a failure, with the name of the node", async () => {
    const folder = await exported({
      "kind-control-plane": {
        "kubelet.log":
          "started\nE1121 12:47:46.322172     1 run.go:72] failed to run Kubelet: no swap\nend\n",
      },
      "kind-worker2": { "containerd.log": "failed to pull: certificate has expired\n" },
      "kind-worker3": { "serial.log": "write: no space left on device\n" },
      "kind-worker": { "journal.log": "kernel: Out of memory: Killed process 1234 (java)\n" },
    });
    expect((await highlightLogs(folder)).toSorted()).toEqual([
      "kind-control-plane: E1121 12:47:46.322172     1 run.go:72] failed to run Kubelet: no swap",
      "kind-worker2: failed to pull: certificate has expired",
      "kind-worker3: write: no space left on device",
      "kind-worker: kernel: Out of memory: Killed process 1234 (java)",
    ]);
  });

  it("returns the last occurrence of a repeated message", async () => {
    const folder = await exported({
      node: {
        "kubelet.log":
          'Nov 21 12:00:01 E1121 12:00:01.100000 1 pod_workers.go:1] "ErrImagePull" pod="web"\n' +
          'Nov 21 12:00:09 E1121 12:00:09.700000 1 pod_workers.go:1] "ErrImagePull" pod="web"\n',
      },
    });
    expect(await highlightLogs(folder)).toEqual([
      'node: Nov 21 12:00:09 E1121 12:00:09.700000 1 pod_workers.go:1] "ErrImagePull" pod="web"',
    ]);
  });

  it("ignores info messages", async () => {
    const folder = await exported({
      node: {
        "kubelet.log": 'Nov 21 12:00:01 I1121 12:00:01.100000 1 x.go:1] "DiskPressure" status=False\n',
      },
    });
    expect(await highlightLogs(folder)).toEqual([]);
  });

  it("returns the last lines of a node, and truncates long lines", async () => {
    const letters = "abcdefghij".split("");
    const folder = await exported({
      node: {
        "containerd.log": letters
          .map((letter) => `no space left on device ${letter.repeat(9_000)}`)
          .join("\n"),
      },
    });
    const lines = await highlightLogs(folder, 3);
    expect(lines.map((line) => line.slice(0, 35))).toEqual([
      "node: no space left on device hhhhh",
      "node: no space left on device iiiii",
      "node: no space left on device jjjjj",
    ]);
    for (const line of lines) expect(line.length).toBeLessThan(500);
  });

  it("returns nothing for a node without logs, and ignores files outside of the nodes' folders", async () => {
    const folder = await exported({ node: {} });
    await writeFile(join(folder, "kind-version.txt"), "CrashLoopBackOff");
    expect(await highlightLogs(folder)).toEqual([]);
  });
});
