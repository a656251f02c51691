// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${{ }} is GitHub's syntax
import { execFile } from "node:child_process";
import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test, vi } from "vitest";
import { runWorkflow } from "./act.ts";
import { artifacts } from "./results-service/artifact-service.ts";
import { startResultsService } from "./results-service/server.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const run = promisify(execFile);

/** A repository whose action is one of the fixtures, with a workflow. */
async function repository(fixture: string, workflow: string): Promise<string> {
  const workspace = await temporaryFolder();
  await cp(join(import.meta.dirname, "fixtures", fixture), workspace, { recursive: true });
  await mkdir(join(workspace, ".github/workflows"), { recursive: true });
  await writeFile(join(workspace, ".github/workflows/test.yml"), workflow);
  const git = (...args: string[]) =>
    run("git", ["-c", "user.name=test", "-c", "user.email=test@example.com", ...args], { cwd: workspace });
  await git("init", "--quiet", "--initial-branch=main");
  await git("remote", "add", "origin", "https://github.com/org/repo.git");
  await git("add", ".");
  await git("commit", "--quiet", "--message=test");
  return workspace;
}

describe("a workflow", () => {
  vi.setConfig({ testTimeout: 60_000 });

  test("hands an artifact from a job to the jobs of a matrix, where this repository's action uses it", async () => {
    const workspace = await repository(
      "show-file",
      `on: push
jobs:
  build:
    runs-on: ubuntu-24.04
    steps:
      - run: mkdir out && echo "built in $GITHUB_JOB" > out/image.tar
      - uses: actions/upload-artifact@v7
        with: { name: images, path: out }
  use:
    needs: build
    runs-on: ubuntu-latest
    strategy:
      matrix: { version: [old, new] }
    steps:
      - uses: actions/checkout@v6
      - uses: actions/download-artifact@v7
        with: { name: images, path: downloaded }
      - id: show
        uses: ./
        with: { path: downloaded/image.tar }
      - run: |
          echo "step sees: \${{ steps.show.outputs.content }} on \${{ matrix.version }}"
          echo "home: $HOME, caller: \${VITEST:-unknown}, node: $(node --version)"
      - run: echo \${{ matrix.version }} > report
      - uses: actions/upload-artifact@0123456789abcdef0123456789abcdef01234567 # v7.0.0
        with: { name: "report-\${{ matrix.version }}", path: report }
`,
    );
    const dir = await temporaryFolder();
    await using resultsService = await startResultsService({ dir });
    const { exitCode, log, runId } = await runWorkflow({
      workflow: ".github/workflows/test.yml",
      workspace,
      resultsService,
    });
    expect(log).toContain("main read: built in build");
    expect(log).toContain("post remembers: built in build");
    expect(log).toContain("step sees: built in build on old");
    expect(log).toContain("step sees: built in build on new");
    expect(log).toContain(`caller: unknown, node: ${process.version}`);
    expect(exitCode).toBe(0);
    const left = (await artifacts(dir)).map(({ name, run }) => `${name} of ${run}`).sort();
    expect(left).toEqual([`images of ${runId}`, `report-new of ${runId}`, `report-old of ${runId}`]);
  });

  test("that fails says so", async () => {
    const workspace = await repository(
      "show-file",
      `on: push
jobs:
  test:
    runs-on: ubuntu-24.04
    steps: [{ run: exit 3 }]
`,
    );
    await using resultsService = await startResultsService({ dir: await temporaryFolder() });
    const { exitCode, log } = await runWorkflow({
      workflow: ".github/workflows/test.yml",
      workspace,
      resultsService,
    });
    expect(exitCode).toBe(1);
    expect(log).toContain("Error: Job 'test' failed");
  });
});
