import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { chmod, mkdir, realpath, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createProgramRunner, killMarkedProcesses, ProgramError } from "../../src/lib/subprocess.ts";
import { quiet } from "../fixtures/quiet.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

// Programs are slow to start on a busy machine.
vi.setConfig({ testTimeout: 30_000 });

const environment = { PATH: process.env.PATH ?? "" };

/** Returns a unique mark. Its processes are killed at the end of the test. */
function freshMark(): string {
  const mark = `unit-${randomBytes(6).toString("hex")}`;
  onTestFinished(async () => void (await killMarkedProcesses(mark, 0)));
  return mark;
}

const runner = (mark = freshMark()) => createProgramRunner(mark, environment);

/** Whether a process exists and is not a zombie. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !stat.slice(stat.lastIndexOf(")")).startsWith(") Z");
  } catch {
    return false;
  }
}

describe("RunProgram", () => {
  it("returns the output and the exit code", async () => {
    const output = await runner()("sh", ["-c", "echo out; echo err >&2"]);
    expect(output).toEqual({ exitCode: 0, stdout: "out\n", stderr: "err\n" });
  });

  it("fails with the command line and the last ten lines of stderr", async () => {
    const lines = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i >&2; done; echo on stdout; exit 3";
    const failed = runner()("/bin/sh", ["-c", lines]);
    await expect(failed).rejects.toBeInstanceOf(ProgramError);
    await expect(failed).rejects.toMatchObject({ output: { exitCode: 3, stdout: "on stdout\n" } });
    const last = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map((number) => `line ${number}`).join("\n");
    await expect(failed).rejects.toThrow(`\`sh -c ${lines}\` failed with exit code 3:\n${last}`);
  });

  it("fails with the last lines of stdout when stderr is empty", async () => {
    await expect(runner()("sh", ["-c", "echo pulling; echo no such image; exit 1"])).rejects.toThrow(
      /failed with exit code 1:\npulling\nno such image$/,
    );
    await expect(runner()("false", [])).rejects.toThrow(/^`false` failed with exit code 1$/);
  });

  it("returns a non-zero exit code with mayFail", async () => {
    expect(await runner()("sh", ["-c", "echo no >&2; exit 4"], { mayFail: true })).toEqual({
      exitCode: 4,
      stdout: "",
      stderr: "no\n",
    });
  });

  it("fails when the program was killed", async () => {
    await expect(runner()("sh", ["-c", "kill -9 $$"])).rejects.toBeInstanceOf(ProgramError);
  });

  it("fails with another error when the program does not exist", async () => {
    const missing = runner()("nonexistent-program", [], { mayFail: true });
    await expect(missing).rejects.toThrow("nonexistent-program");
    await expect(missing).rejects.not.toBeInstanceOf(ProgramError);
  });

  it("uses the working directory, and adds variables to the environment", async () => {
    const folder = join(temporaryFolder(), "work space");
    await mkdir(folder);
    const run = createProgramRunner(freshMark(), { ...environment, FROM_RUNNER: "a", BOTH: "runner's" });
    const { stdout } = await run("sh", ["-c", 'pwd; echo "$FROM_RUNNER $MORE $BOTH $HOME."'], {
      cwd: folder,
      env: { MORE: "b", BOTH: "its own" },
    });
    expect(stdout).toBe(`${await realpath(folder)}\na b its own .\n`);
  });
});

describe("RunProgram logs output", () => {
  it("line by line, of both streams, including a last line without a newline", async () => {
    const log = recordingLog();
    await runner()("sh", ["-c", "printf 'one\\n\\ntwo'; printf 'three\\n' >&2"], { log });
    expect(log.lines.toSorted()).toEqual(["", "one", "three", "two"]);
  });

  it("as it is printed", async () => {
    const logged: string[] = [];
    const folder = temporaryFolder();
    const go = join(folder, "go");
    const waiting = runner()(
      "sh",
      ["-c", `echo first; until [ -e '${go}' ]; do sleep 0.01; done; echo last`],
      {
        log: { line: (text) => void logged.push(text), warning: () => {} },
      },
    );
    await vi.waitFor(() => expect(logged).toEqual(["first"]), 20_000);
    await writeFile(go, "");
    await waiting;
    expect(logged).toEqual(["first", "last"]);
  });

  it("with characters that arrive in two chunks", async () => {
    const log = recordingLog();
    const pieces =
      "printf 'gr\\303'; sleep 0.1; printf '\\266\\303\\237e \\360\\237'; sleep 0.1; printf '\\223\\246\\n'";
    const { stdout } = await runner()("sh", ["-c", pieces], { log });
    expect(stdout).toBe("größe 📦\n");
    expect(log.lines).toEqual(["größe 📦"]);
  });

  it("only to the log: the runner would execute commands on stdout", async () => {
    const { printed } = quiet();
    await runner()("sh", ["-c", "echo ::set-output name=a::b; echo '##[group]x' >&2"], {
      log: recordingLog(),
    });
    expect(printed.join("")).not.toMatch(/set-output|##\[/);
  });

  it("of any length", async () => {
    const log = recordingLog();
    const { stdout } = await runner()("seq", ["1", "50000"], { log });
    expect(log.lines).toHaveLength(50_000);
    expect(stdout.endsWith("49999\n50000\n")).toBe(true);
  });
});

describe("RunProgram passes arguments", () => {
  const hostile = [
    "",
    " ",
    "  two  spaces  ",
    "--flag",
    "-n",
    "--",
    "-",
    "--name=value",
    "$(touch /tmp/owned)",
    "`id`",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: what a shell would replace
    "${HOME}",
    "$HOME",
    "; ls",
    "&& ls",
    "| cat",
    "> /tmp/file",
    "< /dev/null",
    "a & b",
    "*",
    "?",
    "[a-z]",
    "{a,b}",
    "~",
    "~/x",
    "!!",
    "#no comment",
    '"',
    '""',
    "'",
    "it's",
    '"quoted"',
    'a"b c"d',
    "\\",
    "\\\\",
    'a\\"b',
    "ends with \\",
    "\\n",
    "line\nbreak",
    "\n",
    "tab\tand\rreturn",
    "%s %d %%",
    "../../etc/passwd",
    "ünïcödé 日本語 🙂",
    "\u202eright to left",
    "\u0001\u001b[31m",
    "x".repeat(20_000),
    "::set-output name=a::b",
    "a=b",
    "=",
  ];

  it("unchanged, whatever characters they contain", async () => {
    const { stdout } = await runner()("/usr/bin/printf", ["%s\\0", ...hostile]);
    expect(stdout.split("\0").slice(0, -1)).toEqual(hostile);
  });

  it("unchanged when there is only one", async () => {
    const run = runner();
    const script = 'printf "%s\\0" "$#" "$1"';
    const echoed = await Promise.all(hostile.map((word) => run("sh", ["-c", script, "sh", word])));
    expect(echoed.map(({ stdout }) => stdout)).toEqual(hostile.map((word) => `1\0${word}\0`));
  });

  it.each(["with space", 'with "quotes" in it', "it's", "$(id)", "back\\slash", "größe"])(
    "to a program with any path: %s",
    async (name) => {
      const program = join(temporaryFolder(), name);
      await writeFile(program, '#!/bin/sh\necho "$0"\n');
      await chmod(program, 0o755);
      expect((await runner()(program, [])).stdout).toBe(`${program}\n`);
    },
  );
});

describe("RunProgram with a timeout", () => {
  it("kills the program and its descendants, and no other program of the step", async () => {
    const run = runner();
    // A child, a grandchild, and an orphan.
    const script = "sleep 300 & echo $!; sh -c 'sleep 301 & echo $!; wait' & (sleep 302 & echo $!); wait";
    const timedOut = run("sh", ["-c", script], { timeoutMs: 1_000 }).catch((reason: unknown) => reason);
    // The mark of the tenth program begins like that of the first.
    for (let number = 2; number < 10; number++) await run("true", []);
    const go = join(temporaryFolder(), "go");
    const tenth = run("sh", ["-c", `until [ -e '${go}' ]; do sleep 0.02; done; echo done`]);

    const error = await timedOut;
    if (!(error instanceof ProgramError)) throw error;
    expect(error.message).toMatch(/^`sh -c .*` timed out after 1 s:\n/s);
    const pids = error.output.stdout.trim().split("\n").map(Number);
    expect(pids).toHaveLength(3);
    await vi.waitFor(() => expect(pids.filter(isAlive)).toEqual([]), 20_000);
    await writeFile(go, "");
    expect((await tenth).stdout).toBe("done\n");
  });

  it("fails even with mayFail", async () => {
    const late = runner()("sleep", ["300"], { timeoutMs: 500, mayFail: true });
    await expect(late).rejects.toThrow("`sleep 300` timed out after 0.5 s");
  });

  it("does not kill a program that exits in time", async () => {
    expect((await runner()("echo", ["in time"], { timeoutMs: 60_000 })).stdout).toBe("in time\n");
  });
});

describe("killMarkedProcesses", () => {
  /** Starts a process that outlives its parent. @returns its pid */
  async function orphan(mark: string, script = "exec sleep 300"): Promise<number> {
    const { stdout } = await runner(mark)("sh", [
      "-c",
      'setsid sh -c "$1" >/dev/null 2>&1 </dev/null & echo $!',
      "sh",
      script,
    ]);
    const pid = Number(stdout);
    await vi.waitFor(() => expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).toMatch(/^sleep/), 20_000);
    return pid;
  }

  it("kills an orphan in another session, and waits until it has exited", async () => {
    const mark = freshMark();
    const pid = await orphan(mark);
    expect(await killMarkedProcesses(mark)).toBeGreaterThan(0);
    expect(isAlive(pid)).toBe(false);
    expect(await killMarkedProcesses(mark)).toBe(0);
  });

  it("does not kill processes of another job whose mark has the same prefix", async () => {
    const mark = freshMark();
    const [own, other] = [await orphan(`${mark}-1`), await orphan(`${mark}-10`)];
    onTestFinished(async () => void (await killMarkedProcesses(`${mark}-10`, 0)));
    await killMarkedProcesses(`${mark}-1`);
    expect(isAlive(own)).toBe(false);
    expect(isAlive(other)).toBe(true);
  });

  it("sends SIGKILL to a process that ignores SIGTERM", async () => {
    const mark = freshMark();
    const pid = await orphan(mark, "trap '' TERM; exec sleep 300");
    await killMarkedProcesses(mark, 100);
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), 20_000);
  });

  it("returns 0 when there is no process", async () => {
    expect(await killMarkedProcesses(freshMark())).toBe(0);
  });
});
