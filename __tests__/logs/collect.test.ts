import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { KindCli } from "../../src/cluster/kind-cli.ts";
import { ProgramError, type RunProgram } from "../../src/lib/subprocess.ts";
import { collectLogs } from "../../src/logs/collect.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const unused = () => Promise.reject(new Error("collecting logs changes nothing"));

/** A kind that exports files, by path. */
function kindWith(files: Readonly<Record<string, string>>, exitCode = 0): KindCli {
  return {
    create: unused,
    delete: unused,
    async exportLogs(_, folder) {
      for (const [path, text] of Object.entries(files)) {
        await mkdir(join(folder, path, ".."), { recursive: true });
        await writeFile(join(folder, path), text);
      }
      return { exitCode, stdout: "", stderr: "" };
    },
  };
}

/** A kubectl that answers questions; for an exit code, one that gets no answer itself. */
const kubectlWith =
  (answers: Readonly<Record<string, string>>, exitCode = 0): RunProgram =>
  async (program, args, options = {}) => {
    const question = args.slice(args.findIndex((word) => word === "get" || word === "describe")).join(" ");
    const output =
      exitCode === 0
        ? { exitCode, stdout: answers[question] ?? "", stderr: "" }
        : { exitCode, stdout: "", stderr: "The connection to the server was refused\n" };
    if (exitCode !== 0 && options.mayFail !== true) throw new ProgramError(program, args, output, "failed");
    return output;
  };

async function collect(kind: KindCli, run: RunProgram, kubectl: string | undefined = "/tools/kubectl") {
  const folder = join(temporaryFolder(), "logs");
  const log = recordingLog();
  const cache = join(folder, "..", "cache");
  await collectLogs(
    { cluster: "shop", kubeconfig: "/home/me/config", kind, kubectl, run, cache },
    folder,
    log,
  );
  return { folder, log };
}

const token = ["eyJhbGciOiJSUzI1NiJ9", "eyJzdWIiOiJzeXN0ZW0ifQ", "c2VjcmV0"].join(".");

describe("the logs of a cluster", () => {
  it("are what kind exports, and the cluster's own view: events, pods, nodes", async () => {
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

  it("are asked of this cluster, whatever the current context is", async () => {
    const asked: (readonly string[])[] = [];
    await collect(kindWith({}), async (program, args) => {
      asked.push([program, ...args]);
      return { exitCode: 0, stdout: "", stderr: "" };
    });
    expect(asked.length).toBeGreaterThan(0);
    for (const words of asked)
      expect(words.slice(0, 5)).toEqual([
        "/tools/kubectl",
        "--kubeconfig",
        "/home/me/config",
        "--context",
        "kind-shop",
      ]);
  });

  it("hold no secrets, neither kind's part nor kubectl's", async () => {
    const { folder } = await collect(
      kindWith({ "node/pods/web/app.log": `got ${token}\n` }),
      kubectlWith({ "describe nodes": `saw ${token}\n` }),
    );
    expect(await readFile(join(folder, "node/pods/web/app.log"), "utf8")).toBe("got [token removed]\n");
    expect(await readFile(join(folder, "nodes.txt"), "utf8")).toBe("saw [token removed]\n");
  });

  it("hold each pod's log once: kind brings it a second time, through the links of /var/log/containers", async () => {
    const { folder } = await collect(
      kindWith({ "node/containers/web.log": "hello\n", "node/pods/web/app.log": "hello\n" }),
      kubectlWith({}),
    );
    expect(await readdir(join(folder, "node"))).toEqual(["pods"]);
  });

  it("are kept as far as they came when kind cannot export everything, and it is said", async () => {
    const { folder, log } = await collect(kindWith({ "node/journal.log": "booted\n" }, 1), kubectlWith({}));
    expect(await readFile(join(folder, "node/journal.log"), "utf8")).toBe("booted\n");
    expect(log.lines).toContain("kind could not export everything; what it could is kept.");
  });

  it("say what kubectl said where it gets no answer", async () => {
    const { folder, log } = await collect(kindWith({ "node/journal.log": "booted\n" }), kubectlWith({}, 1));
    expect(log.lines).toContain("`kubectl describe nodes`: The connection to the server was refused");
    expect(await readFile(join(folder, "nodes.txt"), "utf8")).toBe(
      "The connection to the server was refused\n",
    );
    expect(await readFile(join(folder, "node/journal.log"), "utf8")).toBe("booted\n");
  });

  it("do without kubectl where that could not be verified", async () => {
    const folder = join(temporaryFolder(), "logs");
    await collectLogs(
      {
        cluster: "shop",
        kubeconfig: "/home/me/config",
        kind: kindWith({ "node/journal.log": "booted\n" }),
        kubectl: undefined,
        run: () => Promise.reject(new Error("nothing may be run")),
        cache: "/unused",
      },
      folder,
      recordingLog(),
    );
    expect(await readdir(folder)).toEqual(["node"]);
  });
});

describe("a source of logs that fails", () => {
  const late: RunProgram = async (program, args) => {
    throw new ProgramError(program, args, { exitCode: 1, stdout: "", stderr: "" }, "was ended after 20 s");
  };

  it("takes nothing from the others, and nothing from their redaction", async () => {
    const { folder, log } = await collect(kindWith({ "node/kubelet.log": `token ${token}` }), late);
    expect(await readFile(join(folder, "node/kubelet.log"), "utf8")).toBe("token [token removed]");
    expect(log.lines.join("\n")).toContain("was ended after 20 s");
  });

  it("leaves nothing of kubectl in the user's home", async () => {
    const asked: string[][] = [];
    await collect(kindWith({}), async (_, args) => {
      asked.push([...args]);
      return { exitCode: 0, stdout: "", stderr: "" };
    });
    for (const args of asked) expect(args).toContain("--cache-dir");
  });
});
