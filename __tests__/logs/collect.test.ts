import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ProgramError, type RunProgram } from "../../src/lib/subprocess.ts";
import { collectLogs, type LogSources } from "../../src/logs/collect.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

type ExportNodeLogs = LogSources["exportNodeLogs"];

/** A kind that exports these files. @param files texts by path */
const kindWith =
  (files: Readonly<Record<string, string>>, exitCode = 0): ExportNodeLogs =>
  async (folder) => {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(join(folder, path, ".."), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    return { exitCode, stdout: "", stderr: "" };
  };

/** A kubectl with these outputs, by command; with an exit code, one that cannot connect. */
const kubectlWith =
  (outputs: Readonly<Record<string, string>>, exitCode = 0): RunProgram =>
  async (program, args, options = {}) => {
    const command = args.slice(args.findIndex((word) => word === "get" || word === "describe")).join(" ");
    const output =
      exitCode === 0
        ? { exitCode, stdout: outputs[command] ?? "", stderr: "" }
        : { exitCode, stdout: "", stderr: "The connection to the server was refused\n" };
    if (exitCode !== 0 && options.mayFail !== true) throw new ProgramError(program, args, output, "failed");
    return output;
  };

async function collect(exportNodeLogs: ExportNodeLogs, runProgram: RunProgram) {
  const folder = join(temporaryFolder(), "logs");
  const log = recordingLog();
  const cache = join(folder, "..", "cache");
  await collectLogs(
    {
      exportNodeLogs,
      kubectl: "/tools/kubectl",
      kubeconfig: "/home/me/config",
      context: "kind-shop",
      runProgram,
      cache,
    },
    folder,
    log,
  );
  return { folder, log };
}

const token = ["eyJhbGciOiJSUzI1NiJ9", "eyJzdWIiOiJzeXN0ZW0ifQ", "c2VjcmV0"].join(".");

describe("collectLogs", () => {
  it("collects the logs that kind exports, and events, pods and nodes", async () => {
    const { folder } = await collect(
      kindWith({ "shop-control-plane/journal.log": "booted\n" }),
      kubectlWith({
        "get events --all-namespaces --output=wide --sort-by=.metadata.creationTimestamp": "an event\n",
        "get pods --all-namespaces --output=wide": "a pod\n",
        "describe pods --all-namespaces": "a pod, described\n",
        "describe nodes": "a node\n",
      }),
    );
    const text = (file: string) => readFile(join(folder, file), "utf8");
    expect(await text("shop-control-plane/journal.log")).toBe("booted\n");
    expect(await text("events.txt")).toBe("an event\n");
    expect(await text("pods.txt")).toBe("a pod\n");
    expect(await text("nodes.txt")).toBe("a node\n");
    expect(await text("pods-described.txt")).toBe("a pod, described\n");
  });

  it("runs kubectl with the context of the cluster", async () => {
    const commands: (readonly string[])[] = [];
    await collect(kindWith({}), async (program, args) => {
      commands.push([program, ...args]);
      return { exitCode: 0, stdout: "", stderr: "" };
    });
    expect(commands.length).toBeGreaterThan(0);
    for (const command of commands)
      expect(command.slice(0, 5)).toEqual([
        "/tools/kubectl",
        "--kubeconfig",
        "/home/me/config",
        "--context",
        "kind-shop",
      ]);
  });

  it("redacts secrets in the output of kind and of kubectl", async () => {
    const { folder } = await collect(
      kindWith({ "node/pods/web/app.log": `got ${token}\n` }),
      kubectlWith({ "describe nodes": `saw ${token}\n` }),
    );
    expect(await readFile(join(folder, "node/pods/web/app.log"), "utf8")).toBe("got [token removed]\n");
    expect(await readFile(join(folder, "nodes.txt"), "utf8")).toBe("saw [token removed]\n");
  });

  it("removes the copies of pod logs that kind exports from /var/log/containers", async () => {
    const { folder } = await collect(
      kindWith({ "node/containers/web.log": "hello\n", "node/pods/web/app.log": "hello\n" }),
      kubectlWith({}),
    );
    expect(await readdir(join(folder, "node"))).toEqual(["pods"]);
  });

  it("collects the exported logs if kind fails, and reports that in the log", async () => {
    const { folder, log } = await collect(kindWith({ "node/journal.log": "booted\n" }, 1), kubectlWith({}));
    expect(await readFile(join(folder, "node/journal.log"), "utf8")).toBe("booted\n");
    expect(log.lines).toContain("kind did not export all logs. The exported ones are collected.");
  });

  it("writes the error of kubectl to the log and to the file", async () => {
    const { folder, log } = await collect(kindWith({ "node/journal.log": "booted\n" }), kubectlWith({}, 1));
    expect(log.lines).toContain("`kubectl describe nodes`: The connection to the server was refused");
    expect(await readFile(join(folder, "nodes.txt"), "utf8")).toBe(
      "The connection to the server was refused\n",
    );
    expect(await readFile(join(folder, "node/journal.log"), "utf8")).toBe("booted\n");
  });

  it("does not run kubectl if that could not be verified", async () => {
    const folder = join(temporaryFolder(), "logs");
    await collectLogs(
      {
        exportNodeLogs: kindWith({ "node/journal.log": "booted\n" }),
        kubectl: undefined,
        kubeconfig: "/home/me/config",
        context: "kind-shop",
        runProgram: () => Promise.reject(new Error("collectLogs must not run a program")),
        cache: "/unused",
      },
      folder,
      recordingLog(),
    );
    expect(await readdir(folder)).toEqual(["node"]);
  });

  const timedOut: RunProgram = async (program, args) => {
    throw new ProgramError(program, args, { exitCode: 1, stdout: "", stderr: "" }, "was ended after 20 s");
  };

  it("collects and redacts the other logs if a source fails", async () => {
    const { folder, log } = await collect(kindWith({ "node/kubelet.log": `token ${token}` }), timedOut);
    expect(await readFile(join(folder, "node/kubelet.log"), "utf8")).toBe("token [token removed]");
    expect(log.lines.join("\n")).toContain("was ended after 20 s");
  });

  it("runs kubectl with its own cache folder, so that it does not write to the home of the user", async () => {
    const commands: string[][] = [];
    await collect(kindWith({}), async (_, args) => {
      commands.push([...args]);
      return { exitCode: 0, stdout: "", stderr: "" };
    });
    for (const args of commands) expect(args).toContain("--cache-dir");
  });
});
