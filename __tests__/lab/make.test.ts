import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

/** Recipes of a small lab: `image` needs `program`; each leaves a line in the file `built` of the folder. */
const recipes = {
  program: "fetch() { echo v1 >downloaded; }\nbuild() { echo program >>$BUILT; mv downloaded $out/; }",
  image: "needs=(program)\n" + "build() { echo image >>$BUILT; cat $(path_of program)/downloaded >$out/of; }",
  broken: "build() { touch $out/half; false; }",
};

describe("the lab's make", { timeout: 30_000 }, () => {
  let folder: string;
  const recipe = (name: string, text: string) =>
    writeFile(join(folder, "__tests__/lab/targets", `${name}.sh`), text);
  const built = async () => (await readFile(join(folder, "built"), "utf8")).trim().split("\n");
  const made = async () => (await readdir(join(folder, "cache/lab"))).filter((name) => name !== ".making");
  const make = async (...targets: string[]) => {
    const env = { ...process.env, KIND_ACTION_CACHE: join(folder, "cache"), BUILT: join(folder, "built") };
    const { stdout } = await promisify(execFile)(join(folder, "__tests__/lab/make"), targets, { env });
    return stdout.trim().split("\n");
  };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "make-"));
    await mkdir(join(folder, "__tests__/lab/targets"), { recursive: true });
    for (const file of [
      "__tests__/lab/make",
      "__tests__/lab/store.sh",
      "__tests__/lab/versions.sh",
      "script/env",
    ]) {
      await cp(file, join(folder, file));
    }
    for (const [name, text] of Object.entries(recipes)) await recipe(name, text);
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("builds what a target needs before it, and prints the target's folder", async () => {
    const [path] = await make("image");
    expect(await built()).toEqual(["program", "image"]);
    expect(await readFile(join(path ?? "", "of"), "utf8")).toBe("v1\n");
  });

  it("builds nothing that is there, and each target once", async () => {
    await make("program", "image");
    await make("image", "program");
    expect(await built()).toEqual(["program", "image"]);
  });

  it("builds again what a changed recipe is part of, and removes what it replaces", async () => {
    const [before] = await make("image");
    await recipe("program", recipes.program.replace("v1", "v2"));
    const [after] = await make("image");
    expect(after).not.toBe(before);
    expect(await readFile(join(after ?? "", "of"), "utf8")).toBe("v2\n");
    expect(await made()).toHaveLength(2);
  });

  it("says which log to read when a recipe fails, and leaves nothing that looks made", async () => {
    await expect(make("broken", "program")).rejects.toThrow(/broken could not be made: .*broken\.log/);
    expect((await made()).filter((name) => name.startsWith("broken"))).toEqual([]);
    expect(await readFile(join(folder, "cache/log/broken.log"), "utf8")).toContain("+ false");
  });
});
