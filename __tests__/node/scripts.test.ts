import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { scripts } from "../../src/node/scripts.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
  mkdirSync(join(folder, "bin"));
});

/** Runs the commands of a node, with /etc in a temporary folder. @returns standard output */
function serve(...commands: readonly string[]): string {
  const { stdout } = spawnSync("bash", ["-c", scripts.node.replaceAll("/etc/", `${folder}/`)], {
    input: commands.map((command) => `${command}\n`).join(""),
    env: { PATH: `${join(folder, "bin")}:${process.env.PATH}` },
    encoding: "utf8",
    timeout: 10_000,
  });
  return stdout;
}

/** A program in the node that prints its arguments. */
function program(name: string): void {
  const file = join(folder, "bin", name);
  writeFileSync(file, '#!/bin/bash\nprintf "%s|" "$@"\n');
  chmodSync(file, 0o755);
}

function kubeadmFile(name: string, content = `${name}\n`): void {
  mkdirSync(join(folder, "kubernetes"), { recursive: true });
  writeFileSync(join(folder, "kubernetes", name), content);
}

describe("the commands of a node", () => {
  it("end with the control character 4 and the exit status, each on a line of its own", () => {
    expect(serve("kubeconfig", "reboot", "kubeconfig")).toBe("\u00040\n\u0004127\n\u00040\n");
  });

  it("print no kubeconfig before kubeadm has written the last of its files", () => {
    for (const name of ["admin.conf", "super-admin.conf"]) kubeadmFile(name);
    kubeadmFile("scheduler.conf", "");
    expect(serve("kubeconfig")).toBe("\u00040\n");
  });

  it("print the kubeconfig of the administrator, and that of the super administrator if there is one", () => {
    for (const name of ["admin.conf", "scheduler.conf"]) kubeadmFile(name);
    expect(serve("kubeconfig")).toBe("admin.conf\n\u00040\n");
    kubeadmFile("super-admin.conf");
    expect(serve("kubeconfig")).toBe("super-admin.conf\n\u00040\n");
  });

  it("add routes of both IP families", () => {
    program("ip");
    expect(serve("route 10.244.1.0/24 172.18.0.3", "route fd00:10:244:1::/64 fc00:f853:ccd:e793::3")).toBe(
      "-4|route|replace|10.244.1.0/24|via|172.18.0.3|\u00040\n" +
        "-6|route|replace|fd00:10:244:1::/64|via|fc00:f853:ccd:e793::3|\u00040\n",
    );
  });
});
