import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type RunActionOptions, runAction } from "./run-action.ts";
import { runnerGrace } from "./step-process.ts";
import { temporaryFolder } from "./temporary-folder.ts";

// Each test starts programs, on machines that may be busy.
vi.setConfig({ testTimeout: 30_000 });

const lifecycle = join(import.meta.dirname, "fixtures/lifecycle");

/** Catches a signal, says so and goes on. */
const ignoring = (...signals: string[]) =>
  signals.map((signal) => `process.on("${signal}", () => console.log("got ${signal}"));`).join(" ");

const forever = `console.log("ready"); await new Promise((resolve) => setTimeout(resolve, 60_000));`;

/** Runs the lifecycle action and cancels the job as soon as a step says "ready". */
async function cancelled(
  scripts: { main?: string; post?: string; command?: string },
  options: RunActionOptions = {},
) {
  const controller = new AbortController();
  const started = performance.now();
  const result = await runAction({
    action: lifecycle,
    inputs: { script: scripts.main ?? "", post_script: scripts.post ?? "" },
    ...(scripts.command !== undefined && { command: ["sh", "-c", scripts.command] }),
    cancelGrace: { term: 200, kill: 100 },
    signal: controller.signal,
    print: (line) => {
      if (line === "ready") controller.abort();
    },
    ...options,
    env: { RECORD_DIR: await temporaryFolder(), ...options.env },
  });
  return { ...result, seconds: (performance.now() - started) / 1000 };
}

test("the runner gives a step 7.5 s after SIGINT and 2.5 s after SIGTERM", () => {
  expect(runnerGrace).toEqual({ term: 7500, kill: 2500 });
});

describe("a main that is cancelled", () => {
  test("gets SIGINT, and may end in its own way", async () => {
    const { main, ...result } = await cancelled({
      main: `process.on("SIGINT", () => { tell("STATE", "tidied=yes"); process.exit(0); }); ${forever}`,
      command: "echo never",
      post: "console.log(process.env.INPUT_JOB_STATUS, process.env.STATE_tidied)",
    });
    expect(main).toMatchObject({ outcome: "cancelled", exitCode: 0, signal: null });
    expect(main.log).toBe("ready\nError: The operation was canceled.");
    expect(result.command).toBeUndefined();
    expect(result.post).toMatchObject({ outcome: "success", log: "cancelled yes" });
    expect(result).toMatchObject({ jobStatus: "cancelled", exitCode: 130 });
  });

  test("ends by SIGINT when it does nothing about it", async () => {
    const { main, exitCode, post } = await cancelled({ main: forever });
    expect(main).toMatchObject({ outcome: "cancelled", exitCode: 130, signal: "SIGINT" });
    expect(exitCode).toBe(130);
    expect(post?.outcome).toBe("success");
  });

  test("gets SIGTERM when SIGINT did not end it", async () => {
    const { main, exitCode } = await cancelled({ main: ignoring("SIGINT") + forever });
    expect(main).toMatchObject({ exitCode: 143, signal: "SIGTERM" });
    expect(main.log).toMatch(/^ready\ngot SIGINT\n/);
    expect(main.seconds).toBeGreaterThan(0.2);
    expect(exitCode).toBe(143);
  });

  test("is killed when it is stubborn", async () => {
    const { main, post } = await cancelled({
      main: `tell("STATE", "intent=create"); ${ignoring("SIGINT", "SIGTERM")} ${forever}`,
      post: "console.log(process.env.STATE_intent)",
    });
    expect(main).toMatchObject({ exitCode: 137, signal: "SIGKILL" });
    expect(main.log).toMatch(/^ready\ngot SIGINT\ngot SIGTERM\n/);
    expect(main.seconds).toBeGreaterThan(0.3);
    expect(post?.log).toBe("create");
  });

  test("is signalled alone: what it started goes on", async () => {
    const { main } = await cancelled({
      main: `const { spawn } = await import("node:child_process");
        const child = spawn("sleep", ["60"], { stdio: "ignore" });
        console.log("child " + child.pid); ${forever}`,
    });
    const pid = Number(/child (\d+)/.exec(main.log)?.[1]);
    onTestFinished(() => {
      process.kill(pid, "SIGKILL");
    });
    expect(process.kill(pid, 0)).toBe(true);
  });

  test("may be cancelled a time after its start", async () => {
    const { main, jobStatus } = await cancelled(
      { main: "await new Promise((resolve) => setTimeout(resolve, 60_000));" },
      { cancelAfter: 0.4 },
    );
    expect(main).toMatchObject({ outcome: "cancelled", signal: "SIGINT" });
    expect(main.seconds).toBeGreaterThan(0.35);
    expect(main.seconds).toBeLessThan(5);
    expect(jobStatus).toBe("cancelled");
  });
});

test("a command that is cancelled is stopped in the same way, and post sees it", async () => {
  const { command, post, ...result } = await cancelled({
    command: `trap 'echo got SIGINT' INT; echo ready; while :; do sleep 0.05; done`,
    post: "console.log(process.env.INPUT_JOB_STATUS)",
  });
  expect(command).toMatchObject({ outcome: "cancelled", exitCode: 143, signal: "SIGTERM" });
  expect(command?.log).toMatch(/^ready\ngot SIGINT\n/);
  expect(post?.log).toBe("cancelled");
  expect(result).toMatchObject({ jobStatus: "cancelled", exitCode: 143 });
});

describe("a post step", () => {
  test("with always() is left alone by a cancellation that comes while it runs", async () => {
    const { post, jobStatus, exitCode } = await cancelled({
      post: `console.log("ready"); await new Promise((resolve) => setTimeout(resolve, 300)); console.log("done");`,
    });
    expect(post).toMatchObject({ outcome: "success", log: "ready\ndone" });
    expect({ jobStatus, exitCode }).toEqual({ jobStatus: "cancelled", exitCode: 130 });
  });

  test("is stopped when its condition does not hold in a cancelled job", async () => {
    const { post } = await cancelled(
      { main: "process.exitCode = 1", post: forever },
      { action: join(import.meta.dirname, "fixtures/post-if-failure") },
    );
    expect(post).toMatchObject({ outcome: "cancelled", signal: "SIGINT" });
  });

  test("is killed when the cancelled job has used up its time", async () => {
    const { main, post } = await cancelled(
      { main: forever, post: `${ignoring("SIGINT", "SIGTERM")} ${forever.replace("ready", "still here")}` },
      { cancelDeadline: 800 },
    );
    expect(main.signal).toBe("SIGINT");
    expect(post).toMatchObject({ outcome: "failure", exitCode: 137, signal: "SIGKILL", log: "still here" });
  });
});

test("nothing is cancelled by a signal that comes after the job", async () => {
  const controller = new AbortController();
  const { jobStatus } = await cancelled({}, { signal: controller.signal, cancelAfter: 60 });
  controller.abort();
  await sleep(10);
  expect(jobStatus).toBe("success");
});
