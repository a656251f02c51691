import { createReadStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runAction } from "../harness/run-action.ts";
import { labInputs } from "../lab/inputs.ts";
import { type Lab, readLab } from "../lab/lab.ts";

/** PATH as on a runner that has neither kind nor kubectl. */
const plainPath = [
  dirname(process.execPath),
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
];

describe("install_only on a runner without kind", () => {
  let lab: Lab;
  let mirror: Server;
  let base: string;
  let cacheDir: string;
  const served: string[] = [];

  beforeAll(async () => {
    lab = readLab();
    cacheDir = await mkdtemp(join(tmpdir(), "cache-"));
    mirror = createServer((request, response) => {
      served.push(request.url ?? "");
      createReadStream(request.url?.includes("/kind-linux-") ? lab.kind.path : lab.kubectl.path).pipe(
        response,
      );
    });
    await new Promise<void>((listening) => mirror.listen(0, "127.0.0.1", listening));
    base = `http://127.0.0.1:${(mirror.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    mirror.close();
    await rm(cacheDir, { recursive: true, force: true });
  });

  const install = async (inputs: Record<string, string> = {}) =>
    runAction({
      cacheDir,
      inputs: {
        ...labInputs(),
        node_image: "",
        install_only: "true",
        download_base_url: `kind=${base}/kind\nkubectl=${base}/kubectl`,
        ...inputs,
      },
      env: { PATH: plainPath.join(":") },
      command: ["sh", "-c", "kind version && kubectl version --client"],
    });

  it("downloads kind and kubectl from a mirror, and adds them to PATH", async () => {
    const run = await install();
    expect(run.exitCode, run.main.log).toBe(0);
    expect(run.command?.log).toContain(`kind ${lab.kind.version}`);
    expect(run.command?.log).toContain(lab.kubectl.version);
    expect(served).toHaveLength(2);
    expect(run.outputs).toMatchObject({
      kind_version: lab.kind.version,
      kubectl_version: lab.kubectl.version,
    });
  });

  it("restores both from the Actions cache in the next run", async () => {
    served.length = 0;
    const run = await install();
    expect(run.exitCode, run.main.log).toBe(0);
    expect(run.main.log).toContain("from the Actions cache");
    expect(run.command?.log).toContain(`kind ${lab.kind.version}`);
    expect(served).toEqual([]);
  });

  it("does not run a program with another checksum", async () => {
    const wrong = "0".repeat(64);
    const run = await install({ checksums: `kind=${wrong}\nkubectl=${wrong}` });
    expect(run.exitCode).toBe(1);
    expect(run.main.log).toMatch(
      /does not match kind v[\d.]+: its SHA-256 is [0-9a-f]{64}, expected 0{64}\. The file was removed and not run/,
    );
    expect(run.command).toBeUndefined();
  });
});
