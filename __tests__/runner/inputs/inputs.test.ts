import { readFileSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import * as z from "zod";
import type { Inputs, LoadInputs } from "../../../src/plan/inputs.ts";
import { readInputs } from "../../../src/runner/inputs/create.ts";
import { readLoadInputs } from "../../../src/runner/inputs/load.ts";
import { quiet } from "../../fixtures/quiet.ts";
import { temporaryFolder } from "../../fixtures/temporary-folder.ts";

type Declared = Readonly<Record<string, { readonly default?: string | undefined }>>;

/** Returns the inputs that an action declares. */
const inputsOf = (file: string): Declared =>
  z
    .looseObject({ inputs: z.record(z.string(), z.looseObject({ default: z.string().optional() })) })
    .parse(parse(readFileSync(new URL(`../../../${file}`, import.meta.url), "utf8"))).inputs;

const declared = inputsOf("action.yml");
const declaredByLoad = inputsOf("load/action.yml");

let workspace: string;
beforeEach(() => {
  workspace = temporaryFolder();
});

/** Returns the inputs of a workflow, with the defaults of the action. */
const givenTo = (action: Declared, given: Readonly<Record<string, string>>) => (name: string) => {
  const fallback = action[name]?.default ?? "";
  // The runner evaluates expressions: the status and the matrix of the job.
  return given[name] ?? (fallback.startsWith("${{") ? "" : fallback);
};

const read = (given: Readonly<Record<string, string>> = {}): Promise<Inputs> =>
  readInputs(givenTo(declared, given), workspace);

/** Reads the inputs of the action `load`. */
const readLoad = (given: Readonly<Record<string, string>>): Promise<LoadInputs> =>
  readLoadInputs(givenTo(declaredByLoad, given), workspace);

/** The problems with inputs, as `INPUT VALUE: REASON`. */
async function problemsOf(
  given: Readonly<Record<string, string>>,
  readAll: typeof read | typeof readLoad = read,
): Promise<string[]> {
  const { problems } = await readAll(given);
  return problems.map(({ input, value, reason }) => `${input} ${JSON.stringify(value)}: ${reason}`);
}

const file = async (name: string, text: string) => {
  await mkdir(join(workspace, name, ".."), { recursive: true });
  await writeFile(join(workspace, name), text);
};

describe("readInputs", () => {
  it("reads the inputs that action.yml declares, except the one that post reads", async () => {
    const names = new Set<string>();
    await readInputs((name) => {
      names.add(name);
      return "";
    }, workspace);
    expect([...names, "job_status"].toSorted()).toEqual(Object.keys(declared).toSorted());
  });

  it("accepts no inputs", async () => {
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
      cache: { entries: ["proxies", "node-image"], auto: true, save: "auto" },
      logs: "on-failure",
      checksums: {},
      downloadBaseUrls: {},
      problems: [],
    });
  });

  it("treats empty inputs as missing", async () => {
    const given = await read();
    const empty = await readInputs(() => "", workspace);
    expect({ ...empty, config: undefined }).toEqual({ ...given, config: undefined });
  });

  it("collects all problems, with the names of the inputs", async () => {
    quiet();
    const { problems } = await read({
      version: "banana",
      config: "missing.yaml",
      node_image: "kindest/node:v1.34.0",
      kubernetes_version: "newest",
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

describe("the input version", () => {
  it.each([
    ["v0.33.0", "v0.33.0"],
    ["0.33.0", "v0.33.0"],
    ["v0.34.0-alpha", "v0.34.0-alpha"],
    ["latest", "latest"],
  ])("reads %s as %s", async (given, version) => {
    expect(await read({ version: given })).toMatchObject({ version, problems: [] });
  });

  it.each(["v1.34.0", "1.34"])(
    "rejects a Kubernetes version, and names the right input: %s",
    async (version) => {
      expect(await problemsOf({ version })).toEqual([
        `version "${version}": is a Kubernetes version, but this input must be a version of kind (such as v0.33.0): to choose the Kubernetes version, set \`kubernetes_version: ${version}\``,
      ]);
    },
  );

  it.each(["v0.33", "33", "v2.0.0", "newest", "v0.33.0 ", "$(id)", "../v0.33.0", "v0.33.0\n"])(
    "rejects %j",
    async (version) => {
      expect(await problemsOf({ version })).toEqual([
        `version ${JSON.stringify(version)}: must be a version of kind such as v0.33.0, or \`latest\``,
      ]);
    },
  );
});

describe("the input version_file", () => {
  it.each([
    ["the version alone", "v0.32.0\n"],
    ["the version without its v", "0.32.0"],
    ["the version after comments and empty lines", "# kind\n\n  v0.32.0  # pinned\n"],
    ["the version with CRLF", "v0.32.0\r\n"],
    ["asdf's .tool-versions", "nodejs 24.1.0\nkind 0.32.0\nkubectl 1.34.1\n"],
    ["asdf's .tool-versions with alternatives and comments", "# tools\nkind\t0.32.0 0.31.0 # two\n"],
  ])("accepts %s, and overrides `version`", async (_, content) => {
    await file(".kind-version", content);
    expect(await read({ version: "v0.33.0", version_file: ".kind-version" })).toMatchObject({
      version: "v0.32.0",
      problems: [],
    });
  });

  it("accepts `latest`", async () => {
    await file(".kind-version", "latest\n");
    expect(await read({ version_file: ".kind-version" })).toMatchObject({ version: "latest" });
  });

  it.each([
    ["nothing", ""],
    ["a comment alone", "# v0.32.0\n"],
    ["other tools", "nodejs 24.1.0\nkubectl 1.34.1\n"],
    ["several versions", "v0.32.0\nv0.33.0\n"],
  ])("rejects a file with %s", async (_, content) => {
    await file(".tool-versions", content);
    expect(await problemsOf({ version_file: ".tool-versions" })).toEqual([
      'version_file ".tool-versions": contains no version: the file must contain only the version, or a line such as `kind 0.33.0`',
    ]);
  });

  it("rejects a file with a Kubernetes version", async () => {
    await file(".kind-version", "v1.34.0\n");
    const [problem] = await problemsOf({ version_file: ".kind-version" });
    expect(problem).toMatch(/^version_file "v1\.34\.0": is a Kubernetes version, but this input /);
  });

  it("rejects a missing file and a folder", async () => {
    await mkdir(join(workspace, "folder"));
    expect(await problemsOf({ version_file: "missing" })).toEqual(['version_file "missing": does not exist']);
    expect(await problemsOf({ version_file: "folder" })).toEqual(['version_file "folder": is a directory']);
  });
});

describe("the input config", () => {
  const yaml = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: shop\n";

  it.each(["cluster.yaml", "test/kind.yaml", "kind-config.yaml", "kind/cluster.yaml", "apiVersion.yml"])(
    "accepts the path of a file in the workspace: %s",
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
  ])("accepts YAML: %s", async (_, config) => {
    expect(await read({ config })).toMatchObject({ config: { name: "shop" }, problems: [] });
  });

  it("rejects a missing file and a folder", async () => {
    await mkdir(join(workspace, "folder"));
    expect(await problemsOf({ config: "missing.yaml" })).toEqual([
      'config "missing.yaml": does not exist; must be the path of a kind configuration, or its YAML',
    ]);
    expect(await problemsOf({ config: "folder" })).toEqual([
      'config "folder": is a directory; must be the path of a kind configuration, or its YAML',
    ]);
  });

  it("rejects invalid YAML, with line and column", async () => {
    await file("broken.yaml", `${yaml}nodes: [worker\n`);
    const [problem] = await problemsOf({ config: "broken.yaml" });
    expect(problem).toMatch(/^config "broken\.yaml": is not valid YAML at line 5, column 1: /);
  });

  it("rejects each unknown field, with line and column", async () => {
    await file("cluster.yaml", `${yaml}node: []\nnodes:\n- role: worker\n  memory: 4Gi\n`);
    expect((await problemsOf({ config: "cluster.yaml" })).toSorted()).toEqual([
      'config "cluster.yaml": line 4, column 1: unknown field `node`',
      'config "cluster.yaml": line 7, column 3: unknown field `nodes.0.memory`',
    ]);
  });

  it("rejects another apiVersion", async () => {
    expect(await problemsOf({ config: "kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha3" })).toEqual([
      expect.stringMatching(/line 2, column 13: `apiVersion`: .*"kind\.x-k8s\.io\/v1alpha4"$/),
    ]);
  });
});

describe("the input load_archives", () => {
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

  it("accepts paths, one per line, and returns their sizes", async () => {
    expect(await archives("images/b.tar\n\n   my image (1).tar  \n")).toEqual([
      ["images/b.tar", 2],
      ["my image (1).tar", 4],
    ]);
    expect(await archives(join(workspace, "images/a.tar"))).toEqual([["images/a.tar", 1]]);
  });

  it("accepts globs, and sorts their matches", async () => {
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

  it("returns each archive once", async () => {
    expect(await archives("images/b.tar\nimages/*.tar\n./images/../images/b.tar")).toEqual([
      ["images/b.tar", 2],
      ["images/a.tar", 1],
    ]);
  });

  it("accepts symbolic links to files, as some runners create for artifacts", async () => {
    await symlink(join(workspace, "images/a.tar"), join(workspace, "link.tar"));
    expect(await archives("link.tar")).toEqual([["link.tar", 1]]);
  });

  it("reports a problem for each line without a file", async () => {
    expect(await problemsOf({ load_archives: "images/a.tar\nmissing.tar\nimages/*.zip\nimages" })).toEqual(
      expect.arrayContaining([
        'load_archives "missing.tar": does not exist',
        'load_archives "images/*.zip": does not match any file',
        'load_archives "images": is not a regular file; must be an image archive, such as `docker save` writes',
      ]),
    );
  });

  it("ignores folders and broken links that a glob matches", async () => {
    await mkdir(join(workspace, "images/folder.tar"));
    await symlink("/nonexistent", join(workspace, "images/broken.tar"));
    expect(await archives("images/*.tar")).toHaveLength(2);
    expect(await problemsOf({ load_archives: "images/*.tar" })).toEqual([]);
  });
});

describe("the input load_images", () => {
  const images = async (lines: string) => (await read({ load_images: lines })).load.images;

  it("is empty by default", async () => {
    expect(await images("")).toEqual([]);
  });

  it("accepts image names, one per line, and returns each once", async () => {
    expect(await images("web\n\n  ghcr.io/shop/api:1.2  \nlocalhost:5000/db:dev\nweb")).toEqual([
      "web",
      "ghcr.io/shop/api:1.2",
      "localhost:5000/db:dev",
    ]);
  });

  it("rejects digests, because nodes would have the image without it", async () => {
    const digest = `sha256:${"a".repeat(64)}`;
    for (const name of [`web@${digest}`, `ghcr.io/shop/api:1@${digest}`])
      expect(await problemsOf({ load_images: name })).toEqual([
        `load_images "${name}": has a digest, which \`docker save\` does not export: use a tag`,
      ]);
  });

  it("reports a problem for each invalid name", async () => {
    const id = "c".repeat(64);
    expect(await problemsOf({ load_images: `web:1\nWeb\nmy web\n--all\n${id}\nweb:1, api:1` })).toEqual([
      'load_images "Web": has uppercase letters in its repository; must be image names, one per line',
      'load_images "my web": is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST; must be image names, one per line',
      'load_images "--all": is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST; must be image names, one per line',
      `load_images "${id}": is an image ID, not a name; must be image names, one per line`,
      'load_images "web:1, api:1": is not of the form REPOSITORY:TAG or REPOSITORY@DIGEST; must be image names, one per line',
    ]);
  });
});

describe("the input load_nodes", () => {
  const nodes = async (given: string) => (await read({ load_nodes: given })).load.nodes;

  it("is `all` by default", async () => {
    expect((await read()).load.nodes).toBe("all");
    expect(await nodes("")).toBe("all");
    expect(await nodes(" all\n")).toBe("all");
    expect(await nodes("workers")).toBe("workers");
  });

  it("accepts names, one per line or separated by commas", async () => {
    expect(await nodes("kind-worker")).toEqual(["kind-worker"]);
    expect(await nodes("kind-worker\n\n  kind-worker2 \n")).toEqual(["kind-worker", "kind-worker2"]);
    expect(await nodes("kind-worker, kind-worker2,")).toEqual(["kind-worker", "kind-worker2"]);
  });

  it("reports a problem for each invalid name", async () => {
    const reason = "must be `all`, `workers`, or names of nodes, one per line";
    expect(await problemsOf({ load_nodes: "Kind Worker, $(id), kind-worker" })).toEqual([
      `load_nodes "Kind Worker": ${reason}`,
      `load_nodes "$(id)": ${reason}`,
    ]);
  });

  it("rejects `workers` together with names", async () => {
    expect(await problemsOf({ load_nodes: "workers, kind-control-plane" })).toEqual([
      'load_nodes "workers": must be `all`, `workers`, or names of nodes, one per line',
    ]);
  });
});

describe("readLoadInputs", () => {
  it("reads the inputs that load/action.yml declares", async () => {
    const names = new Set<string>();
    await readLoadInputs((name) => {
      names.add(name);
      return "";
    }, workspace);
    expect([...names].toSorted()).toEqual(Object.keys(declaredByLoad).toSorted());
  });

  it("requires only images to load", async () => {
    expect(await readLoad({ load_images: "web" })).toEqual({
      clusterName: undefined,
      load: { archives: [], images: ["web"], nodes: "all" },
      restart: [],
      wait: 300_000,
      problems: [],
    });
  });

  it("reads the same images and nodes as the main action", async () => {
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

  it("rejects inputs without images to load", async () => {
    expect(await problemsOf({}, readLoad)).toEqual([
      'load_archives "": must be set, or `load_images`: there are no images to load',
    ]);
    // An invalid input has only its own problem.
    expect(await problemsOf({ load_archives: "missing.tar" }, readLoad)).toEqual([
      'load_archives "missing.tar": does not exist',
    ]);
  });

  it("reads workloads to restart, one per line, with an optional namespace", async () => {
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

  it("collects all problems", async () => {
    const given = {
      load_images: "Web",
      load_nodes: "all, workers",
      restart: "web\npod/web",
      wait: "soon",
    };
    const workload =
      "must be deployment/NAME, statefulset/NAME or daemonset/NAME, with an optional NAMESPACE/ before it";
    expect((await problemsOf(given, readLoad)).toSorted()).toEqual([
      'load_images "Web": has uppercase letters in its repository; must be image names, one per line',
      'load_nodes "all": must be `all`, `workers`, or names of nodes, one per line',
      'load_nodes "workers": must be `all`, `workers`, or names of nodes, one per line',
      `restart "pod/web": ${workload}`,
      `restart "web": ${workload}`,
      'wait "soon": must be a duration with a unit, such as 5m, 90s or 1m30s (0s does not wait)',
    ]);
  });
});

describe("the input cluster_name", () => {
  // The plan and the action `load` validate it, because the name can have other sources.
  it("is not changed", async () => {
    for (const name of ["kind", "My Cluster"])
      expect(await read({ cluster_name: name })).toMatchObject({ clusterName: name, problems: [] });
  });
});

describe("the inputs kubernetes_version and node_image", () => {
  it.each(["1.34", "v1.34", "1.34.11", "v1.34.11", "stable"])("accepts %s", async (version) => {
    expect(await read({ kubernetes_version: version })).toMatchObject({
      kubernetesVersion: version,
      problems: [],
    });
  });

  it.each(["latest", "1", "v0.33.0", "1.34.x", "1.34.0-rc.1", "kindest/node:v1.34.0"])(
    "rejects %s",
    async (version) => {
      expect(await problemsOf({ kubernetes_version: version })).toEqual([
        `kubernetes_version "${version}": must be a minor version (1.34), a full version (v1.34.11) or \`stable\``,
      ]);
    },
  );

  it("cannot be combined", async () => {
    expect(await problemsOf({ kubernetes_version: "1.34", node_image: "kindest/node:v1.34.0" })).toEqual([
      'kubernetes_version "1.34": cannot be combined with `node_image` (kindest/node:v1.34.0): set one of the two',
    ]);
  });

  it("accept any image reference", async () => {
    const image = `registry.example:5000/node:v1.34.0@sha256:${"a".repeat(64)}`;
    expect(await read({ node_image: image })).toMatchObject({ nodeImage: image, problems: [] });
  });
});

describe("the input wait", () => {
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
  ])("reads %s as %i ms", async (given, wait) => {
    expect(await read({ wait: given })).toMatchObject({ wait, problems: [] });
  });

  it.each(["5", "five minutes", "5 m", "-5m", "5M", "m", "5m 30s", "1d", "1m30", "5m\n"])(
    "rejects %j",
    async (wait) => {
      expect(await problemsOf({ wait })).toEqual([
        `wait ${JSON.stringify(wait)}: must be a duration with a unit, such as 5m, 90s or 1m30s (0s does not wait)`,
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
  ])("install_only and ignore_failed_clean accept %s", async (given, value) => {
    expect(await read({ install_only: given, ignore_failed_clean: given })).toMatchObject({
      installOnly: value,
      ignoreFailedClean: value,
      problems: [],
    });
  });

  it.each(["yes", "no", "1", "on", "tRUE", "true\n"])("install_only rejects %j", async (given) => {
    expect(await problemsOf({ install_only: given })).toEqual([
      `install_only ${JSON.stringify(given)}: must be true or false`,
    ]);
  });

  it("verbosity accepts whole numbers", async () => {
    expect(await read({ verbosity: "3" })).toMatchObject({ verbosity: 3, problems: [] });
    for (const verbosity of ["-1", "1.5", "high", "999"])
      expect(await problemsOf({ verbosity })).toEqual([
        `verbosity "${verbosity}": must be a whole number, 0 or more`,
      ]);
  });

  it("logs accepts on-failure, always and never", async () => {
    for (const logs of ["on-failure", "always", "never"] as const)
      expect(await read({ logs })).toMatchObject({ logs, problems: [] });
    expect(await problemsOf({ logs: "true" })).toEqual([
      'logs "true": must be one of on-failure, always, never',
    ]);
    expect((await read({ logs: "true" })).logs).toBe("on-failure");
  });

  it("kubectl_version accepts full versions, with or without v", async () => {
    expect(await read({ kubectl_version: "1.36.3" })).toMatchObject({ kubectlVersion: "v1.36.3" });
    expect(await read({ kubectl_version: "v1.36.3" })).toMatchObject({ kubectlVersion: "v1.36.3" });
    for (const version of ["1.36", "v0.33.0", "latest"])
      expect(await problemsOf({ kubectl_version: version })).toEqual([
        `kubectl_version "${version}": must be a full version such as v1.36.3`,
      ]);
  });

  it("kubeconfig is resolved against the workspace", async () => {
    expect(await read({ kubeconfig: "out/config" })).toMatchObject({
      kubeconfig: join(workspace, "out/config"),
    });
    expect(await read({ kubeconfig: "/tmp/config" })).toMatchObject({ kubeconfig: "/tmp/config" });
  });

  it("checksums accepts checksums of kind and kubectl", async () => {
    const [kind, kubectl] = ["a".repeat(64), "B".repeat(64)];
    expect(await read({ checksums: `kind=${kind}\n\n  kubectl=${kubectl}  \n` })).toMatchObject({
      checksums: { kind, kubectl: kubectl.toLowerCase() },
      problems: [],
    });
    expect(await problemsOf({ checksums: `kind=abc\nhelm=${kind}\n${kind}\nkubectl = ${kind}` })).toEqual([
      'checksums "kind=abc": must have a SHA-256 checksum: 64 hexadecimal digits after `kind=`',
      `checksums "helm=${kind}": must have lines \`kind=…\` or \`kubectl=…\``,
      `checksums "${kind}": must have lines \`kind=…\` or \`kubectl=…\``,
      `checksums "kubectl = ${kind}": must have lines \`kind=…\` or \`kubectl=…\``,
    ]);
    expect(await problemsOf({ checksums: `kind=${kind}\nkind=${kubectl}` })).toEqual([
      `checksums "kind=${kubectl}": names kind twice`,
    ]);
  });

  it("download_base_url accepts URLs for kind and kubectl", async () => {
    expect(
      await read({ download_base_url: "kind=https://mirror.example/kind/\nkubectl=http://10.0.0.1:8080//" }),
    ).toMatchObject({
      downloadBaseUrls: { kind: "https://mirror.example/kind", kubectl: "http://10.0.0.1:8080" },
      problems: [],
    });
    expect(await problemsOf({ download_base_url: "kind=file:///mirror\nhttps://mirror.example" })).toEqual([
      'download_base_url "kind=file:///mirror": must have a URL that begins with https:// or http:// after `kind=`',
      'download_base_url "https://mirror.example": must have lines `kind=…` or `kubectl=…`',
    ]);
  });

  it("matrix is not changed", async () => {
    expect(await read({ matrix: '{"os":"ubuntu"}' })).toMatchObject({ matrix: '{"os":"ubuntu"}' });
  });

  it("cloud_provider is rejected, not ignored", async () => {
    expect(await problemsOf({ cloud_provider: "true" })).toEqual(['cloud_provider "true": is not supported']);
    expect(await problemsOf({ cloud_provider: "false" })).toEqual([]);
  });
});

describe("a path with ..", () => {
  it("is normalized", async () => {
    await file("app.tar", "archive");
    const { load, problems } = await read({ load_archives: `${workspace}/images/../app.tar` });
    expect(problems).toEqual([]);
    expect(load.archives.map(({ path }) => path)).toEqual([join(workspace, "app.tar")]);
  });
});
