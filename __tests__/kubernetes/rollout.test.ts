import { describe, expect, it } from "vitest";
import { parseWorkload, restartWorkloads } from "../../src/kubernetes/rollout.ts";
import { ProgramError, type RunProgram } from "../../src/lib/subprocess.ts";
import { recordingLog } from "../fixtures/recording.ts";

describe("a workload to restart", () => {
  it.each([
    ["deployment/web", undefined, "deployment/web"],
    ["deploy/web", undefined, "deploy/web"],
    ["statefulset/db-0", undefined, "statefulset/db-0"],
    ["sts/db", undefined, "sts/db"],
    ["daemonset/agent.v2", undefined, "daemonset/agent.v2"],
    ["ds/agent", undefined, "ds/agent"],
    ["shop/deployment/web", "shop", "deployment/web"],
    ["kube-system/deployments/coredns", "kube-system", "deployments/coredns"],
  ])("is %s", (text, namespace, name) => {
    expect(parseWorkload(text)).toEqual({ namespace, name });
  });

  it.each([
    "web",
    "deployment",
    "deployment/",
    "pod/web",
    "deployment web",
    "deployment.apps/web",
    "Deployment/web",
    "a/b/deployment/web",
    "/deployment/web",
    "deployment/web --all",
    "--all/deployment/web",
    "deployment/-web",
    "deployment/$(id)",
    "deployment/web,deployment/api",
  ])("is not %j", (text) => {
    expect(parseWorkload(text)).toEqual({
      problem:
        "wants deployment/NAME, statefulset/NAME or daemonset/NAME, with NAMESPACE/ before it if need be",
    });
  });
});

const [web, db] = [
  { namespace: undefined, name: "deployment/web" },
  { namespace: "shop", name: "statefulset/db" },
];

/** A kubectl that says why it fails at some of its command lines. */
function kubectl(failures: Readonly<Record<string, string>> = {}) {
  const calls: string[] = [];
  const deadlines: (number | undefined)[] = [];
  const run: RunProgram = async (program, args, options = {}) => {
    const call = [program, ...args].join(" ");
    calls.push(call);
    deadlines.push(options.deadline);
    const stderr = Object.entries(failures).find(([part]) => call.includes(part))?.[1];
    const output = { exitCode: stderr === undefined ? 0 : 1, stdout: "", stderr: stderr ?? "" };
    if (stderr !== undefined) throw new ProgramError(program, args, output, "failed with exit code 1");
    return output;
  };
  return { run, calls, deadlines };
}

describe("a restart", () => {
  it("replaces the pods of each workload, and waits for the new ones", async () => {
    const { run, calls } = kubectl();
    await restartWorkloads([web, db], { run, context: "kind-shop", deadline: 90_000 }, recordingLog());
    const of = (name: string) => calls.filter((call) => call.includes(name));
    expect(of("deployment/web")).toEqual([
      "kubectl --context kind-shop rollout restart deployment/web",
      "kubectl --context kind-shop rollout status deployment/web --timeout=90s",
    ]);
    expect(of("statefulset/db")).toEqual([
      "kubectl --context kind-shop --namespace shop rollout restart statefulset/db",
      "kubectl --context kind-shop --namespace shop rollout status statefulset/db --timeout=90s",
    ]);
  });

  it("is of all at once: none waits for the pods of another", async () => {
    const { run, calls } = kubectl();
    const statusAsked = Promise.withResolvers<void>();
    const slow: RunProgram = async (program, args, options) => {
      // The first workload is not through before the second has been restarted.
      if (args.includes("status") && args.includes(web.name)) await statusAsked.promise;
      if (args.includes("restart") && args.includes(db.name)) statusAsked.resolve();
      return await run(program, args, options);
    };
    await restartWorkloads([web, db], { run: slow, context: "kind-shop", deadline: 90_000 }, recordingLog());
    expect(calls).toHaveLength(4);
  });

  it("that does not get through fails by the workload's name, with kubectl's reason", async () => {
    const { run } = kubectl({
      "rollout status statefulset/db": "error: timed out waiting for the condition",
    });
    await expect(
      restartWorkloads([web, db], { run, context: "kind-shop", deadline: 90_000 }, recordingLog()),
    ).rejects.toThrow(/^statefulset\/db was not restarted: .*error: timed out waiting for the condition$/s);
  });

  it("of what is not there does not wait for it", async () => {
    const { run, calls } = kubectl({ "rollout restart": 'deployments.apps "web" not found' });
    await expect(
      restartWorkloads([web], { run, context: "kind-shop", deadline: 90_000 }, recordingLog()),
    ).rejects.toThrow(/^deployment\/web was not restarted: .*"web" not found$/s);
    expect(calls).toHaveLength(1);
  });

  it("lets kubectl tell that time is over before kubectl itself is ended", async () => {
    const { run, deadlines } = kubectl();
    await restartWorkloads([web], { run, context: "kind-shop", deadline: 90_500 }, recordingLog());
    expect(deadlines[1]).toBeGreaterThan(91_000);
  });

  it("waits for nothing where it may take no time", async () => {
    const { run, calls } = kubectl();
    await restartWorkloads([web], { run, context: "kind-shop", deadline: 0 }, recordingLog());
    // kubectl would take a timeout of 0 for none.
    expect(calls).toEqual(["kubectl --context kind-shop rollout restart deployment/web"]);
  });

  it("of nothing does nothing", async () => {
    const { run, calls } = kubectl();
    await restartWorkloads([], { run, context: "kind-shop", deadline: 90_000 }, recordingLog());
    expect(calls).toEqual([]);
  });
});
