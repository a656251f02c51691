import { readFileSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { type Inputs, type LoadInputs, readInputs, readLoadInputs } from "../../src/runner/inputs.ts";
import { quiet } from "../fixtures/quiet.ts";
import { temporaryFolder } from "../fixtures/temporary-folder.ts";

type Declared = Readonly<Record<string, { readonly default?: string | undefined }>>;

/** The inputs that an action declares. */
const inputsOf = (file: string): Declared =>
  z
    .looseObject({ inputs: z.record(z.string(), z.looseObject({ default: z.string().optional() })) })
    .parse(parse(readFileSync(new URL(`../../${file}`, import.meta.url), "utf8"))).inputs;

const declared = inputsOf("action.yml");
const declaredByLoad = inputsOf("load/action.yml");

let workspace: string;
beforeEach(() => {
  workspace = temporaryFolder();
});

/** Inputs as a workflow gives them, with the defaults of an action's file. */
const givenTo = (action: Declared, given: Readonly<Record<string, string>>) => (name: string) => {
  const fallback = action[name]?.default ?? "";
  // What the runner evaluates is the job's status and its matrix.
  return given[name] ?? (fallback.startsWith("${{") ? "" : fallback);
};

const read = (given: Readonly<Record<string, string>> = {}): Promise<Inputs> =>
  readInputs(givenTo(declared, given), workspace);

/** Reads what the step `load` is given. */
const readLoad = (given: Readonly<Record<string, string>>): Promise<LoadInputs> =>
  readLoadInputs(givenTo(declaredByLoad, given), workspace);

/** The problems with inputs, as `INPUT VALUE: REASON`. */
async function problemsOf(
  given: Readonly<Record<string, string>>,
  reading: typeof read | typeof readLoad = read,
): Promise<string[]> {
  const { problems } = await reading(given);
  return problems.map(({ input, value, reason }) => `${input} ${JSON.stringify(value)}: ${reason}`);
}

const file = async (name: string, text: string) => {
  await mkdir(join(workspace, name, ".."), { recursive: true });
  await writeFile(join(workspace, name), text);
};

describe("the inputs", () => {
  it("are those that action.yml declares, beside the one that post asks for itself", async () => {
    const asked = new Set<string>();
    await readInputs((name) => {
      asked.add(name);
      return "";
    }, workspace);
    expect([...asked, "job_status"].toSorted()).toEqual(Object.keys(declared).toSorted());
  });

  it("need none to be given", async () => {
    expect(await read()).toMatchObject({
      version: "v0.33.0",
      config: { name: undefined, nodes: [] },
      kubeconfig: undefined,
      nodeImage: undefined,
      kubernetesVersion: undefined,
      clusterName: undefined,
      wait: 300_000,
      verbosity: 0,
      kubectlVersion: undefined,
      installOnly: false,
      ignoreFailedClean: false,
      load: { archives: [], images: [], nodes: "all" },
      registries: { local: undefined, upstreams: [] },
      cache: { kinds: ["node-image", "proxies"], auto: true, save: "auto" },
      logs: "on-failure",
      checksums: {},
      downloadBaseUrls: {},
      problems: [],
    });
  });

  it("are the same when all are given empty, as expressions without a value are", async () => {
    const given = await read();
    const empty = await readInputs(() => "", workspace);
    expect({ ...empty, config: undefined }).toEqual({ ...given, config: undefined });
  });

  it("have all their problems told at once, each with its input", async () => {
    quiet();
    const { problems } = await read({
      version: "banana",
      config: "missing.yaml",
      node_image: "kindest/node:v1.34.0",
      kubernetes_version: "newest",
      cluster_name: "My Cluster",
      wait: "soon",
      verbosity: "loud",
      kubectl_version: "1.34",
      install_only: "yes",
      ignore_failed_clean: "no",
      load_archives: "missing.tar",
      logs: "sometimes",
      checksums: "kind=abc",
      download_base_url: "kind=ftp://x",
      registry: "on",
      registry_image: "Registry",
      registry_name: "My Registry",
      registry_port: "http",
      registry_enable_delete: "on",
      registry_proxies: "https://ghcr.io",
      cache: "everything",
      cache_save: "true",
      cache_restore_timeout: "2",
      cache_save_timeout: "5",
      cache_max_size: "2",
      cloud_provider: "true",
    });
    expect(problems.map(({ input }) => input).toSorted()).toEqual([
      "cache",
      "cache_max_size",
      "cache_restore_timeout",
      "cache_save",
      "cache_save_timeout",
      "checksums",
      "cloud_provider",
      "cluster_name",
      "config",
      "download_base_url",
      "ignore_failed_clean",
      "install_only",
      "kubectl_version",
      "kubernetes_version",
      "load_archives",
      "logs",
      "registry",
      "registry_enable_delete",
      "registry_image",
      "registry_name",
      "registry_port",
      "registry_proxies",
      "verbosity",
      "version",
      "wait",
    ]);
  });
});

describe("version", () => {
  it.each([
    ["v0.33.0", "v0.33.0"],
    ["0.33.0", "v0.33.0"],
    ["v0.34.0-alpha", "v0.34.0-alpha"],
    ["latest", "latest"],
  ])("%s is %s", async (given, version) => {
    expect(await read({ version: given })).toMatchObject({ version, problems: [] });
  });

  it.each(["v1.34.0", "1.34"])(
    "given as Kubernetes' is recognised, and where that belongs is said: %s",
    async (version) => {
      expect(await problemsOf({ version })).toEqual([
        `version "${version}": is a Kubernetes version, and this input takes kind's (such as v0.33.0). For a Kubernetes version: \`kubernetes_version: ${version}\``,
      ]);
    },
  );

  it.each(["v0.33", "33", "v2.0.0", "newest", "v0.33.0 ", "$(id)", "../v0.33.0", "v0.33.0\n"])(
    "cannot be %j",
    async (version) => {
      expect(await problemsOf({ version })).toEqual([
        `version ${JSON.stringify(version)}: wants a version of kind such as v0.33.0, or \`latest\``,
      ]);
    },
  );
});

describe("version_file", () => {
  it.each([
    ["the version alone", "v0.32.0\n"],
    ["the version without its v", "0.32.0"],
    ["the version behind comments and empty lines", "# kind\n\n  v0.32.0  # pinned\n"],
    ["the version, written on Windows", "v0.32.0\r\n"],
    ["asdf's .tool-versions", "nodejs 24.1.0\nkind 0.32.0\nkubectl 1.34.1\n"],
    ["asdf's .tool-versions with alternatives and comments", "# tools\nkind\t0.32.0 0.31.0 # two\n"],
  ])("holds %s, and wins over `version`", async (_, content) => {
    await file(".kind-version", content);
    expect(await read({ version: "v0.33.0", version_file: ".kind-version" })).toMatchObject({
      version: "v0.32.0",
      problems: [],
    });
  });

  it("may say latest", async () => {
    await file(".kind-version", "latest\n");
    expect(await read({ version_file: ".kind-version" })).toMatchObject({ version: "latest" });
  });

  it.each([
    ["nothing", ""],
    ["a comment alone", "# v0.32.0\n"],
    ["other tools", "nodejs 24.1.0\nkubectl 1.34.1\n"],
    ["several versions", "v0.32.0\nv0.33.0\n"],
  ])("that holds %s is a problem", async (_, content) => {
    await file(".tool-versions", content);
    expect(await problemsOf({ version_file: ".tool-versions" })).toEqual([
      'version_file ".tool-versions": holds no version: wants a file with the version alone, or with a line `kind 0.33.0`',
    ]);
  });

  it("that holds no version of kind is a problem of the file's", async () => {
    await file(".kind-version", "v1.34.0\n");
    const [problem] = await problemsOf({ version_file: ".kind-version" });
    expect(problem).toMatch(/^version_file "v1\.34\.0": is a Kubernetes version, /);
  });

  it("that is not there, or is a folder, is a problem", async () => {
    await mkdir(join(workspace, "folder"));
    expect(await problemsOf({ version_file: "missing" })).toEqual([
      'version_file "missing": there is no such file',
    ]);
    expect(await problemsOf({ version_file: "folder" })).toEqual(['version_file "folder": is a folder']);
  });
});

describe("config", () => {
  const yaml = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: shop\n";

  it.each(["cluster.yaml", "test/kind.yaml", "kind-config.yaml", "kind/cluster.yaml", "apiVersion.yml"])(
    "may be the path of a file, in the workspace: %s",
    async (name) => {
      await file(name, yaml);
      expect(await read({ config: name })).toMatchObject({ config: { name: "shop" }, problems: [] });
      expect(await read({ config: join(workspace, name) })).toMatchObject({ config: { name: "shop" } });
    },
  );

  it.each([
    ["lines", yaml],
    ["lines, the kind last", "name: shop\napiVersion: kind.x-k8s.io/v1alpha4\nkind: Cluster"],
    ["a single line", "{kind: Cluster, apiVersion: kind.x-k8s.io/v1alpha4, name: shop}"],
    ["JSON", JSON.stringify({ kind: "Cluster", apiVersion: "kind.x-k8s.io/v1alpha4", name: "shop" })],
  ])("may be the YAML itself: %s", async (_, config) => {
    expect(await read({ config })).toMatchObject({ config: { name: "shop" }, problems: [] });
  });

  it("that is not there, or is a folder, is a problem", async () => {
    await mkdir(join(workspace, "folder"));
    expect(await problemsOf({ config: "missing.yaml" })).toEqual([
      'config "missing.yaml": there is no such file; wants the path of a kind configuration, or its YAML',
    ]);
    expect(await problemsOf({ config: "folder" })).toEqual([
      'config "folder": is a folder; wants the path of a kind configuration, or its YAML',
    ]);
  });

  it("that is no YAML is a problem, with line and column", async () => {
    await file("broken.yaml", `${yaml}nodes: [worker\n`);
    const [problem] = await problemsOf({ config: "broken.yaml" });
    expect(problem).toMatch(/^config "broken\.yaml": not valid YAML at line 5, column 1: /);
  });

  it("with fields that kind does not know is a problem for each, with line and column", async () => {
    await file("cluster.yaml", `${yaml}node: []\nnodes:\n- role: worker\n  memory: 4Gi\n`);
    expect((await problemsOf({ config: "cluster.yaml" })).toSorted()).toEqual([
      'config "cluster.yaml": line 4, column 1: unknown field `node`',
      'config "cluster.yaml": line 7, column 3: unknown field `nodes.0.memory`',
    ]);
  });

  it("for another version of kind's format is a problem", async () => {
    expect(await problemsOf({ config: "kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha3" })).toEqual([
      expect.stringMatching(/line 2, column 13: `apiVersion`: .*"kind\.x-k8s\.io\/v1alpha4"$/),
    ]);
  });
});

describe("load_archives", () => {
  const archives = async (lines: string) =>
    (await read({ load_archives: lines })).load.archives.map(({ path, bytes }) => [
      path.replace(`${workspace}/`, ""),
      bytes,
    ]);

  beforeEach(async () => {
    quiet();
    await file("images/a.tar", "a");
    await file("images/b.tar", "bb");
    await file("images/deep/c.tar", "ccc");
    await file("images/readme.md", "");
    await file("my image (1).tar", "dddd");
  });

  it("are paths, one a line, with their sizes", async () => {
    expect(await archives("images/b.tar\n\n   my image (1).tar  \n")).toEqual([
      ["images/b.tar", 2],
      ["my image (1).tar", 4],
    ]);
    expect(await archives(join(workspace, "images/a.tar"))).toEqual([["images/a.tar", 1]]);
  });

  it("are globs, in the order of their names", async () => {
    expect(await archives("images/*.tar")).toEqual([
      ["images/a.tar", 1],
      ["images/b.tar", 2],
    ]);
    expect(await archives("images/**/*.tar")).toEqual([
      ["images/a.tar", 1],
      ["images/b.tar", 2],
      ["images/deep/c.tar", 3],
    ]);
    expect(await archives("images/?.tar")).toHaveLength(2);
    expect(await archives("images/[bc].tar")).toEqual([["images/b.tar", 2]]);
  });

  it("are loaded once, however often they are named", async () => {
    expect(await archives("images/b.tar\nimages/*.tar\n./images/../images/b.tar")).toEqual([
      ["images/b.tar", 2],
      ["images/a.tar", 1],
    ]);
  });

  it("may be links to files, as downloads of artifacts are on some runners", async () => {
    await symlink(join(workspace, "images/a.tar"), join(workspace, "link.tar"));
    expect(await archives("link.tar")).toEqual([["link.tar", 1]]);
  });

  it("that are not there are a problem for each line", async () => {
    expect(await problemsOf({ load_archives: "images/a.tar\nmissing.tar\nimages/*.zip\nimages" })).toEqual(
      expect.arrayContaining([
        'load_archives "missing.tar": there is no such file',
        'load_archives "images/*.zip": matches no file',
        'load_archives "images": is not a file; wants image archives, as `docker save` writes them',
      ]),
    );
  });

  it("are no folders and no broken links that a glob matches, and these are no problem", async () => {
    await mkdir(join(workspace, "images/folder.tar"));
    await symlink("/nonexistent", join(workspace, "images/broken.tar"));
    expect(await archives("images/*.tar")).toHaveLength(2);
    expect(await problemsOf({ load_archives: "images/*.tar" })).toEqual([]);
  });
});

describe("load_images", () => {
  const images = async (lines: string) => (await read({ load_images: lines })).load.images;

  it("are none unless they are given", async () => {
    expect(await images("")).toEqual([]);
  });

  it("are names as Docker takes them, one a line, each once", async () => {
    expect(await images("web\n\n  ghcr.io/shop/api:1.2  \nlocalhost:5000/db:dev\nweb")).toEqual([
      "web",
      "ghcr.io/shop/api:1.2",
      "localhost:5000/db:dev",
    ]);
  });

  it("that name a digest are a problem: the nodes would have the image without it", async () => {
    const digest = `sha256:${"a".repeat(64)}`;
    for (const name of [`web@${digest}`, `ghcr.io/shop/api:1@${digest}`])
      expect(await problemsOf({ load_images: name })).toEqual([
        `load_images "${name}": names a digest, which Docker's export does not keep: wants a tag`,
      ]);
  });

  it("that are no names are a problem for each line, with what is wrong", async () => {
    const id = "c".repeat(64);
    expect(await problemsOf({ load_images: `web:1\nWeb\nmy web\n--all\n${id}\nweb:1, api:1` })).toEqual([
      'load_images "Web": has upper case letters in its repository; wants names of images, one a line',
      'load_images "my web": is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST; wants names of images, one a line',
      'load_images "--all": is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST; wants names of images, one a line',
      `load_images "${id}": is an image's ID, not a name; wants names of images, one a line`,
      'load_images "web:1, api:1": is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST; wants names of images, one a line',
    ]);
  });
});

describe("load_nodes", () => {
  const nodes = async (given: string) => (await read({ load_nodes: given })).load.nodes;

  it("are all unless said otherwise", async () => {
    expect((await read()).load.nodes).toBe("all");
    expect(await nodes("")).toBe("all");
    expect(await nodes(" all\n")).toBe("all");
    expect(await nodes("workers")).toBe("workers");
  });

  it("are names, one a line, or with commas between them as kind's --nodes has them", async () => {
    expect(await nodes("kind-worker")).toEqual(["kind-worker"]);
    expect(await nodes("kind-worker\n\n  kind-worker2 \n")).toEqual(["kind-worker", "kind-worker2"]);
    expect(await nodes("kind-worker, kind-worker2,")).toEqual(["kind-worker", "kind-worker2"]);
  });

  it("that cannot be names of nodes are a problem for each", async () => {
    const reason = "wants `all`, `workers`, or names of nodes, one a line";
    expect(await problemsOf({ load_nodes: "Kind Worker, $(id), kind-worker" })).toEqual([
      `load_nodes "Kind Worker": ${reason}`,
      `load_nodes "$(id)": ${reason}`,
    ]);
  });

  it("are all, or workers, or names, not a mixture", async () => {
    expect(await problemsOf({ load_nodes: "workers, kind-control-plane" })).toEqual([
      'load_nodes "workers": wants `all`, `workers`, or names of nodes, one a line',
    ]);
  });
});

describe("the step load", () => {
  it("has the inputs that load/action.yml declares", async () => {
    const asked = new Set<string>();
    await readLoadInputs((name) => {
      asked.add(name);
      return "";
    }, workspace);
    expect([...asked].toSorted()).toEqual(Object.keys(declaredByLoad).toSorted());
  });

  it("needs no more than what to load", async () => {
    expect(await readLoad({ load_images: "web" })).toEqual({
      clusterName: undefined,
      load: { archives: [], images: ["web"], nodes: "all" },
      restart: [],
      wait: 300_000,
      problems: [],
    });
  });

  it("loads what the main action would: archives, images, into nodes", async () => {
    await file("web.tar", "archive");
    const given = { load_archives: "web.tar", load_images: "api", load_nodes: "workers" };
    const { load, problems } = await readLoad(given);
    expect(problems).toEqual([]);
    expect(load).toEqual({
      archives: [{ path: join(workspace, "web.tar"), bytes: 7 }],
      images: ["api"],
      nodes: "workers",
    });
    expect((await read(given)).load).toEqual(load);
  });

  it("has nothing to do without anything to load, which is a mistake", async () => {
    expect(await problemsOf({}, readLoad)).toEqual([
      'load_archives "": nothing to load: give `load_archives`, `load_images` or both',
    ]);
    // What was given and is wrong is told alone.
    expect(await problemsOf({ load_archives: "missing.tar" }, readLoad)).toEqual([
      'load_archives "missing.tar": there is no such file',
    ]);
  });

  it("restarts workloads, one a line, of the current namespace or another", async () => {
    const { restart, problems } = await readLoad({
      load_images: "web",
      restart: "deployment/web\n\n shop/statefulset/db \nds/agent",
    });
    expect(problems).toEqual([]);
    expect(restart).toEqual([
      { namespace: undefined, name: "deployment/web" },
      { namespace: "shop", name: "statefulset/db" },
      { namespace: undefined, name: "ds/agent" },
    ]);
  });

  it("tells everything that is wrong at once, as given", async () => {
    const given = {
      cluster_name: "My Cluster",
      load_images: "Web",
      load_nodes: "all, workers",
      restart: "web\npod/web",
      wait: "soon",
    };
    const workload =
      "wants deployment/NAME, statefulset/NAME or daemonset/NAME, with NAMESPACE/ before it if need be";
    expect((await problemsOf(given, readLoad)).toSorted()).toEqual([
      'cluster_name "My Cluster": wants lower-case letters, digits, dots and hyphens, with a letter or digit first',
      'load_images "Web": has upper case letters in its repository; wants names of images, one a line',
      'load_nodes "all": wants `all`, `workers`, or names of nodes, one a line',
      'load_nodes "workers": wants `all`, `workers`, or names of nodes, one a line',
      `restart "pod/web": ${workload}`,
      `restart "web": ${workload}`,
      'wait "soon": wants a duration with its unit, such as 5m, 90s or 1m30s; 0s waits for nothing',
    ]);
  });
});

describe("cluster_name", () => {
  it.each(["kind", "a", "1st", "shop-e2e.2"])("may be %s", async (name) => {
    expect(await read({ cluster_name: name })).toMatchObject({ clusterName: name, problems: [] });
  });

  it.each([
    "Kind",
    "my cluster",
    "my_cluster",
    "-kind",
    ".kind",
    "--name",
    "$(id)",
    "`id`",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: what a shell would replace
    "${HOME}",
    "a;b",
    "a/b",
    "../a",
    "a\n",
    "a\nb",
    "größe",
    "日本",
    "a\u200bb",
  ])("cannot be %j", async (name) => {
    expect(await problemsOf({ cluster_name: name })).toEqual([
      `cluster_name ${JSON.stringify(name)}: wants lower-case letters, digits, dots and hyphens, with a letter or digit first`,
    ]);
    expect((await read({ cluster_name: name })).clusterName).toBeUndefined();
  });
});

describe("kubernetes_version and node_image", () => {
  it.each(["1.34", "v1.34", "1.34.11", "v1.34.11", "stable"])("may be %s", async (version) => {
    expect(await read({ kubernetes_version: version })).toMatchObject({
      kubernetesVersion: version,
      problems: [],
    });
  });

  it.each(["latest", "1", "v0.33.0", "1.34.x", "1.34.0-rc.1", "kindest/node:v1.34.0"])(
    "cannot be %s",
    async (version) => {
      expect(await problemsOf({ kubernetes_version: version })).toEqual([
        `kubernetes_version "${version}": wants a minor version (1.34), a full one (v1.34.11) or \`stable\``,
      ]);
    },
  );

  it("cannot both be given", async () => {
    expect(await problemsOf({ kubernetes_version: "1.34", node_image: "kindest/node:v1.34.0" })).toEqual([
      'kubernetes_version "1.34": `node_image` (kindest/node:v1.34.0) is given too: give one of the two',
    ]);
  });

  it("take an image as it is", async () => {
    const image = `registry.example:5000/node:v1.34.0@sha256:${"a".repeat(64)}`;
    expect(await read({ node_image: image })).toMatchObject({ nodeImage: image, problems: [] });
  });
});

describe("wait", () => {
  it.each([
    ["5m", 300_000],
    ["90s", 90_000],
    ["1m30s", 90_000],
    ["1h", 3_600_000],
    ["1h2m3s", 3_723_000],
    ["1.5m", 90_000],
    ["500ms", 500],
    ["0s", 0],
    ["0", 0],
  ])("%s is %i ms", async (given, wait) => {
    expect(await read({ wait: given })).toMatchObject({ wait, problems: [] });
  });

  it.each(["5", "five minutes", "5 m", "-5m", "5M", "m", "5m 30s", "1d", "1m30", "5m\n"])(
    "cannot be %j",
    async (wait) => {
      expect(await problemsOf({ wait })).toEqual([
        `wait ${JSON.stringify(wait)}: wants a duration with its unit, such as 5m, 90s or 1m30s; 0s waits for nothing`,
      ]);
    },
  );
});

describe("the other inputs", () => {
  it.each([
    ["true", true],
    ["True", true],
    ["TRUE", true],
    ["false", false],
    ["False", false],
    ["FALSE", false],
  ])("install_only and ignore_failed_clean may be %s", async (given, value) => {
    expect(await read({ install_only: given, ignore_failed_clean: given })).toMatchObject({
      installOnly: value,
      ignoreFailedClean: value,
      problems: [],
    });
  });

  it.each(["yes", "no", "1", "on", "tRUE", "true\n"])("install_only cannot be %j", async (given) => {
    expect(await problemsOf({ install_only: given })).toEqual([
      `install_only ${JSON.stringify(given)}: wants true or false`,
    ]);
  });

  it("verbosity is a whole number", async () => {
    expect(await read({ verbosity: "3" })).toMatchObject({ verbosity: 3, problems: [] });
    for (const verbosity of ["-1", "1.5", "high", "999"])
      expect(await problemsOf({ verbosity })).toEqual([
        `verbosity "${verbosity}": wants a whole number, 0 or more`,
      ]);
  });

  it("logs says when", async () => {
    for (const logs of ["on-failure", "always", "never"] as const)
      expect(await read({ logs })).toMatchObject({ logs, problems: [] });
    expect(await problemsOf({ logs: "true" })).toEqual([
      'logs "true": wants one of on-failure, always, never',
    ]);
    expect((await read({ logs: "true" })).logs).toBe("on-failure");
  });

  it("kubectl_version is a full one, with or without its v", async () => {
    expect(await read({ kubectl_version: "1.36.3" })).toMatchObject({ kubectlVersion: "v1.36.3" });
    expect(await read({ kubectl_version: "v1.36.3" })).toMatchObject({ kubectlVersion: "v1.36.3" });
    for (const version of ["1.36", "v0.33.0", "latest"])
      expect(await problemsOf({ kubectl_version: version })).toEqual([
        `kubectl_version "${version}": wants a full version such as v1.36.3`,
      ]);
  });

  it("kubeconfig is a path from the workspace on", async () => {
    expect(await read({ kubeconfig: "out/config" })).toMatchObject({
      kubeconfig: join(workspace, "out/config"),
    });
    expect(await read({ kubeconfig: "/tmp/config" })).toMatchObject({ kubeconfig: "/tmp/config" });
  });

  it("checksums are sums of kind and kubectl", async () => {
    const [kind, kubectl] = ["a".repeat(64), "B".repeat(64)];
    expect(await read({ checksums: `kind=${kind}\n\n  kubectl=${kubectl}  \n` })).toMatchObject({
      checksums: { kind, kubectl: kubectl.toLowerCase() },
      problems: [],
    });
    expect(await problemsOf({ checksums: `kind=abc\nhelm=${kind}\n${kind}\nkubectl = ${kind}` })).toEqual([
      'checksums "kind=abc": wants a SHA-256 sum: 64 hexadecimal digits behind `kind=`',
      `checksums "helm=${kind}": wants lines \`kind=…\` or \`kubectl=…\``,
      `checksums "${kind}": wants lines \`kind=…\` or \`kubectl=…\``,
      `checksums "kubectl = ${kind}": wants lines \`kind=…\` or \`kubectl=…\``,
    ]);
    expect(await problemsOf({ checksums: `kind=${kind}\nkind=${kubectl}` })).toEqual([
      `checksums "kind=${kubectl}": names kind twice`,
    ]);
  });

  it("download_base_url are URLs for kind and kubectl", async () => {
    expect(
      await read({ download_base_url: "kind=https://mirror.example/kind/\nkubectl=http://10.0.0.1:8080//" }),
    ).toMatchObject({
      downloadBaseUrls: { kind: "https://mirror.example/kind", kubectl: "http://10.0.0.1:8080" },
      problems: [],
    });
    expect(await problemsOf({ download_base_url: "kind=file:///mirror\nhttps://mirror.example" })).toEqual([
      'download_base_url "kind=file:///mirror": wants a URL that begins with https:// or http:// behind `kind=`',
      'download_base_url "https://mirror.example": wants lines `kind=…` or `kubectl=…`',
    ]);
  });

  it("matrix is taken as it is", async () => {
    expect(await read({ matrix: '{"os":"ubuntu"}' })).toMatchObject({ matrix: '{"os":"ubuntu"}' });
  });

  it("cloud_provider is not supported yet, and never silently without effect", async () => {
    expect(await problemsOf({ cloud_provider: "true" })).toEqual([
      'cloud_provider "true": is not supported yet',
    ]);
    expect(await problemsOf({ cloud_provider: "false" })).toEqual([]);
  });
});

describe("a path that leads through its parents", () => {
  it("is read like any other, absolute too", async () => {
    await file("app.tar", "archive");
    const { load, problems } = await read({ load_archives: `${workspace}/images/../app.tar` });
    expect(problems).toEqual([]);
    expect(load.archives.map(({ path }) => path)).toEqual([join(workspace, "app.tar")]);
  });
});
