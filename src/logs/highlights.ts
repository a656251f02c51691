import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** Messages that nearly always are the reason of a failure. */
const highlightPattern =
  /ErrImagePull|ImagePullBackOff|CrashLoopBackOff|oom-kill|Out of memory|Killed process|too many open files|no space left on device|DiskPressure|failed to run Kubelet|certificate (has expired|signed by unknown)/i;

const nodeLogs = ["kubelet.log", "containerd.log", "journal.log", "serial.log"];

/** Whether a line is an info message of klog: `I1121 12:47:46.322172 …`. */
const isInfo = (line: string) => /(^|\s)I\d{4} \d\d:\d\d:\d\d\./.test(line);

/**
 * Returns the lines in the exported logs of nodes that nearly always show the reason of a failure: the last ones of
 * each node, without repeated messages, each with the name of the node.
 *
 * @param folder the folder to which kind exported the logs, with a folder for each node
 * @param max the number of lines of each node
 */
export async function highlightLogs(folder: string, max = 8): Promise<string[]> {
  const nodes = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const highlights = await Promise.all(
    nodes.map(async ({ name }) => {
      const texts = await Promise.all(
        nodeLogs.map((file) => readFile(join(folder, name, file), "utf8").catch(() => "")),
      );
      const lines = texts
        .flatMap((text) => text.split("\n"))
        .filter((line) => highlightPattern.test(line) && !isInfo(line));
      // A repeated message differs only in its digits, such as those of the time stamp.
      const byMessage = new Map(
        lines.map((line) => [line.replace(/\d/g, "").slice(0, 200), line.slice(0, 400)]),
      );
      return [...byMessage.values()].slice(-max).map((line) => `${name}: ${line}`);
    }),
  );
  return highlights.flat();
}
