import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { type RunActionOptions, runAction } from "./run-action.ts";
import { temporaryFolder } from "./temporary-folder.ts";

// Each test starts programs, on machines that may be busy.
vi.setConfig({ testTimeout: 30_000 });

afterEach(() => {
  vi.unstubAllEnvs();
});

const fixture = (name: string) => join(import.meta.dirname, "fixtures", name);

const record = z.object({ env: z.record(z.string(), z.string()), cwd: z.string() });

/** Runs the lifecycle action with JavaScript of the test for main and post, and returns what they saw. */
async function run(scripts: { main?: string; post?: string }, options: RunActionOptions = {}) {
  const recordDir = await temporaryFolder();
  const result = await runAction({
    action: fixture("lifecycle"),
    ...options,
    inputs: { script: scripts.main ?? "", post_script: scripts.post ?? "", ...options.inputs },
    env: { RECORD_DIR: recordDir, ...options.env },
  });
  const saw = async (stage: string) =>
    record.parse(JSON.parse(await readFile(join(recordDir, `${stage}.json`), "utf8")));
  return { ...result, saw };
}

describe("main", () => {
  test("sees the variables of a push on a hosted Linux runner", async () => {
    const workspace = await temporaryFolder();
    const { saw, ...result } = await run({}, { workspace });
    const { env, cwd } = await saw("main");
    expect(cwd).toBe(workspace);
    expect(env).toMatchObject({
      CI: "true",
      GITHUB_ACTIONS: "true",
      GITHUB_ACTION: "__self",
      GITHUB_ACTION_PATH: fixture("lifecycle"),
      GITHUB_EVENT_NAME: "push",
      GITHUB_JOB: "test",
      GITHUB_REF: "refs/heads/main",
      GITHUB_REF_NAME: "main",
      GITHUB_REF_TYPE: "branch",
      GITHUB_REPOSITORY: "org/repo",
      GITHUB_RUN_ATTEMPT: "1",
      GITHUB_SERVER_URL: "https://github.com",
      GITHUB_SHA: expect.stringMatching(/^[0-9a-f]{40}$/),
      GITHUB_WORKSPACE: workspace,
      RUNNER_ARCH: expect.stringMatching(/^(X64|ARM64)$/),
      RUNNER_ENVIRONMENT: "github-hosted",
      RUNNER_OS: "Linux",
      RUNNER_TEMP: result.runnerTemp,
      RUNNER_TRACKING_ID: expect.stringMatching(/^github_/),
      HOME: result.home,
    });
    expect(env).not.toHaveProperty("RUNNER_DEBUG");
    expect(env).not.toHaveProperty("ACTIONS_RESULTS_URL");
    expect(env).not.toHaveProperty("ACTIONS_RUNTIME_TOKEN");
  });

  test("sees nothing of the caller's environment that could change what it does", async () => {
    vi.stubEnv("KUBECONFIG", "/the/callers/own");
    const { saw } = await run({});
    const { env } = await saw("main");
    expect(env).not.toHaveProperty("KUBECONFIG");
    expect(env).not.toHaveProperty("VITEST");
    expect(env.HOME).not.toBe(process.env.HOME);
    expect(env.PATH).toBe(process.env.PATH);
  });

  test("gets the declared inputs, with their defaults", async () => {
    const { saw, annotations } = await run({}, { inputs: { "two words": "a\nb", old: "1", other: "2" } });
    expect((await saw("main")).env).toMatchObject({
      INPUT_GREETING: "hello",
      INPUT_TWO_WORDS: "a\nb",
      "INPUT_HYPHEN-ATED": "5",
      INPUT_NUMBER: "1.5",
      INPUT_REQUIRED: "",
      INPUT_PLACE: "Linux of org/repo",
      INPUT_OTHER: "2",
    });
    expect(annotations.slice(0, 2)).toEqual([
      { level: "warning", message: "Input 'old' has been deprecated with message: use greeting" },
      {
        level: "warning",
        message: expect.stringContaining("Unexpected input(s) 'other', valid inputs are ['greeting'"),
      },
    ]);
  });

  test("gets the job's variables, also in place of the runner's own", async () => {
    const { saw } = await run({}, { env: { A: "1", RUNNER_ENVIRONMENT: "self-hosted", RUNNER_DEBUG: "1" } });
    expect((await saw("main")).env).toMatchObject({
      A: "1",
      RUNNER_ENVIRONMENT: "self-hosted",
      RUNNER_DEBUG: "1",
    });
  });

  test("may find a workspace with spaces in its path", async () => {
    const workspace = join(await temporaryFolder(), "with spaces");
    await mkdir(workspace);
    const { saw } = await run({}, { workspace });
    expect((await saw("main")).cwd).toBe(workspace);
  });

  test("has each run's own run id", async () => {
    const ids = await Promise.all([run({}), run({})]).then((runs) =>
      Promise.all(runs.map(async ({ saw }) => (await saw("main")).env.GITHUB_RUN_ID)),
    );
    expect(ids[0]).toMatch(/^\d+$/);
    expect(ids[0]).not.toBe(ids[1]);
  });
});

describe("what main leaves", () => {
  test("reaches the next step: variables and PATH, the last entry first", async () => {
    const { command, ...result } = await run(
      {
        main: `tell("ENV", "A<<EOF\\n1\\n2\\nEOF"); tell("ENV", "GITHUB_RUN_ID=0"); tell("ENV", "HOME=/elsewhere");
          tell("PATH", "/first"); tell("PATH", "/second"); tell("PATH", "/first");`,
      },
      {
        command: [
          "sh",
          "-c",
          'echo "$A"; echo "$PATH"; echo "$GITHUB_RUN_ID"; echo "$HOME"; echo "$GITHUB_ACTION"',
        ],
      },
    );
    expect(command?.log.split("\n")).toEqual([
      "1",
      "2",
      `/first:/second:${process.env.PATH}`,
      expect.stringMatching(/^\d{11}$/),
      "/elsewhere",
      "__run",
    ]);
    expect(result.env).toEqual({ A: "1\n2", GITHUB_RUN_ID: "0", HOME: "/elsewhere" });
    expect(result.path).toEqual(["/first", "/second"]);
  });

  test("reaches post, with what the next step added", async () => {
    const { saw } = await run(
      { main: 'tell("ENV", "A=1"); tell("PATH", "/main"); tell("STATE", "made=a cluster");' },
      { command: ["sh", "-c", 'echo B=2 >> "$GITHUB_ENV"; echo /step >> "$GITHUB_PATH"'] },
    );
    expect((await saw("post")).env).toMatchObject({
      A: "1",
      B: "2",
      STATE_made: "a cluster",
      PATH: `/step:/main:${process.env.PATH}`,
    });
    expect((await saw("main")).env).not.toHaveProperty("STATE_made");
  });

  test("is its own: the next step sees neither inputs, nor state, nor services", async () => {
    const { command } = await run(
      { main: 'tell("STATE", "a=1")' },
      { command: ["env"], cacheDir: await temporaryFolder() },
    );
    expect(command?.log).not.toMatch(/^(INPUT_|STATE_|ACTIONS_)/m);
  });

  test("is what the caller gets", async () => {
    const result = await run({
      main: `tell("OUTPUT", "a=1"); tell("STATE", "b=2"); tell("STEP_SUMMARY", "# From main");
        console.log("::notice::look"); console.error("to stderr");`,
      post: 'tell("STEP_SUMMARY", "And from post"); tell("OUTPUT", "late=1"); console.log("::error::oh");',
    });
    expect(result).toMatchObject({
      exitCode: 0,
      jobStatus: "success",
      outputs: { a: "1" },
      state: { b: "2" },
      summary: "# From main\nAnd from post\n",
      annotations: [
        { level: "notice", message: "look" },
        { level: "error", message: "oh" },
      ],
    });
    expect(result.main).toMatchObject({ outcome: "success", exitCode: 0, signal: null });
    expect(result.main.log.split("\n").sort()).toEqual(["Notice: look", "to stderr"]);
    expect(result.post?.log).toBe("Error: oh");
    expect(result.main.seconds).toBeGreaterThan(0);
  });
});

describe("post", () => {
  test.each([
    ["success", "", ["true"]],
    ["failure", "process.exitCode = 1", undefined],
    ["failure", "", ["false"]],
  ] as const)("sees that the job is a %s: defaults are evaluated again", async (status, main, command) => {
    const { saw } = await run({ main }, { ...(command && { command }) });
    expect((await saw("main")).env.INPUT_JOB_STATUS).toBe("success");
    expect((await saw("post")).env.INPUT_JOB_STATUS).toBe(status);
  });

  test("sees a given input as main did", async () => {
    const { saw } = await run({ main: "process.exitCode = 1" }, { inputs: { job_status: "mine" } });
    expect((await saw("post")).env.INPUT_JOB_STATUS).toBe("mine");
  });

  test("sees state from before main was killed", async () => {
    const { saw, main } = await run({
      main: 'tell("STATE", "intent=create"); process.kill(process.pid, "SIGKILL"); await new Promise(() => {});',
    });
    expect(main).toMatchObject({ exitCode: 137, signal: "SIGKILL", outcome: "failure" });
    expect((await saw("post")).env).toMatchObject({ STATE_intent: "create", INPUT_JOB_STATUS: "failure" });
  });

  test("has files of its own", async () => {
    const { saw } = await run({});
    const [main, post] = [(await saw("main")).env, (await saw("post")).env];
    for (const name of [
      "GITHUB_ENV",
      "GITHUB_OUTPUT",
      "GITHUB_PATH",
      "GITHUB_STATE",
      "GITHUB_STEP_SUMMARY",
    ]) {
      expect(main[name]).not.toBe(post[name]);
    }
    expect(main.GITHUB_RUN_ID).toBe(post.GITHUB_RUN_ID);
    expect(main.RUNNER_TEMP).toBe(post.RUNNER_TEMP);
  });

  test.each([
    ["skipped", {}, "", false],
    ["run", {}, "process.exitCode = 1", true],
    ["run", { ALWAYS_POST: "true" }, "", true],
    ["run", {}, 'tell("ENV", "ALWAYS_POST=true")', true],
  ])("is %s as its post-if says (%o, %s)", async (_, env, main, ran) => {
    const { post } = await run({ main }, { action: fixture("post-if-failure"), env });
    expect(post !== undefined).toBe(ran);
  });

  test("need not be there; pre is not for local actions", async () => {
    const { post, annotations } = await run({}, { action: fixture("no-post") });
    expect(post).toBeUndefined();
    expect(annotations).toContainEqual({
      level: "warning",
      message: "`pre` execution is not supported for local action from './'",
    });
  });
});

describe("exit code and status", () => {
  test.each([
    ["all is well", "", "true", "", 0, "success"],
    ["main fails", "process.exitCode = 3", "exit 4", "process.exitCode = 5", 3, "failure"],
    ["the command fails", "", "exit 4", "process.exitCode = 5", 4, "failure"],
    ["post fails", "", "true", "process.exitCode = 5", 5, "failure"],
    ["main throws", "throw new Error()", "true", "", 1, "failure"],
    ["the command is killed", "", "kill -9 $$", "", 137, "failure"],
    ["the command is no program", "", undefined, "", 127, "failure"],
    ["main leaves a broken file", 'tell("ENV", "broken")', "true", "", 1, "failure"],
    ["main uses a disabled command", 'console.log("::set-env name=A::1")', "true", "", 1, "failure"],
  ])("when %s", async (_, main, script, post, exitCode, jobStatus) => {
    const command = script === undefined ? ["/no/such/program"] : ["sh", "-c", script];
    const result = await run({ main, post }, { command });
    expect(result).toMatchObject({ exitCode, jobStatus });
    expect(result.command === undefined).toBe(result.main.outcome === "failure");
    expect(result.post).toBeDefined();
  });

  test("an error that is only reported fails nothing", async () => {
    expect(await run({ main: 'console.log("::error::bad")' })).toMatchObject({
      exitCode: 0,
      jobStatus: "success",
    });
  });

  test("a failed command says so in the log", async () => {
    const { command } = await run({}, { command: ["sh", "-c", "exit 4"] });
    expect(command?.log).toBe("Error: Process completed with exit code 4.");
  });
});

describe("masks", () => {
  test("hold for the rest of the job, in everything that is printed", async () => {
    const { main, command, post, summary, annotations } = await run(
      {
        main: `console.log("::add-mask::s3cret%0Asecond line"); console.log("s3cret, second line");
          console.log("::warning::has s3cret"); tell("STEP_SUMMARY", "s3cret"); tell("ENV", "S=s3cret");`,
        post: "console.error(process.env.S)",
      },
      { command: ["sh", "-c", 'echo "in the command: $S"'] },
    );
    expect(main.log).toBe("***, ***\nWarning: has ***");
    expect(command?.log).toBe("in the command: ***");
    expect(post?.log).toBe("***");
    expect(summary).toBe("***\n");
    expect(annotations).toEqual([{ level: "warning", message: "has ***" }]);
  });

  test("cover the runtime token", async () => {
    const { main } = await run(
      { main: "console.log(process.env.ACTIONS_RUNTIME_TOKEN)" },
      { cacheDir: await temporaryFolder() },
    );
    expect(main.log).toBe("***");
  });
});

describe("the job's folders", () => {
  test("are gone after it", async () => {
    const { runnerTemp, home } = await run({
      main: "(await import('node:fs')).writeFileSync(process.env.RUNNER_TEMP + '/a', '')",
    });
    expect([existsSync(runnerTemp), existsSync(home)]).toEqual([false, false]);
  });

  test("stay where they were asked for", async () => {
    const given = await temporaryFolder();
    const { runnerTemp, home } = await run(
      { main: "(await import('node:fs')).writeFileSync(process.env.RUNNER_TEMP + '/a', '')" },
      { env: { HOME: given, RUNNER_TEMP: join(given, "temp") } },
    );
    expect({ runnerTemp, home }).toEqual({ runnerTemp: join(given, "temp"), home: given });
    expect(existsSync(join(runnerTemp, "a"))).toBe(true);
  });

  test("stay for a test that wants to look", async () => {
    const parent = await temporaryFolder();
    vi.stubEnv("TMPDIR", parent);
    const { runnerTemp, home, folder } = await run({}, { keep: true });
    expect([existsSync(runnerTemp), existsSync(home)]).toEqual([true, true]);
    for (const path of [runnerTemp, home]) expect(dirname(path)).toBe(folder);
    expect(dirname(folder)).toBe(parent);
  });
});

describe("contexts", () => {
  /** The value of an expression, as the default of an input. */
  const valueSeen = async (expression: string, options: RunActionOptions = {}) => {
    const action = await temporaryFolder();
    const metadata = {
      inputs: { script: {}, value: { default: `\${{ ${expression} }}` } },
      runs: { using: "node24", main: "main.mjs" },
    };
    await writeFile(join(action, "action.yml"), JSON.stringify(metadata));
    await writeFile(join(action, "main.mjs"), `await import("${fixture("lifecycle")}/main.mjs")`);
    const { saw } = await run({}, { ...options, action });
    return (await saw("main")).env.INPUT_VALUE;
  };

  test.each([
    ["github.event.repository.default_branch", "main"],
    ["github.token", ""],
    ["runner.environment == 'github-hosted'", "true"],
    ["toJSON(matrix)", "null"],
    ["strategy.job-total", "1"],
    ["strategy.job-index", "0"],
  ])("%s", async (expression, value) => {
    expect(await valueSeen(expression)).toBe(value);
  });

  test("a job of a matrix knows its values, and has an index that no other job has", async () => {
    const oldMatrix = { kubernetes: "1.33" };
    const newMatrix = { kubernetes: "1.34" };
    expect(await valueSeen("matrix.kubernetes", { matrix: oldMatrix })).toBe("1.33");
    const indices = await Promise.all(
      [oldMatrix, newMatrix, oldMatrix].map((matrix) => valueSeen("strategy.job-index", { matrix })),
    );
    expect(indices[0]).not.toBe(indices[1]);
    expect(indices[0]).toBe(indices[2]);
  });
});

test("only JavaScript actions can be run", async () => {
  await expect(runAction({ action: fixture("composite") })).rejects.toThrow(
    /composite\/action\.yml.*only JavaScript actions \(node20, node24\) can be run/s,
  );
});
