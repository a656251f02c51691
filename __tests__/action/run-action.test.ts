import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, type TestContext, vi } from "vitest";

/** Runs a story as a step, in a process of its own: a step ends its process. */
async function step({ onTestFinished }: TestContext, story: string, before = "") {
  const folder = await mkdtemp(join(tmpdir(), "kind-action-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const script = join(folder, "step.ts");
  const module = new URL("../../src/runner/run-action.ts", import.meta.url).href;
  await writeFile(
    script,
    `${before}\nconst { runStep } = await import("${module}");\nawait runStep(${story});\n`,
  );
  const runId = randomBytes(4).toString("hex");
  const child = spawn(process.execPath, [script], {
    env: { PATH: process.env.PATH, GITHUB_RUN_ID: runId, GITHUB_RUN_ATTEMPT: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let said = "";
  child.stdout.on("data", (chunk) => {
    said += chunk;
  });
  child.stderr.on("data", (chunk) => {
    said += chunk;
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  return { child, ended, said: () => said };
}

/** The pids that a step has printed, of what its story started. */
const pidsIn = (said: string) => [...said.matchAll(/^pid (\d+)$/gm)].map(([, pid]) => Number(pid));

function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !stat.slice(stat.lastIndexOf(")")).startsWith(") Z");
  } catch {
    return false;
  }
}

/** A story that starts a program which goes on, and says its pid. */
const endless = `async (on) => {
  const log = { line: (text) => console.log(text), warning: () => {} };
  await on.start("sh", ["-c", "sleep 300 & echo pid $!; wait"], { log });
}`;

// Most of each is the start of a process: they share that time.
describe.concurrent("a step", { timeout: 30_000 }, () => {
  it("keeps its inputs, in which there are secrets, from the programs that it starts", async (test) => {
    const story = `async (on) => {
      const { stdout } = await on.start("env", []);
      console.log(stdout.includes("GITHUB_RUN_ID="), stdout.includes("INPUT_"));
    }`;
    const { ended, said } = await step(test, story, 'process.env.INPUT_REGISTRY_CREDENTIALS = "secret";');
    expect(await ended).toBe(0);
    expect(said()).toMatch(/^true false$/m);
  });

  it("succeeds with its story, which knows the job and the run", async (test) => {
    const { ended, said } = await step(test, 'async (on) => console.log("run", on.run, on.job.attempt)');
    expect(await ended).toBe(0);
    expect(said()).toMatch(/^run [0-9a-f]{8}-1-[0-9a-f]{6} 1$/m);
  });

  it("fails with its story's error, in words alone", async (test) => {
    const { ended, said } = await step(
      test,
      'async () => { throw new Error("no network\\n::set-output name=a::b"); }',
    );
    expect(await ended).toBe(1);
    expect(said()).toContain("::error::no network%0A::set-output name=a::b");
    expect(said()).not.toMatch(/^\s+at /m);
  });

  it("ends what its story has left running, and does not wait for it", async (test) => {
    const { ended, said } = await step(
      test,
      `(on) => new Promise((resolve) => {
      const log = { line: (text) => resolve(console.log(text)), warning: () => {} };
      on.start("sh", ["-c", "sleep 300 & echo pid $!; wait"], { log }).catch(() => {});
      setInterval(() => {}, 1_000);
    })`,
    );
    expect(await ended).toBe(0);
    expect(pidsIn(said())).toHaveLength(1);
    expect(pidsIn(said()).filter(isAlive)).toEqual([]);
  });

  it.for(["SIGINT", "SIGTERM"] as const)(
    "that is cancelled by %s ends what it has started, and says why it ends",
    async (signal, test) => {
      const { child, ended, said } = await step(test, `${endless}, { afterwards: "The rest comes later." }`);
      await vi.waitFor(() => expect(pidsIn(said())).toHaveLength(1), 20_000);
      child.kill(signal);
      expect(await ended).toBe(1);
      expect(pidsIn(said()).filter(isAlive)).toEqual([]);
      expect(said()).toContain(`Cancelled (${signal}): what was started is ended. The rest comes later.\n`);
      // The program that was ended is no error of its own.
      expect(said()).not.toContain("::error::");
    },
  );

  it("refuses a runner that is not Linux, before its story begins", async (test) => {
    const { ended, said } = await step(
      test,
      'async () => console.log("begun")',
      'Object.defineProperty(process, "platform", { value: "darwin" });',
    );
    expect(await ended).toBe(1);
    expect(said()).toContain(
      "::error::kind-action runs on Linux runners, and this one is darwin: kind's nodes are Linux containers. Use `runs-on: ubuntu-latest`.",
    );
    expect(said()).not.toContain("begun");
  });

  it("refuses a runner of an architecture that kind is not published for", async (test) => {
    const { ended, said } = await step(
      test,
      'async () => console.log("begun")',
      'Object.defineProperty(process, "arch", { value: "riscv64" });',
    );
    expect(await ended).toBe(1);
    expect(said()).toContain("::error::kind-action runs on x64 and arm64 runners, and this one is riscv64");
    expect(said()).not.toContain("begun");
  });
});
