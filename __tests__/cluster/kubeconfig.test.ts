import { access, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  contextName,
  removeIfEmpty,
  removeStaleLock,
  restrictPermissions,
} from "../../src/cluster/kubeconfig.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

const exists = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  );

async function kubeconfig(text: string): Promise<string> {
  const file = join(temporaryFolder(), "config");
  await writeFile(file, text, { mode: 0o644 });
  return file;
}

const withContext = `apiVersion: v1
kind: Config
clusters: [{name: kind-shop, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: kind-shop, context: {cluster: kind-shop, user: kind-shop}}, {name: work, context: {}}]
users: [{name: kind-shop, user: {}}]
current-context: kind-shop
`;

/** A kubeconfig after kind has removed its only cluster. */
const emptied = "apiVersion: v1\nkind: Config\npreferences: {}\n";

describe("contextName", () => {
  it("returns the name that kind gives a context", () => {
    expect(contextName("shop")).toBe("kind-shop");
  });
});

describe("restrictPermissions", () => {
  it("makes the kubeconfig readable by its owner only", async () => {
    const file = await kubeconfig(withContext);
    await restrictPermissions(file);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });
});

describe("removeIfEmpty", () => {
  it("removes a kubeconfig without entries", async () => {
    for (const text of [emptied, `${emptied}clusters: null\ncontexts: []\nusers: null\n`]) {
      const file = await kubeconfig(text);
      await removeIfEmpty(file);
      expect(await exists(file), text).toBe(false);
    }
  });

  it.each([
    ["a context", "contexts: [{name: work}]\n"],
    ["a cluster", "clusters: [{name: work}]\n"],
    ["a user", "users: [{name: me}]\n"],
    ["text that is not a kubeconfig", "a letter to the cluster"],
  ])("does not change a file with %s", async (_, text) => {
    const file = await kubeconfig(text);
    await removeIfEmpty(file);
    expect(await readFile(file, "utf8")).toBe(text);
  });

  it("ignores a file that does not exist", async () => {
    await removeIfEmpty(join(temporaryFolder(), "missing"));
  });
});

describe("removeStaleLock", () => {
  const startMs = Date.UTC(2026, 10, 21, 12);

  async function lockedAt(time: number): Promise<string> {
    const file = await kubeconfig(withContext);
    await writeFile(`${file}.lock`, "");
    await utimes(`${file}.lock`, time / 1000, time / 1000);
    return file;
  }

  it("removes a lock that is newer than the run", async () => {
    const file = await lockedAt(startMs + 5_000);
    await removeStaleLock(file, startMs);
    expect(await exists(`${file}.lock`)).toBe(false);
    expect(await readFile(file, "utf8")).toBe(withContext);
  });

  it("does not remove a lock that is older than the run, because it belongs to another process", async () => {
    const file = await lockedAt(startMs - 5_000);
    await removeStaleLock(file, startMs);
    expect(await exists(`${file}.lock`)).toBe(true);
  });

  it("ignores a lock that does not exist", async () => {
    await removeStaleLock(join(temporaryFolder(), "config"), startMs);
  });
});
