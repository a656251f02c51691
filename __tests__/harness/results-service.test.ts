import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { artifacts } from "./results-service/artifact-service.ts";
import { startResultsService } from "./results-service/server.ts";
import { runAction } from "./run-action.ts";
import { scriptAction } from "./script-action.ts";

// Each test starts programs, on machines that may be busy.
vi.setConfig({ testTimeout: 60_000 });

async function workspaceWith(content: string): Promise<string> {
  const workspace = temporaryFolder();
  await mkdir(join(workspace, "data"));
  await writeFile(join(workspace, "data/file"), content);
  return workspace;
}

test("caches: @actions/cache restores what another job saved, misses what nobody did, and fails by faults", async () => {
  await using resultsService = await startResultsService({ dir: temporaryFolder() });
  const cache = async (call: string, workspace: string) => {
    const script = `import { restoreCache, saveCache } from "@actions/cache";
      console.log("result", await ${call});
      process.exit();`;
    const { main } = await runAction({ action: await scriptAction(script), resultsService, workspace });
    return main.log;
  };
  const workspace = await workspaceWith("content");
  expect(await cache('saveCache(["data"], "key-1")', workspace)).toMatch(/result \d+$/);
  expect(await cache('saveCache(["data"], "key-1")', workspace)).toMatch(
    /Unable to reserve cache .*result -1$/s,
  );

  const target = temporaryFolder();
  expect(await cache('restoreCache(["data"], "key-2", ["key-"])', target)).toMatch(/result key-1$/);
  expect(await readFile(join(target, "data/file"), "utf8")).toBe("content");
  expect(await cache('restoreCache(["data"], "other")', target)).toMatch(/result undefined$/);

  resultsService.inject("blob-truncated");
  const failed = await cache('restoreCache(["data"], "key-1")', target);
  expect(failed).toMatch(/Warning: Failed to restore: .*result undefined$/s);
  resultsService.inject();
  expect(await cache('restoreCache(["data"], "key-1")', target)).toMatch(/result key-1$/);
});

test("artifacts: what one job uploads, the others of its run download; a name is taken once", async () => {
  const dir = temporaryFolder();
  await using resultsService = await startResultsService({ dir });
  const use = (action: "upload" | "download", workspace: string, path: string, run = "77") =>
    runAction({
      action: join(import.meta.dirname, `actions/${action}-artifact`),
      inputs: { name: "logs", path },
      env: { GITHUB_RUN_ID: run },
      resultsService,
      workspace,
    });
  const workspace = await workspaceWith("content");
  const { outputs } = await use("upload", workspace, "data");
  expect(outputs["artifact-digest"]).toMatch(/^[0-9a-f]{64}$/);
  const again = await use("upload", workspace, "data");
  expect(again.main.log).toContain("(409) Conflict: an artifact with this name already exists");

  const target = temporaryFolder();
  expect((await use("download", target, "unpacked")).exitCode).toBe(0);
  expect(await readFile(join(target, "unpacked/file"), "utf8")).toBe("content");
  expect((await use("download", target, "unpacked", "78")).main.log).toContain("Artifact not found");

  const [logs, ...others] = await artifacts(dir);
  expect([logs?.name, others]).toEqual(["logs", []]);
  expect((await readFile(logs?.zipPath ?? "")).subarray(0, 2).toString()).toBe("PK");
});
