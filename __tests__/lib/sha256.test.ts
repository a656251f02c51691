import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sha256File } from "../../src/lib/sha256.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

test("the sum of a file is its SHA-256 in hexadecimal", async () => {
  const file = join(temporaryFolder(), "file");
  await writeFile(file, "abc");
  expect(await sha256File(file)).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  await expect(sha256File(`${file}.missing`)).rejects.toThrow("ENOENT");
});
