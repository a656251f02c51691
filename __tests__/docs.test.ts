import { execFile } from "node:child_process";
import { globSync } from "node:fs";
import { access, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import * as z from "zod";
import { parseClusterConfig } from "../src/cluster/config.ts";
import { isPartOf, quotes, readMessages } from "./messages.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "..");

/** Inputs for the action itself, which users do not set. */
const hidden = ["job_status", "matrix"];

const parameters = z.record(z.string(), z.looseObject({ default: z.string().default("") }));
const action = z
  .object({ inputs: parameters, outputs: parameters })
  .parse(parse(await readFile(join(root, "action.yml"), "utf8")));
const inputs = Object.entries(action.inputs).filter(([name]) => !hidden.includes(name));
const inputNames = inputs.map(([name]) => name);
const outputNames = Object.keys(action.outputs);
const loadAction = z
  .object({ inputs: parameters, outputs: parameters })
  .parse(parse(await readFile(join(root, "load/action.yml"), "utf8")));

interface Page {
  readonly path: string;
  readonly text: string;
}

/** A fenced block of a page. */
interface Block {
  readonly at: string;
  readonly language: string;
  readonly text: string;
}

const pages = await Promise.all(
  globSync(["*.md", "docs/**/*.md", ".github/**/*.md"], { cwd: root })
    .filter((path) => !path.startsWith("docs/proof/"))
    .toSorted()
    .map(async (path): Promise<Page> => ({ path, text: await readFile(join(root, path), "utf8") })),
);
const page = (path: string) => pages.find((other) => other.path === path)?.text ?? "";

const blocks: Block[] = pages.flatMap(({ path, text }) =>
  [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(({ index, 1: language = "", 2: content = "" }) => ({
    at: `${path}:${text.slice(0, index).split("\n").length}`,
    language,
    text: content,
  })),
);

const step = z.looseObject({
  id: z.string().optional(),
  uses: z.string().optional(),
  with: z.record(z.string(), z.unknown()).default({}),
});
const steps = z.array(step);
const workflow = z.looseObject({ jobs: z.record(z.string(), z.looseObject({ steps })) });

interface Example extends Block {
  readonly jobs: z.infer<typeof steps>[];
  /** The example as a workflow. One that consists of steps only gets a job around it. */
  readonly workflow: string;
}

const examples: Example[] = blocks
  .filter(({ language }) => language === "yaml")
  .map((block) => {
    const content: unknown = parse(block.text);
    const whole = workflow.safeParse(content);
    if (whole.success) {
      return { ...block, jobs: Object.values(whole.data.jobs).map((job) => job.steps), workflow: block.text };
    }
    const head =
      "name: example\non: [push]\npermissions: {}\njobs:\n  example:\n    runs-on: ubuntu-24.04\n    steps:\n";
    return {
      ...block,
      jobs: [steps.parse(content)],
      workflow: head + block.text.replace(/^(?=.)/gm, "      "),
    };
  });

const isOurs = (uses: string | undefined) => uses?.startsWith("org/kind-action@") || uses === "./";
const isLoad = (uses: string | undefined) => uses?.startsWith("org/kind-action/load@") || uses === "./load";

const workflowFiles = globSync(".github/workflows/*.yml", { cwd: root });
/** The files that zizmor audits, in addition to the examples. */
const audited = ["action.yml", "load/action.yml", ".github/dependabot.yml", ...workflowFiles];

/** Returns the rows of the table below a heading, without its header. */
function tableBelow(heading: string, text: string): string[][] {
  const section = text.split(`\n${heading}\n`)[1]?.split(/\n#+ /)[0] ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("|"));
  return rows.slice(2).map((row) =>
    row
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );
}

const code = (text: string) => (text === "" ? "" : `\`${text}\``);

describe("the README", () => {
  it("lists action.yml's inputs with their defaults, in order", () => {
    const listed = tableBelow("## Inputs", page("README.md")).map(([name, value]) => [name, value]);
    expect(listed).toEqual(inputs.map(([name, input]) => [code(name), code(input.default)]));
  });

  it("lists action.yml's outputs, in order", () => {
    const listed = tableBelow("## Outputs", page("README.md")).map(([name]) => name);
    expect(listed).toEqual(outputNames.map(code));
  });
});

describe("the README's section on load", () => {
  it("lists load/action.yml's inputs with their defaults, in order", () => {
    const listed = tableBelow("## The action `load`", page("README.md")).map(([name, value]) => [
      name,
      value,
    ]);
    const declared = Object.entries(loadAction.inputs);
    expect(listed).toEqual(declared.map(([name, input]) => [code(name), code(input.default)]));
  });
});

describe("docs/inputs.md", () => {
  it("has a section for each input of action.yml, and no others", () => {
    const headings = [...page("docs/inputs.md").matchAll(/^### (.*)$/gm)];
    const named = headings.flatMap(([, heading = ""]) =>
      [...heading.matchAll(/`(\w+)`/g)].map(([, name]) => name),
    );
    expect(named.toSorted()).toEqual(inputNames.toSorted());
  });
});

/** Sources whose texts are no messages, or are only reasons inside messages of other sources. */
const exemptSources = [
  "src/cache/entries/",
  "src/cache/index-file.ts",
  "src/cluster/fast-start/settings.ts",
  "src/docker/containers.ts",
  "src/docker/images.ts",
  "src/docker/shell-session.ts",
  "src/images/docker-load.ts",
  "src/kubernetes/diagnosis.ts",
  "src/lib/http.ts",
  "src/lib/tar.ts",
  "src/lib/worker-process.ts",
  "src/logs/redact.ts",
  "src/node/containerd/",
  "src/node/session.ts",
  "src/oci/registry-client.ts",
  "src/oci/resolve-image.ts",
  "src/oci/schemas.ts",
  "src/runner/summary.ts",
];

/** Texts of other sources that are fragments of messages, remedies, or no messages. */
const exemptTexts = [
  /^(?:Compress|Create|Name|Save|Unpack)\b/,
  /^a (?:named pipe|sparse file)$/,
  /^of an unknown type$/,
  /^(?:in|looking up) …/,
  /^it gave no reason$/,
  /^… with the ID …$/,
  /^…: loaded into …/,
  /^hard-link helper container$/,
  /^credentials not found in native keychain$/,
  /^kind-action cache reply/,
  /^Not all nodes got a pod subnet/,
  /^The default configuration is invalid/,
];

describe("docs/troubleshooting.md", () => {
  const pagesWithMessages = ["docs/troubleshooting.md", "docs/caching.md"];
  const lines = blocks
    .filter(({ at, language }) => language === "text" && pagesWithMessages.includes(at.replace(/:\d+$/, "")))
    .flatMap(({ at, text }) =>
      text
        .trim()
        .split("\n")
        .map((line) => ({ at, line })),
    );
  const messages = readMessages(root);
  const required = messages.filter(({ isLogLine }) => !isLogLine);
  const isQuoted = (text: string) => lines.some(({ line }) => quotes(line, text));

  it.each(lines)("$at quotes a message of src: $line", ({ line }) => {
    expect(messages.some(({ text }) => quotes(line, text) || isPartOf(line, text))).toBe(true);
  });

  it("quotes every error and warning of src", () => {
    const unquoted = required.filter(
      ({ file, text }) =>
        !exemptSources.some((source) => file.startsWith(source)) &&
        !exemptTexts.some((pattern) => pattern.test(text)) &&
        !isQuoted(text),
    );
    expect(unquoted.map(({ file, text }) => `${file}: ${text}`)).toEqual([]);
  });

  it("has no exemption without a message that needs it", () => {
    const unquoted = required.filter(({ text }) => !isQuoted(text));
    const unusedSources = exemptSources.filter(
      (source) => !unquoted.some(({ file }) => file.startsWith(source)),
    );
    const unusedTexts = exemptTexts.filter((pattern) => !unquoted.some(({ text }) => pattern.test(text)));
    expect([...unusedSources, ...unusedTexts.map(String)]).toEqual([]);
  });
});

describe.each(examples)("the example $at", (example) => {
  const used = example.jobs.flat();

  it("sets only inputs that action.yml declares", () => {
    for (const { with: given } of used.filter(({ uses }) => isOurs(uses)))
      expect(inputNames).toEqual(expect.arrayContaining(Object.keys(given)));
    for (const { with: given } of used.filter(({ uses }) => isLoad(uses)))
      expect(Object.keys(loadAction.inputs)).toEqual(expect.arrayContaining(Object.keys(given)));
  });

  it("reads only outputs that action.yml declares", () => {
    const ids = used.filter(({ uses }) => isOurs(uses)).map(({ id }) => id);
    const read = [...example.text.matchAll(/steps\.([\w-]+)\.outputs\.([\w-]+)/g)];
    for (const [, id, output] of read) if (ids.includes(id)) expect(outputNames).toContain(output);
  });

  it("has a kind configuration that the action accepts", () => {
    for (const { uses, with: given } of used) {
      const config = z.string().optional().parse(given.config);
      if (isOurs(uses) && config?.includes("\n")) expect(parseClusterConfig(config)).toHaveProperty("config");
    }
  });
});

describe("workflows and examples", () => {
  it("pin third-party actions by commit, each version by the same commit everywhere", async () => {
    const files = await Promise.all(workflowFiles.map((file) => readFile(join(root, file), "utf8")));
    const commits = new Map<string, string>();
    for (const text of [...files, ...examples.map((example) => example.text)]) {
      for (const [, name = "", pin = ""] of text.matchAll(/uses: ([^\s@]+)@(.+)$/gm)) {
        // Actions of one repository, such as init and analyze, have the same commits.
        const repository = name.split("/").slice(0, 2).join("/");
        if (repository === "org/kind-action") continue;
        expect(pin, name).toMatch(/^[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
        const [commit = "", version = ""] = pin.split(" # ");
        const known = commits.get(`${repository} ${version}`) ?? commit;
        expect(commit, `${name} ${version}`).toBe(known);
        commits.set(`${repository} ${version}`, commit);
      }
    }
    expect(commits.size).toBeGreaterThan(0);
  });

  describe("pass the linters", () => {
    let folder: string;
    let files: string[];

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "examples-"));
      files = await Promise.all(
        examples.map(async ({ at, workflow: text }) => {
          const file = join(folder, `${at.replace(/[^\w.]+/g, "-")}.yml`);
          await writeFile(file, text);
          return file;
        }),
      );
    });
    afterAll(() => rm(folder, { recursive: true, force: true }));

    it("without findings of actionlint", async () => {
      await expect(outputOf("actionlint", ["-no-color", ...workflowFiles, ...files])).resolves.toBe("");
    });

    it("without findings of zizmor, for workflows as an auditor", async () => {
      const options = ["--offline", "--quiet", "--color=never", "--config=.github/zizmor.yml"];
      await expect(outputOf("zizmor", [...options, "--persona=auditor", ...audited])).resolves.toContain(
        "No findings",
      );
      await expect(outputOf("zizmor", [...options, ...files])).resolves.toContain("No findings");
    }, 30_000);
  });
});

describe.each(pages)("$path", ({ path, text }) => {
  it("names only files of the sources that exist", async () => {
    const named = pages.flatMap(({ path, text }) =>
      [...text.matchAll(/`((?:src|script|__tests__|bench)\/[\w./-]+)`/g)].map(([, file = ""]) => ({
        path,
        file,
      })),
    );
    expect(named.length).toBeGreaterThan(30);
    const missing: string[] = [];
    for (const { path, file } of named)
      await access(join(root, file)).catch(() => missing.push(`${path}: ${file}`));
    expect(missing).toEqual([]);
  });

  it("links only to files and headings that exist", async () => {
    for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^\w+:/.test(target)) continue;
      const [file = "", anchor] = target.split("#");
      const linked = file === "" ? path : relative(root, resolve(root, dirname(path), file));
      await expect(access(join(root, linked)), target).resolves.toBeUndefined();
      if (anchor !== undefined) expect(anchorsOf(page(linked)), target).toContain(anchor);
    }
  });
});

/** Returns the anchors that GitHub gives to the headings of a page. */
const anchorsOf = (text: string) =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, "")
      .replaceAll(" ", "-"),
  );

/** Returns the output of a linter, whatever its exit code is. script/bootstrap installs the linters. */
async function outputOf(program: string, args: string[]): Promise<string> {
  const { stdout } = await run(program, args, { cwd: root }).catch((error: unknown) =>
    z.looseObject({ stdout: z.string() }).parse(error),
  );
  return stdout;
}
