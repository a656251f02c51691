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

/** What kind leaves of a file that held nothing else. */
const emptied = "apiVersion: v1\nkind: Config\npreferences: {}\n";

describe("a cluster's context", () => {
  it("has the name that kind gives it", () => {
    expect(contextName("shop")).toBe("kind-shop");
  });
});

describe("a kubeconfig", () => {
  it("can be read by nobody else, whatever it was before", async () => {
    const file = await kubeconfig(withContext);
    await restrictPermissions(file);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it("is removed when nothing is left in it", async () => {
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
    ["something else than a kubeconfig", "a letter to the cluster"],
  ])("stays, to the letter, with %s in it", async (_, text) => {
    const file = await kubeconfig(text);
    await removeIfEmpty(file);
    expect(await readFile(file, "utf8")).toBe(text);
  });

  it("may be gone already", async () => {
    await removeIfEmpty(join(temporaryFolder(), "missing"));
  });
});

describe("the lock of a kubeconfig", () => {
  const began = Date.UTC(2026, 10, 21, 12);

  async function lockedAt(time: number): Promise<string> {
    const file = await kubeconfig(withContext);
    await writeFile(`${file}.lock`, "");
    await utimes(`${file}.lock`, time / 1000, time / 1000);
    return file;
  }

  it("is removed when a kind that was ended left it behind", async () => {
    const file = await lockedAt(began + 5_000);
    await removeStaleLock(file, began);
    expect(await exists(`${file}.lock`)).toBe(false);
    expect(await readFile(file, "utf8")).toBe(withContext);
  });

  it("is left alone when it is older than this run: it is somebody else's", async () => {
    const file = await lockedAt(began - 5_000);
    await removeStaleLock(file, began);
    expect(await exists(`${file}.lock`)).toBe(true);
  });

  it("may not be there", async () => {
    await removeStaleLock(join(temporaryFolder(), "config"), began);
  });
});
