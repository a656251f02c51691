import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { chmod, mkdir, realpath, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createProgramRunner, killMarkedProcesses, ProgramError } from "../../src/lib/subprocess.ts";
import { quiet } from "../fixtures/quiet.ts";
import { recordingLog } from "../fixtures/recording.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

// Programs take their time on a busy machine.
vi.setConfig({ testTimeout: 30_000 });

const environment = { PATH: process.env.PATH ?? "" };

/** A mark that no other test has; what carries it, or it with more behind, is ended with the test. */
function freshMark(): string {
  const mark = `unit-${randomBytes(6).toString("hex")}`;
  onTestFinished(async () => void (await killMarkedProcesses(mark, 0)));
  return mark;
}

const runner = (mark = freshMark()) => createProgramRunner(mark, environment);

/** Whether a process is there and does more than wait to be buried. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !stat.slice(stat.lastIndexOf(")")).startsWith(") Z");
  } catch {
    return false;
  }
}

describe("a program", () => {
  it("gives its output and its end", async () => {
    const output = await runner()("sh", ["-c", "echo out; echo err >&2"]);
    expect(output).toEqual({ exitCode: 0, stdout: "out\n", stderr: "err\n" });
  });

  it("that fails is an error, with its name, its arguments and the last that it said", async () => {
    const lines = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i >&2; done; echo on stdout; exit 3";
    const failed = runner()("/bin/sh", ["-c", lines]);
    await expect(failed).rejects.toBeInstanceOf(ProgramError);
    await expect(failed).rejects.toMatchObject({ output: { exitCode: 3, stdout: "on stdout\n" } });
    const last = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map((number) => `line ${number}`).join("\n");
    await expect(failed).rejects.toThrow(`\`sh -c ${lines}\` failed with exit code 3:\n${last}`);
  });

  it("that fails with its words on stdout alone is an error with these", async () => {
    await expect(runner()("sh", ["-c", "echo pulling; echo no such image; exit 1"])).rejects.toThrow(
      /failed with exit code 1:\npulling\nno such image$/,
    );
    await expect(runner()("false", [])).rejects.toThrow(/^`false` failed with exit code 1$/);
  });

  it("may fail where a failure is an answer", async () => {
    expect(await runner()("sh", ["-c", "echo no >&2; exit 4"], { mayFail: true })).toEqual({
      exitCode: 4,
      stdout: "",
      stderr: "no\n",
    });
  });

  it("that was killed has failed", async () => {
    await expect(runner()("sh", ["-c", "kill -9 $$"])).rejects.toBeInstanceOf(ProgramError);
  });

  it("that there is not is another error than one that fails", async () => {
    const missing = runner()("nonexistent-program", [], { mayFail: true });
    await expect(missing).rejects.toThrow("nonexistent-program");
    await expect(missing).rejects.not.toBeInstanceOf(ProgramError);
  });

  it("runs where it is told to, with the runner's variables and more", async () => {
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

describe("what a program says", () => {
  it("is told line by line, of both streams, the last one without its end too", async () => {
    const log = recordingLog();
    await runner()("sh", ["-c", "printf 'one\\n\\ntwo'; printf 'three\\n' >&2"], { log });
    expect(log.lines.toSorted()).toEqual(["", "one", "three", "two"]);
  });

  it("is told as it comes", async () => {
    const told: string[] = [];
    const folder = temporaryFolder();
    const go = join(folder, "go");
    const waiting = runner()(
      "sh",
      ["-c", `echo first; until [ -e '${go}' ]; do sleep 0.01; done; echo last`],
      {
        log: { line: (text) => void told.push(text), warning: () => {} },
      },
    );
    await vi.waitFor(() => expect(told).toEqual(["first"]), 20_000);
    await writeFile(go, "");
    await waiting;
    expect(told).toEqual(["first", "last"]);
  });

  it("keeps letters whole that arrive in two pieces", async () => {
    const log = recordingLog();
    const pieces =
      "printf 'gr\\303'; sleep 0.1; printf '\\266\\303\\237e \\360\\237'; sleep 0.1; printf '\\223\\246\\n'";
    const { stdout } = await runner()("sh", ["-c", pieces], { log });
    expect(stdout).toBe("größe 📦\n");
    expect(log.lines).toEqual(["größe 📦"]);
  });

  it("is told to nobody else: the runner would obey it", async () => {
    const { printed } = quiet();
    await runner()("sh", ["-c", "echo ::set-output name=a::b; echo '##[group]x' >&2"], {
      log: recordingLog(),
    });
    expect(printed.join("")).not.toMatch(/set-output|##\[/);
  });

  it("may be much", async () => {
    const log = recordingLog();
    const { stdout } = await runner()("seq", ["1", "50000"], { log });
    expect(log.lines).toHaveLength(50_000);
    expect(stdout.endsWith("49999\n50000\n")).toBe(true);
  });
});

describe("arguments", () => {
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

  it("reach the program as they are, however they look", async () => {
    const { stdout } = await runner()("/usr/bin/printf", ["%s\\0", ...hostile]);
    expect(stdout.split("\0").slice(0, -1)).toEqual(hostile);
  });

  it("reach the program as they are when there is only one", async () => {
    const run = runner();
    const script = 'printf "%s\\0" "$#" "$1"';
    const echoed = await Promise.all(hostile.map((word) => run("sh", ["-c", script, "sh", word])));
    expect(echoed.map(({ stdout }) => stdout)).toEqual(hostile.map((word) => `1\0${word}\0`));
  });

  it.each(["with space", 'with "quotes" in it', "it's", "$(id)", "back\\slash", "größe"])(
    "start the program at its path, however that looks: %s",
    async (name) => {
      const program = join(temporaryFolder(), name);
      await writeFile(program, '#!/bin/sh\necho "$0"\n');
      await chmod(program, 0o755);
      expect((await runner()(program, [])).stdout).toBe(`${program}\n`);
    },
  );
});

describe("a program that takes too long", () => {
  it("is ended with all that it started, and with nothing else of the same step", async () => {
    const run = runner();
    // A child, a grandchild, and one that has no parent any more.
    const script = "sleep 300 & echo $!; sh -c 'sleep 301 & echo $!; wait' & (sleep 302 & echo $!); wait";
    const ended = run("sh", ["-c", script], { deadline: 1_000 }).catch((reason: unknown) => reason);
    // The tenth program's number begins like the first one's.
    for (let number = 2; number < 10; number++) await run("true", []);
    const go = join(temporaryFolder(), "go");
    const tenth = run("sh", ["-c", `until [ -e '${go}' ]; do sleep 0.02; done; echo done`]);

    const error = await ended;
    if (!(error instanceof ProgramError)) throw error;
    expect(error.message).toMatch(/^`sh -c .*` was ended after 1 s:\n/s);
    const pids = error.output.stdout.trim().split("\n").map(Number);
    expect(pids).toHaveLength(3);
    await vi.waitFor(() => expect(pids.filter(isAlive)).toEqual([]), 20_000);
    await writeFile(go, "");
    expect((await tenth).stdout).toBe("done\n");
  });

  it("has failed even where a failure is an answer", async () => {
    const late = runner()("sleep", ["300"], { deadline: 500, mayFail: true });
    await expect(late).rejects.toThrow("`sleep 300` was ended after 0.5 s");
  });

  it("is not ended when it is done in time", async () => {
    expect((await runner()("echo", ["in time"], { deadline: 60_000 })).stdout).toBe("in time\n");
  });
});

describe("ending what a step has started", () => {
  /** Starts a process that outlives the program that started it. @returns its pid */
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

  it("finds what has lost its parent and its session, and waits until it is gone", async () => {
    const mark = freshMark();
    const pid = await orphan(mark);
    expect(await killMarkedProcesses(mark)).toBeGreaterThan(0);
    expect(isAlive(pid)).toBe(false);
    expect(await killMarkedProcesses(mark)).toBe(0);
  });

  it("leaves another step's alone, though its mark begin in the same way", async () => {
    const mark = freshMark();
    const [mine, others] = [await orphan(`${mark}-1`), await orphan(`${mark}-10`)];
    onTestFinished(async () => void (await killMarkedProcesses(`${mark}-10`, 0)));
    await killMarkedProcesses(`${mark}-1`);
    expect(isAlive(mine)).toBe(false);
    expect(isAlive(others)).toBe(true);
  });

  it("does not ask for ever: what will not end is killed", async () => {
    const mark = freshMark();
    const pid = await orphan(mark, "trap '' TERM; exec sleep 300");
    await killMarkedProcesses(mark, 100);
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), 20_000);
  });

  it("is done at once where nothing was started", async () => {
    expect(await killMarkedProcesses(freshMark())).toBe(0);
  });
});
