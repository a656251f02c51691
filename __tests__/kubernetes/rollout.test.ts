import { describe, expect, it } from "vitest";
import { parseWorkload, restartWorkloads } from "../../src/kubernetes/rollout.ts";
import { ProgramError, type RunProgram } from "../../src/lib/subprocess.ts";
import { recordingLog } from "../fixtures/recording.ts";

describe("parseWorkload", () => {
  it.each([
    ["deployment/web", undefined, "deployment/web"],
    ["deploy/web", undefined, "deploy/web"],
    ["statefulset/db-0", undefined, "statefulset/db-0"],
    ["sts/db", undefined, "sts/db"],
    ["daemonset/agent.v2", undefined, "daemonset/agent.v2"],
    ["ds/agent", undefined, "ds/agent"],
    ["shop/deployment/web", "shop", "deployment/web"],
    ["kube-system/deployments/coredns", "kube-system", "deployments/coredns"],
  ])("accepts %s", (text, namespace, name) => {
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
  ])("rejects %j", (text) => {
    expect(parseWorkload(text)).toEqual({
      problem:
        "must be deployment/NAME, statefulset/NAME or daemonset/NAME, with an optional NAMESPACE/ before it",
    });
  });
});

const [web, db] = [
  { namespace: undefined, name: "deployment/web" },
  { namespace: "shop", name: "statefulset/db" },
];

/** A fake kubectl. @param failures the error output by a part of the command line that fails */
function kubectl(failures: Readonly<Record<string, string>> = {}) {
  const calls: string[] = [];
  const timeouts: (number | undefined)[] = [];
  const runProgram: RunProgram = async (program, args, options = {}) => {
    const call = [program, ...args].join(" ");
    calls.push(call);
    timeouts.push(options.timeoutMs);
    const stderr = Object.entries(failures).find(([part]) => call.includes(part))?.[1];
    const output = { exitCode: stderr === undefined ? 0 : 1, stdout: "", stderr: stderr ?? "" };
    if (stderr !== undefined) throw new ProgramError(program, args, output, "failed with exit code 1");
    return output;
  };
  return { runProgram, calls, timeouts };
}

describe("restartWorkloads", () => {
  it("restarts each workload, and waits for its rollout", async () => {
    const { runProgram, calls } = kubectl();
    await restartWorkloads(
      [web, db],
      { runProgram, context: "kind-shop", timeoutMs: 90_000 },
      recordingLog(),
    );
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

  it("restarts all workloads before it waits for a rollout", async () => {
    const { runProgram, calls } = kubectl();
    const secondRestarted = Promise.withResolvers<void>();
    const slow: RunProgram = async (program, args, options) => {
      // The rollout of the first workload ends only after the restart of the second one.
      if (args.includes("status") && args.includes(web.name)) await secondRestarted.promise;
      if (args.includes("restart") && args.includes(db.name)) secondRestarted.resolve();
      return await runProgram(program, args, options);
    };
    await restartWorkloads(
      [web, db],
      { runProgram: slow, context: "kind-shop", timeoutMs: 90_000 },
      recordingLog(),
    );
    expect(calls).toHaveLength(4);
  });

  it("fails with the name of the workload and the reason of kubectl if a rollout fails", async () => {
    const { runProgram } = kubectl({
      "rollout status statefulset/db": "error: timed out waiting for the condition",
    });
    await expect(
      restartWorkloads([web, db], { runProgram, context: "kind-shop", timeoutMs: 90_000 }, recordingLog()),
    ).rejects.toThrow(/^Could not restart statefulset\/db: .*error: timed out waiting for the condition$/s);
  });

  it("does not wait for a workload that does not exist", async () => {
    const { runProgram, calls } = kubectl({ "rollout restart": 'deployments.apps "web" not found' });
    await expect(
      restartWorkloads([web], { runProgram, context: "kind-shop", timeoutMs: 90_000 }, recordingLog()),
    ).rejects.toThrow(/^Could not restart deployment\/web: .*"web" not found$/s);
    expect(calls).toHaveLength(1);
  });

  it("gives kubectl time to report its own timeout", async () => {
    const { runProgram, timeouts } = kubectl();
    await restartWorkloads([web], { runProgram, context: "kind-shop", timeoutMs: 90_500 }, recordingLog());
    expect(timeouts[1]).toBeGreaterThan(91_000);
  });

  it("does not wait for a rollout with a timeout of 0", async () => {
    const { runProgram, calls } = kubectl();
    await restartWorkloads([web], { runProgram, context: "kind-shop", timeoutMs: 0 }, recordingLog());
    // kubectl would wait without a timeout for a timeout of 0.
    expect(calls).toEqual(["kubectl --context kind-shop rollout restart deployment/web"]);
  });

  it("does nothing without workloads", async () => {
    const { runProgram, calls } = kubectl();
    await restartWorkloads([], { runProgram, context: "kind-shop", timeoutMs: 90_000 }, recordingLog());
    expect(calls).toEqual([]);
  });
});
