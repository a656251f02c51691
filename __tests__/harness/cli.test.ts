import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { scriptAction } from "./script-action.ts";

// Each test starts programs, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

/** Runs the program of script/run-action to its end. */
async function runCli(args: readonly string[], onOutput?: (text: string, child: ChildProcess) => void) {
  const child = spawn(process.execPath, [join(import.meta.dirname, "cli.ts"), ...args], {
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

test("the program prints the job's log, writes outputs and summary, and exits as the job does", async () => {
  const folder = temporaryFolder();
  const main = `console.log(env["INPUT_TWO_WORDS"]); tell("OUTPUT", "a=1"); tell("STEP_SUMMARY", "# Hi");`;
  const { exitCode, output } = await runCli([
    ...["--action", await scriptAction(main, "console.log(env.INPUT_JOB_STATUS)")],
    ...["-i", "two words=a=b", "--env", "A=2", "--workspace", folder],
    ...["--outputs", join(folder, "outputs.json"), "--summary", join(folder, "summary.md")],
    ...["--", "sh", "-c", 'echo "$PWD $A"; exit 7', "--", "-x"],
  ]);
  expect(output.split("\n")).toEqual([
    "Run the action",
    "a=b",
    'Run sh -c echo "$PWD $A"; exit 7 -- -x',
    `${folder} 2`,
    "Post Run the action",
    "failure",
    "",
  ]);
  expect(exitCode).toBe(7);
  expect(JSON.parse(await readFile(join(folder, "outputs.json"), "utf8"))).toEqual({ a: "1" });
  expect(await readFile(join(folder, "summary.md"), "utf8")).toBe("# Hi\n");
});

test("a signal to the program cancels the job, which still runs post", async () => {
  const action = await scriptAction(`console.log("ready"); await forever();`, `console.log("cleaned up")`);
  const { exitCode, output } = await runCli(["--action", action], (text, child) => {
    if (text.includes("ready")) child.kill("SIGTERM");
  });
  expect(output).toContain("cleaned up");
  expect(exitCode).toBe(130);
});

test.each([
  [["--nonsense"], 2, "Unknown option '--nonsense'"],
  [["--action", ".", "-i", "novalue"], 2, "--input wants NAME=VALUE, not 'novalue'"],
  [["--help"], 0, "usage: script/run-action"],
])("%j exits with %i", async (args, exitCode, message) => {
  const result = await runCli(args);
  expect(result.output).toContain(message);
  expect(result.exitCode).toBe(exitCode);
});
