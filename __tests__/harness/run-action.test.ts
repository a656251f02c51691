import { existsSync } from "node:fs";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { runAction } from "./run-action.ts";
import { scriptAction } from "./script-action.ts";
import { runnerGrace } from "./step-process.ts";

// Each test starts programs, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

test("a job passes inputs to main, and what main leaves to the command, to post and to the caller", async () => {
  vi.stubEnv("KUBECONFIG", "/of/the/caller");
  onTestFinished(() => void vi.unstubAllEnvs());
  const main = `
    console.log("::group::Inputs");
    console.log(env.INPUT_NUMBER, env.INPUT_TWO_WORDS, env.INPUT_JOB_STATUS, JSON.parse(env.INPUT_MATRIX).shard);
    console.log(env.A, env.GITHUB_JOB, env.RUNNER_TEMP, env.KUBECONFIG, env.ACTIONS_RUNTIME_TOKEN);
    console.log("::add-mask::s3cret");
    console.log("::warning::100%25 s3cret");
    tell("OUTPUT", "a=1");
    tell("STATE", "b<<EOF\\n2\\n3\\nEOF");
    tell("ENV", "C=s3cret");
    tell("ENV", "GITHUB_JOB=other");
    tell("PATH", "/first");
    tell("PATH", "/second");
    tell("STEP_SUMMARY", "# s3cret");`;
  const post = `
    console.log(env.STATE_b, env.C, env.D, env.GITHUB_JOB, env.INPUT_JOB_STATUS);
    tell("STEP_SUMMARY", "post");`;
  const command = `echo "$C $PATH \${INPUT_NUMBER-no} \${STATE_b-no} \${ACTIONS_RUNTIME_TOKEN-no}"
    echo D=4 >> "$GITHUB_ENV"
    exit 7`;
  const run = await runAction({
    action: await scriptAction(main, post),
    inputs: { "Two Words": "given", unknown: "" },
    env: { A: "a", GITHUB_JOB: "build" },
    matrix: { shard: "x" },
    cacheDir: temporaryFolder(),
    command: ["sh", "-c", command],
  });
  const lines = run.main.log.split("\n");
  const temp = lines[3]?.split(" ")[2] ?? "";
  expect(lines).toEqual([
    "Warning: Unexpected input 'unknown'",
    "▸ Inputs",
    "1.5 given success x",
    `a build ${temp} undefined ***`,
    "Warning: 100% ***",
  ]);
  expect(run.command?.log).toBe(`*** /second:/first:${process.env.PATH} no no no`);
  expect(run.post?.log).toBe("Warning: Unexpected input 'unknown'\n2\n3 *** 4 build failure");
  expect(run).toMatchObject({
    exitCode: 7,
    jobStatus: "failure",
    outputs: { a: "1" },
    state: { b: "2\n3" },
    env: { C: "s3cret", D: "4" },
    path: ["/second", "/first"],
    summary: "# ***\npost\n",
    annotations: [
      { level: "warning", message: "Unexpected input 'unknown'" },
      { level: "warning", message: "100% ***" },
      { level: "warning", message: "Unexpected input 'unknown'" },
    ],
  });
  expect(temp).toMatch(/_temp$/);
  expect(existsSync(temp)).toBe(false);
});

test.each([
  ["main fails", "process.exitCode = 3", "exit 4", "process.exitCode = 5", 3],
  ["main is killed", 'process.kill(process.pid, "SIGKILL"); await forever()', "true", "", 137],
  ["main leaves a broken command file", 'tell("ENV", "broken")', "true", "", 1],
  ["the command cannot be started", "", undefined, "", 127],
  ["post fails", "", "true", "process.exitCode = 5", 5],
])("a job fails when %s; post runs, with the state of before", async (_, main, script, post, exitCode) => {
  const run = await runAction({
    action: await scriptAction(`tell("STATE", "a=1"); ${main}`, `console.log(env.STATE_a); ${post}`),
    command: script === undefined ? ["/no/such/program"] : ["sh", "-c", script],
  });
  expect(run).toMatchObject({ exitCode, jobStatus: "failure", post: { log: "1" } });
  expect(run.command === undefined).toBe(run.main.outcome === "failure");
});

describe("a job that is cancelled", () => {
  /** Runs an action and cancels its job as soon as main says "ready". */
  async function cancelled(main: string, post: string, job = 60_000) {
    const controller = new AbortController();
    return runAction({
      action: await scriptAction(main, post),
      command: ["echo", "never"],
      cancelGrace: { term: 1_000, kill: 1_000, job },
      signal: controller.signal,
      print: (line) => {
        if (line.startsWith("ready")) controller.abort();
      },
    });
  }

  test("sends SIGINT, SIGTERM and SIGKILL to main alone, and runs post to its end", async () => {
    expect(runnerGrace).toEqual({ term: 7_500, kill: 2_500, job: 300_000 });
    const main = `
      const { spawn } = await import("node:child_process");
      const child = spawn("sleep", ["60"], { stdio: "ignore" });
      for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => console.log("got " + signal));
      tell("STATE", "a=1");
      console.log("ready", child.pid);
      await forever();`;
    const run = await cancelled(main, "console.log(env.STATE_a, env.INPUT_JOB_STATUS);");
    const pid = Number(/ready (\d+)/.exec(run.main.log)?.[1]);
    onTestFinished(() => void process.kill(pid, "SIGKILL"));
    expect(process.kill(pid, 0)).toBe(true);
    expect(run.main).toMatchObject({ outcome: "cancelled", exitCode: 137, signal: "SIGKILL" });
    expect(run.main.log).toBe(`ready ${pid}\ngot SIGINT\ngot SIGTERM\nError: The operation was canceled.`);
    expect(run.command).toBeUndefined();
    expect(run.post).toMatchObject({ outcome: "success", log: "1 cancelled" });
    expect(run).toMatchObject({ jobStatus: "cancelled", exitCode: 137 });
  });

  test("is cancelled also when main ends well after SIGINT; post is killed when its time is up", async () => {
    const main = `process.on("SIGINT", () => process.exit(0)); console.log("ready"); await forever();`;
    const { post, ...run } = await cancelled(main, "await forever();", 1_500);
    expect(run).toMatchObject({ jobStatus: "cancelled", main: { outcome: "cancelled", exitCode: 0 } });
    expect(post).toMatchObject({ outcome: "failure", signal: "SIGKILL" });
  });

  test("interrupts the command, a time after main has started", async () => {
    const action = await scriptAction("", "console.log(env.INPUT_JOB_STATUS)");
    const run = await runAction({ action, command: ["sleep", "60"], cancelAfter: 1.5 });
    expect(run).toMatchObject({ jobStatus: "cancelled", exitCode: 130, post: { log: "cancelled" } });
  });
});
