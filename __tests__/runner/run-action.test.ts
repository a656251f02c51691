import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, type TestContext, vi } from "vitest";

/**
 * Runs a workflow in a new process, because runAction() exits the process.
 *
 * @param args the arguments of runAction, as source text
 * @param setup statements that are executed first
 */
async function step({ onTestFinished }: TestContext, args: string, setup = "") {
  const folder = await mkdtemp(join(tmpdir(), "kind-action-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const script = join(folder, "step.ts");
  const module = new URL("../../src/runner/run-action.ts", import.meta.url).href;
  await writeFile(
    script,
    `${setup}\nconst { runAction } = await import("${module}");\nawait runAction(${args});\n`,
  );
  const runId = randomBytes(4).toString("hex");
  const child = spawn(process.execPath, [script], {
    env: { PATH: process.env.PATH, GITHUB_RUN_ID: runId, GITHUB_RUN_ATTEMPT: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  child.stderr.on("data", (chunk) => {
    output += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  return { child, ended, output: () => output };
}

/** Returns the PIDs that programs of a workflow printed. */
const pidsIn = (output: string) => [...output.matchAll(/^pid (\d+)$/gm)].map(([, pid]) => Number(pid));

function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !stat.slice(stat.lastIndexOf(")")).startsWith(") Z");
  } catch {
    return false;
  }
}

/** A workflow that starts a program which does not exit, and prints its PID. */
const endless = `async (ctx) => {
  const log = { line: (text) => console.log(text), warning: () => {} };
  await ctx.runProgram("sh", ["-c", "sleep 300 & echo pid $!; wait"], { log });
}`;

// Concurrent, because each test mostly waits for the start of a process.
describe.concurrent("runAction", { timeout: 30_000 }, () => {
  it("hides inputs, which may contain secrets, from programs", async (test) => {
    const workflow = `async (ctx) => {
      const { stdout } = await ctx.runProgram("env", []);
      console.log(stdout.includes("GITHUB_RUN_ID="), stdout.includes("INPUT_"));
    }`;
    const { ended, output } = await step(
      test,
      workflow,
      'process.env.INPUT_REGISTRY_CREDENTIALS = "secret";',
    );
    expect(await ended).toBe(0);
    expect(output()).toMatch(/^true false$/m);
  });

  it("exits with 0 after the workflow, which gets the job and the run ID", async (test) => {
    const { ended, output } = await step(
      test,
      'async (ctx) => console.log("run", ctx.runId, ctx.job.attempt)',
    );
    expect(await ended).toBe(0);
    expect(output()).toMatch(/^run [0-9a-f]{8}-1-[0-9a-f]{6} 1$/m);
  });

  it("exits with 1 and the message of an error, without a stack trace", async (test) => {
    const { ended, output } = await step(
      test,
      'async () => { throw new Error("no network\\n::set-output name=a::b"); }',
    );
    expect(await ended).toBe(1);
    expect(output()).toContain("::error::no network%0A::set-output name=a::b");
    expect(output()).not.toMatch(/^\s+at /m);
  });

  it("exits with 1 after an error that nobody catches, and reports only that one", async (test) => {
    const { ended, output } = await step(
      test,
      `async () => {
        for (const text of ["first", "second"]) setImmediate(() => { throw new Error(text); });
        await new Promise((resolve) => setImmediate(resolve));
        throw new Error("third");
      }`,
    );
    expect(await ended).toBe(1);
    expect(output()).toContain("::error::Unexpected error, please report it as an issue: Error: first");
    expect(output().match(/::error::/g)).toHaveLength(1);
  });

  it("kills programs that still run after the workflow", async (test) => {
    const { ended, output } = await step(
      test,
      `(ctx) => new Promise((resolve) => {
      const log = { line: (text) => resolve(console.log(text)), warning: () => {} };
      ctx.runProgram("sh", ["-c", "sleep 300 & echo pid $!; wait"], { log }).catch(() => {});
      setInterval(() => {}, 1_000);
    })`,
    );
    expect(await ended).toBe(0);
    expect(pidsIn(output())).toHaveLength(1);
    expect(pidsIn(output()).filter(isAlive)).toEqual([]);
  });

  it.for(["SIGINT", "SIGTERM"] as const)(
    "kills all programs when it is cancelled by %s",
    async (signal, test) => {
      const { child, ended, output } = await step(test, `${endless}, { onCancel: "Post deletes the rest." }`);
      await vi.waitFor(() => expect(pidsIn(output())).toHaveLength(1), 20_000);
      child.kill(signal);
      expect(await ended).toBe(1);
      expect(pidsIn(output()).filter(isAlive)).toEqual([]);
      expect(output()).toContain(`Cancelled (${signal}): stopping all programs. Post deletes the rest.\n`);
      // The killed program is not reported as an error.
      expect(output()).not.toContain("::error::");
    },
  );

  it("rejects a platform that is not Linux, before the workflow starts", async (test) => {
    const { ended, output } = await step(
      test,
      'async () => console.log("started")',
      'Object.defineProperty(process, "platform", { value: "darwin" });',
    );
    expect(await ended).toBe(1);
    expect(output()).toContain(
      "::error::kind-action runs on Linux runners only, and the platform of this runner is darwin: the nodes of kind are Linux containers. Use `runs-on: ubuntu-latest`.",
    );
    expect(output()).not.toContain("started");
  });

  it("rejects an architecture that kind has no release for", async (test) => {
    const { ended, output } = await step(
      test,
      'async () => console.log("started")',
      'Object.defineProperty(process, "arch", { value: "riscv64" });',
    );
    expect(await ended).toBe(1);
    expect(output()).toContain(
      "::error::kind-action runs on x64 and arm64 runners only, and the architecture of this runner is riscv64",
    );
    expect(output()).not.toContain("started");
  });
});
