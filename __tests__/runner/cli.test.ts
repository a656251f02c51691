import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { temporaryFolder } from "./temporary-folder.ts";

// Each test starts programs, on machines that may be busy.
vi.setConfig({ testTimeout: 30_000 });

const script = resolve(import.meta.dirname, "../../script/run-action");
const action = ["--action", join(import.meta.dirname, "fixtures/lifecycle")];

/** Runs script/run-action to its end. */
async function runAction(args: readonly string[], onOutput?: (text: string, child: ChildProcess) => void) {
  const child = spawn(script, ["--env", `RECORD_DIR=${await temporaryFolder()}`, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk;
      onOutput?.(chunk.toString(), child);
    });
  }
  const exitCode = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { exitCode, output };
}

test("runs main, the command and post, and prints the job's log", async () => {
  const folder = await temporaryFolder();
  const { exitCode, output } = await runAction([
    ...action,
    "-i",
    'script=console.log("::group::Work"); console.log("::warning::hm"); tell("OUTPUT", "a=1"); tell("ENV", "A=2"); tell("STEP_SUMMARY", "# Hi")',
    "--input=post_script=console.log(process.env.INPUT_JOB_STATUS)",
    "-i",
    "two words=with\nlines",
    "--outputs",
    join(folder, "outputs.json"),
    "--summary",
    join(folder, "summary.md"),
    "--",
    "sh",
    "-c",
    'echo "A is $A"; exit 7',
  ]);
  expect(output.split("\n")).toEqual([
    "Run the action",
    "▸ Work",
    "Warning: hm",
    'Run sh -c echo "A is $A"; exit 7',
    "A is 2",
    "Error: Process completed with exit code 7.",
    "Post Run the action",
    "failure",
    "",
  ]);
  expect(exitCode).toBe(7);
  expect(JSON.parse(await readFile(join(folder, "outputs.json"), "utf8"))).toEqual({ a: "1" });
  expect(await readFile(join(folder, "summary.md"), "utf8")).toBe("# Hi\n");
});

test("takes options after -- as the command's own", async () => {
  const { exitCode, output } = await runAction([...action, "--", "echo", "--action", "x", "--", "y"]);
  expect(output).toContain("\n--action x -- y\n");
  expect(exitCode).toBe(0);
});

test("gives the job a workspace, variables and a matrix", async () => {
  const workspace = await temporaryFolder();
  const { output } = await runAction([
    ...action,
    ...["--workspace", workspace, "--env", "A=b=c", "--env", "RUNNER_NAME=mine", "--matrix", "v=1.34"],
    ...["--", "sh", "-c", 'echo "$PWD $A $RUNNER_NAME"'],
  ]);
  expect(output).toContain(`${workspace} b=c mine\n`);
});

describe("a cancellation", () => {
  const waits = [...action, "-i", "post_script=console.log(process.env.INPUT_JOB_STATUS)", "-i"];

  test.each(["SIGINT", "SIGTERM"] as const)("by %s to the harness still runs post", async (signal) => {
    const script = `script=console.log("rea" + "dy"); await new Promise((resolve) => setTimeout(resolve, 60_000))`;
    const { exitCode, output } = await runAction([...waits, script], (text, child) => {
      if (text.includes("ready")) child.kill(signal);
    });
    expect(output).toMatch(/The job is cancelled; its post step comes now\.\n.*\ncancelled\n$/s);
    expect(exitCode).toBe(130);
  });

  test("by time", async () => {
    const { exitCode, output } = await runAction(["--cancel-after", "0.5", ...action, "--", "sleep", "60"]);
    expect(output).toContain("Error: The operation was canceled.");
    expect(exitCode).toBe(130);
  });
});

test("goes on when nobody reads its log any more", async () => {
  const folder = await temporaryFolder();
  const post = `post_script=(await import("node:fs")).writeFileSync("${folder}/post", "")`;
  const { exitCode } = await runAction(
    [...action, "-i", "script=for (let i = 0; i < 10_000; i++) console.log('line ' + i)", "-i", post],
    (_, child) => child.stdout?.destroy(),
  );
  expect(exitCode).toBe(0);
  expect(await readFile(join(folder, "post"), "utf8")).toBe("");
});

test.concurrent.each([
  [["--nonsense"], 2, "Unknown option '--nonsense'"],
  [["-i", "novalue"], 2, "--input wants NAME=VALUE, not 'novalue'"],
  [["--cancel-after", "soon"], 2, "--cancel-after wants a number of seconds, not 'soon'"],
  [["--action", "/no/such/folder"], 1, "no such file or directory"],
  [["--help"], 0, "usage: script/run-action"],
])("%j exits with %i", async (args, exitCode, message) => {
  const result = await runAction(args);
  expect(result.output).toContain(message);
  expect(result.exitCode).toBe(exitCode);
});
