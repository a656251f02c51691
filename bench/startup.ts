import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { report } from "./report.ts";

/**
 * The time from the start of each program of dist/ to its first line of output, beside a bare node that prints a line. With a
 * revision as argument, the programs of that revision's dist/ run in turn with them.
 */
const repetitions = 15;

/** Each comes to its first line without a Docker daemon or a cache: an input that cannot be, nothing to do, no service. */
const programs: Readonly<Record<string, { env: Record<string, string>; args: string[]; input: string }>> = {
  main: { env: { INPUT_LOGS: "sometimes", DOCKER_HOST: "unix:///nowhere" }, args: [], input: "" },
  post: { env: {}, args: [], input: "" },
  load: { env: { DOCKER_HOST: "unix:///nowhere" }, args: [], input: "" },
  "cache-worker": {
    env: {},
    args: [tmpdir()],
    input: `${JSON.stringify({
      id: "11111111-1111-4111-8111-111111111111",
      request: { call: "find", path: "kind", key: "kind" },
    })}\n`,
  },
};

/** Where a revision has a program: each had a folder of its own before they were one bundle. */
function fileOf(dist: string, program: string): string {
  const file = join(dist, `${program}.js`);
  return existsSync(file) ? file : join(dist, program.replace("-worker", ""), "index.js");
}

/** Seconds until the first line of a program's output. */
async function firstLine(
  args: readonly string[],
  env: Record<string, string>,
  input: string,
): Promise<number> {
  const start = performance.now();
  const child = spawn(process.execPath, args, { env: { PATH: process.env.PATH, HOME: tmpdir(), ...env } });
  child.stdin.end(input);
  child.stdin.on("error", () => {});
  const printed = new Promise<number>((done, fail) => {
    child.stdout.once("data", () => done((performance.now() - start) / 1000));
    child.once("close", () => fail(new Error(`${args.join(" ")} printed nothing`)));
  });
  const seconds = await printed;
  await new Promise((ended) => child.once("close", ended));
  return seconds;
}

const root = resolve(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "bench-"));
const [revision] = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
try {
  if (revision !== undefined) {
    const archive = execFileSync("git", ["archive", revision, "dist"], { cwd: root, maxBuffer: 2 ** 28 });
    execFileSync("tar", ["-x", "-C", folder], { input: archive });
  }
  const [ours, before, bare] = [new Map<string, number[]>(), new Map<string, number[]>(), [] as number[]];
  const push = (map: Map<string, number[]>, name: string, value: number) =>
    map.set(name, [...(map.get(name) ?? []), value]);
  for (let repetition = 0; repetition < repetitions; repetition++) {
    bare.push(await firstLine(["-e", "console.log(1)"], {}, ""));
    for (const [name, { env, args, input }] of Object.entries(programs)) {
      push(ours, name, await firstLine([fileOf(join(root, "dist"), name), ...args], env, input));
      if (revision !== undefined)
        push(before, name, await firstLine([fileOf(join(folder, "dist"), name), ...args], env, input));
    }
  }
  report(
    "startup",
    {
      theirs: revision === undefined ? "-" : revision,
      notes: [`From the start of the process to its first line of output, ${repetitions} times, in turn.`],
    },
    [
      { name: "bare node", ours: bare, theirs: [] },
      ...Object.keys(programs).map((name) => ({
        name,
        ours: ours.get(name) ?? [],
        theirs: before.get(name) ?? [],
      })),
    ],
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
