import { writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { uploadArtifact } from "../../src/runner/artifact.ts";
import { quiet } from "../fixtures/quiet.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";
import { bytesOf, serve } from "../fixtures/web-server.ts";

/** A token as the runner gives it, of which the client reads the run's ids. */
const token = [{ alg: "none" }, { scp: "Actions.Results:run-id:job-id" }, {}]
  .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
  .join(".");

async function artifactService(answer: RequestListener): Promise<NodeJS.ProcessEnv> {
  const { url } = await serve(answer);
  const env = { ACTIONS_RUNTIME_TOKEN: token, ACTIONS_RESULTS_URL: `${url}/` };
  // The client reads the process's own.
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  vi.stubEnv("GITHUB_SERVER_URL", "https://github.com");
  onTestFinished(() => void vi.unstubAllEnvs());
  quiet();
  return env;
}

describe("uploading logs", () => {
  it.each([{}, { ACTIONS_RUNTIME_TOKEN: token }, { ACTIONS_RESULTS_URL: "https://results.example/" }])(
    "is done without where the job has no artifact service: %o",
    async (env) => {
      expect(await uploadArtifact("kind-logs", temporaryFolder(), 1_000, env)).toBeUndefined();
    },
  );

  it("gives up when the service does not take them in time", async () => {
    const folder = temporaryFolder();
    await writeFile(join(folder, "journal.log"), "booted\n");
    const env = await artifactService(() => {});
    await expect(uploadArtifact("kind-logs", folder, 50, env)).rejects.toThrow(
      "The artifact service did not take the logs within 0.05 s",
    );
  });

  it("fails with the service's refusal", async () => {
    const folder = temporaryFolder();
    await writeFile(join(folder, "journal.log"), "booted\n");
    const env = await artifactService((_, response) =>
      response.writeHead(403, { "content-type": "application/json" }).end('{"msg":"no quota left"}'),
    );
    await expect(uploadArtifact("kind-logs", folder, 10_000, env)).rejects.toThrow("no quota left");
  });

  it("takes another name when the service has the first one already", async () => {
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
