import { writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { uploadArtifact } from "../../src/runner/artifact.ts";
import { quiet } from "../fixtures/quiet.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { bytesOf, serve } from "../fixtures/web-server.ts";

/** A token in the format of the runner, from which the client reads the IDs of run and job. */
const token = [{ alg: "none" }, { scp: "Actions.Results:run-id:job-id" }, {}]
  .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
  .join(".");

async function artifactService(respond: RequestListener): Promise<NodeJS.ProcessEnv> {
  const { url } = await serve(respond);
  const env = { ACTIONS_RUNTIME_TOKEN: token, ACTIONS_RESULTS_URL: `${url}/` };
  // The client reads the environment of this process.
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  vi.stubEnv("GITHUB_SERVER_URL", "https://github.com");
  onTestFinished(() => void vi.unstubAllEnvs());
  quiet();
  return env;
}

describe("uploadArtifact", () => {
  it.each([{}, { ACTIONS_RUNTIME_TOKEN: token }, { ACTIONS_RESULTS_URL: "https://results.example/" }])(
    "returns undefined without an artifact service: %o",
    async (env) => {
      expect(await uploadArtifact("kind-logs", temporaryFolder(), 1_000, env)).toBeUndefined();
    },
  );

  it("rejects after the timeout", async () => {
    const folder = temporaryFolder();
    await writeFile(join(folder, "journal.log"), "booted\n");
    const env = await artifactService(() => {});
    await expect(uploadArtifact("kind-logs", folder, 50, env)).rejects.toThrow(
      "The artifact service did not store the logs within 0.1 s.",
    );
  });

  it("rejects with the error of the service", async () => {
    const folder = temporaryFolder();
    await writeFile(join(folder, "journal.log"), "booted\n");
    const env = await artifactService((_, response) =>
      response.writeHead(403, { "content-type": "application/json" }).end('{"msg":"no quota left"}'),
    );
    await expect(uploadArtifact("kind-logs", folder, 10_000, env)).rejects.toThrow("no quota left");
  });

  it("adds a suffix to the name if an artifact of that name exists", async () => {
    const folder = temporaryFolder();
    await writeFile(join(folder, "journal.log"), "booted\n");
    const names: string[] = [];
    const env = await artifactService(async (request, response) => {
      names.push(/"name":"([^"]*)"/.exec((await bytesOf(request)).toString())?.[1] ?? "");
      response.writeHead(names.length === 1 ? 409 : 403, { "content-type": "application/json" });
      response.end(
        names.length === 1 ? '{"msg":"an artifact with this name already exists"}' : '{"msg":"enough"}',
      );
    });
    await expect(uploadArtifact("kind-logs", folder, 10_000, env)).rejects.toThrow("enough");
    expect(names).toEqual(["kind-logs", expect.stringMatching(/^kind-logs-[0-9a-f]{8}$/)]);
  });
});
