import { lstat, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { redact, redactFolder } from "../../src/logs/redact.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

// The secrets are composed here, so that secret scanners do not report this file.
const pem = (kind: string) =>
  `-----BEGIN ${kind}-----\nMIIEpAIBAAKCAQEA\nsecretsecret==\n-----END ${kind}-----`;
const jwt = ["eyJhbGciOiJSUzI1NiJ9", "eyJzdWIiOiJzeXN0ZW0ifQ", "c2VjcmV0-secret_"].join(".");

describe("redact", () => {
  it.each([
    ["a private key", `key:\n${pem("RSA PRIVATE KEY")}\nend`, "key:\n[private key removed]\nend"],
    ["a private key of another kind", pem("PRIVATE KEY"), "[private key removed]"],
    ["a ServiceAccount's token", `token=${jwt} end`, "token=[token removed] end"],
    [
      "a client's key in a kubeconfig",
      "    client-key-data: c2VjcmV0==\n",
      "    client-key-data: [removed]\n",
    ],
    ["a client's key as JSON", '{"client-key-data":"c2VjcmV0=="}', '{"client-key-data":"[removed]"}'],
    ["a header with a token", "Authorization: Bearer secret.1~2", "Authorization: Bearer [removed]"],
    ["a header with a password", 'authorization="basic c2VjcmV0"', 'authorization="basic [removed]"'],
    ["a registry's password", 'password = "secret"', 'password = "[removed]"'],
    ["a registry's password as JSON", '{"auth":"c2VjcmV0"}', '{"auth":"[removed]"}'],
    ["a registry's token", '"identitytoken": "secret"', '"identitytoken": "[removed]"'],
    [
      "a proxy's password",
      "HTTPS_PROXY=http://me:secret@proxy.example:3128",
      "HTTPS_PROXY=http://me:[removed]@proxy.example:3128",
    ],
  ])("replaces %s", (_, text, redacted) => {
    expect(redact(text)).toBe(redacted);
  });

  it("replaces all occurrences", () => {
    const text = `${jwt}\n${pem("EC PRIVATE KEY")}\n${jwt}\n${pem("EC PRIVATE KEY")}\n`;
    expect(redact(text)).toBe(
      "[token removed]\n[private key removed]\n[token removed]\n[private key removed]\n",
    );
  });

  it.each([
    pem("CERTIFICATE"),
    "pulling image registry.example:5000/app@sha256:abc",
    "http://proxy.example:3128 and https://10.96.0.1:443/api",
    "I1121 12:47:46.322172 1 authorization.go:1] authorization mode: Node,RBAC",
    "the password is wrong",
    "eyJust a word.",
    "client-certificate-data: Q0VSVA==",
  ])("does not change %s", (text) => {
    expect(redact(text)).toBe(text);
  });
});

describe("redactFolder", () => {
  it("redacts the files in all subfolders", async () => {
    const folder = temporaryFolder();
    await mkdir(join(folder, "node", "pods"), { recursive: true });
    await writeFile(join(folder, "node", "pods", "web.log"), `before\n${jwt}\nafter\n`);
    await writeFile(join(folder, "nodes.txt"), "Ready\n");
    await redactFolder(folder);
    expect(await readFile(join(folder, "node", "pods", "web.log"), "utf8")).toBe(
      "before\n[token removed]\nafter\n",
    );
    expect(await readFile(join(folder, "nodes.txt"), "utf8")).toBe("Ready\n");
  });

  it("removes symbolic links, but not their targets", async () => {
    const outside = temporaryFolder();
    await writeFile(join(outside, "secret"), jwt);
    const folder = temporaryFolder();
    await symlink(join(outside, "secret"), join(folder, "to-a-file"));
    await symlink(outside, join(folder, "to-a-folder"));
    await symlink(join(outside, "nothing"), join(folder, "to-nothing"));
    await redactFolder(folder);
    expect(await readdir(folder)).toEqual([]);
    expect(await readFile(join(outside, "secret"), "utf8")).toBe(jwt);
  });

  it("does not change binary files", async () => {
    const folder = temporaryFolder();
    const bytes = Buffer.from([0, 1, 2, 0xff, 0xfe, 0x80, 10]);
    await writeFile(join(folder, "binary"), bytes);
    await redactFolder(folder);
    expect(await readFile(join(folder, "binary"))).toEqual(bytes);
  });

  it("truncates a large file to its redacted end, and writes how much was removed", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "journal.log");
    const filler = "the same line again and again\n".repeat(700_000);
    await writeFile(file, `the beginning\n${filler}${jwt}\nthe reason\n`);
    const before = (await lstat(file)).size;
    await redactFolder(folder);
    const text = await readFile(file, "utf8");
    expect(text).not.toContain("the beginning");
    expect(text).not.toContain(jwt);
    expect(text.endsWith("[token removed]\nthe reason\n")).toBe(true);
    expect(text.startsWith(`[the first ${before - 20_000_000} bytes were removed]\n`)).toBe(true);
  });
});

describe("redact in other formats", () => {
  it.each([
    [
      "containerd's configuration, as JSON in a quoted string",
      'config="{\\"auth\\":\\"aHVudGVyMjI=\\"}"',
      "aHVudGVyMjI=",
    ],
    ["a truncated private key", "-----BEGIN RSA PRIVATE KEY-----\nMIIEsecret\n", "MIIEsecret"],
    ["the end of a private key", "MIIEsecret\n-----END RSA PRIVATE KEY-----\n", "MIIEsecret"],
    ["a header as a list", '{"Authorization":["Bearer hunter22"]}', "hunter22"],
    ["a proxy with a password alone", "https://:hunter22@proxy", "hunter22"],
    ["a password with an at sign", "http://me:hunt@er22@proxy", "er22"],
  ])("replaces %s", (_, text, secret) => {
    expect(redact(text)).not.toContain(secret);
  });
});
