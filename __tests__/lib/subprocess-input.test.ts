import { randomBytes } from "node:crypto";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createProgramRunner, killMarkedProcesses } from "../../src/lib/subprocess.ts";

// Programs are slow to start on a busy machine.
vi.setConfig({ testTimeout: 30_000 });

function runner() {
  const mark = `unit-${randomBytes(6).toString("hex")}`;
  onTestFinished(async () => void (await killMarkedProcesses(mark, 0)));
  return createProgramRunner(mark, { PATH: process.env.PATH ?? "" });
}

describe("RunProgram with input", () => {
  it.each(["", "one line", "two\nlines\n", "größer\0", "x".repeat(1_000_000)])(
    "writes the input to stdin and closes it",
    async (input) => {
      const { stdout } = await runner()("cat", [], { input });
      expect(stdout).toBe(input);
    },
  );

  it("ignores a program that does not read its stdin", async () => {
    const run = runner();
    for (const input of ["", "a little", "x".repeat(1_000_000)]) {
      const results = await Promise.all(
        [1, 2, 3, 4].map(() => run("sh", ["-c", "exit 3"], { input, mayFail: true })),
      );
      expect(results.map(({ exitCode }) => exitCode)).toEqual([3, 3, 3, 3]);
    }
  });
});
