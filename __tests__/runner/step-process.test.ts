import { expect, test, vi } from "vitest";
import { runnerGrace, runProcess } from "./step-process.ts";

// Each test starts programs, on machines that may be busy.
vi.setConfig({ testTimeout: 30_000 });

const plan = { program: "sh", cwd: "/", env: { PATH: process.env.PATH ?? "" }, grace: runnerGrace };

test("hands over stdout and stderr line by line, whatever ends a line", async () => {
  const lines: string[] = [];
  const script = "printf 'a\\r\\nb\\n\\nc'; printf 'err\\n' >&2";
  const exit = await runProcess({ ...plan, args: ["-c", script], onLine: (line) => lines.push(line) });
  expect(lines.sort()).toEqual(["", "a", "b", "c", "err"]);
  expect(exit).toMatchObject({ exitCode: 0, signal: null });
});

test("has no stdin to wait for", async () => {
  const exit = await runProcess({ ...plan, args: ["-c", "read line || exit 9"], onLine: () => undefined });
  expect(exit.exitCode).toBe(9);
});

test("has a process group of its own", async () => {
  const lines: string[] = [];
  const script = "echo $$; ps -o pgid= -p $$";
  await runProcess({ ...plan, args: ["-c", script], onLine: (line) => lines.push(line.trim()) });
  expect(lines[0]).toBe(lines[1]);
});

test("does not wait for ever when something it started holds on to its output", async () => {
  const lines: string[] = [];
  const exit = await runProcess({
    ...plan,
    args: ["-c", "sleep 60 & echo $!"],
    onLine: (line) => lines.push(line),
    drain: 300,
  });
  process.kill(Number(lines[0]), "SIGKILL");
  expect(exit.exitCode).toBe(0);
  expect(exit.seconds).toBeGreaterThan(0.29);
  expect(exit.seconds).toBeLessThan(10);
});
