import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import * as z from "zod";

const root = resolve(import.meta.dirname, "..");
const read = (path: string) => readFileSync(join(root, path), "utf8");

const metadata = z.looseObject({ runs: z.looseObject({ main: z.string(), post: z.string().optional() }) });
/** The programs that an action.yml names, as files of dist/. */
function programsOf(action: string): string[] {
  const { main, post } = metadata.parse(parse(read(action))).runs;
  return [main, post].flatMap((path) => (path === undefined ? [] : [path.replace(/^(\.\.\/)?dist\//, "")]));
}

/** The libraries of the bundle, as `NAME VERSION`. */
const libraries = [...read("dist/licenses.txt").matchAll(/^(\S+) (\d+\.\d+\.\d+\S*) \(.+\)$/gm)].map(
  ([, name = "", version = ""]) => ({ name, version }),
);

describe("dist", () => {
  it("has the programs that the actions name", () => {
    const programs = [...programsOf("action.yml"), ...programsOf("load/action.yml"), "cache-worker.js"];
    expect(readdirSync(join(root, "dist"))).toEqual(expect.arrayContaining(programs));
  });

  it("has each library once per major version", () => {
    const majors = libraries.map(({ name, version }) => `${name} ${version.split(".")[0]}`);
    expect(majors.filter((major, index) => majors.indexOf(major) !== index)).toEqual([]);
  });

  it("lists the licence of every library that it is made of, and of no stub", () => {
    const names = libraries.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(["@actions/cache", "@actions/core", "dockerode", "zod", "yaml"]),
    );
    for (const stub of readdirSync(join(root, "stubs"))) expect(names).not.toContain(stub);
  });
});

describe("the repository's archive, which `uses:` downloads", () => {
  it("has at most 2 MB, compressed", () => {
    const archive = execFileSync("git", ["archive", "HEAD"], { cwd: root, maxBuffer: 2 ** 28 });
    expect(gzipSync(archive).length).toBeLessThan(2_000_000);
  });
});
