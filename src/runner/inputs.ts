import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type ArchiveFile, findArchives } from "../archive/find-archives.ts";
import { type ClusterConfig, defaultClusterConfig, parseClusterConfig } from "../cluster/config.ts";
import { parseWorkload, type Workload } from "../kubernetes/rollout.ts";
import { describeFileError, type Problem } from "../lib/errors.ts";
import type { NodeSelection } from "../node/nodes.ts";
import { normalizeReference } from "../oci/reference.ts";
import { parseCredentials, type RegistryCredentials } from "../registries/credentials.ts";
import { defaultRegistryImage } from "../registries/registry-container.ts";
import type { CredentialsPlan } from "../registries/resolve-credentials.ts";
import { parseUpstreams, type Upstream } from "../registries/upstreams.ts";
import { looksLikeKubernetes, newestKind } from "../versions/releases.ts";

/** The inputs of action.yml, read and checked. What could not be read has its default, and a problem. */
export interface Inputs {
  /** A kind version with its `v`, or `latest`. */
  readonly version: string;
  readonly config: ClusterConfig;
  /** An absolute path. */
  readonly kubeconfig: string | undefined;
  readonly nodeImage: string | undefined;
  /** `1.34`, `v1.34.11` or `stable`. */
  readonly kubernetesVersion: string | undefined;
  readonly clusterName: string | undefined;
  /** How long the cluster may take to become ready, in milliseconds; 0 waits for nothing. */
  readonly wait: number;
  readonly verbosity: number;
  readonly kubectlVersion: string | undefined;
  readonly installOnly: boolean;
  /** Whether the cluster is given settings with which it is ready sooner. */
  readonly fastStart: boolean;
  readonly ignoreFailedClean: boolean;
  readonly load: ImageInputs;
  readonly registries: RegistryInputs;
  readonly cache: CacheInputs;
  readonly logs: LogsWhen;
  /** Expected SHA-256 sums, by tool. */
  readonly checksums: Readonly<Partial<Record<Tool, string>>>;
  /** Where to download from instead of upstream, by tool, without a slash at the end. */
  readonly downloadBaseUrls: Readonly<Partial<Record<Tool, string>>>;
  /** The values of the job's matrix, as JSON. */
  readonly matrix: string;
  readonly problems: readonly Problem[];
}

/** What to load, and where to: inputs of the main action and of `load`. */
export interface ImageInputs {
  readonly archives: readonly ArchiveFile[];
  /** Images of the runner's Docker daemon, as the user wrote them. */
  readonly images: readonly string[];
  readonly nodes: NodeSelection;
}

/** What of a run comes out of the Actions cache, and goes there. */
export interface CacheInputs {
  readonly kinds: readonly CacheKind[];
  /** Whether each is used only where it pays. */
  readonly auto: boolean;
  readonly save: CacheSave;
  /** How long all restoring and all saving may take, in milliseconds. */
  readonly restoreDeadline: number;
  readonly saveDeadline: number;
  /** What the proxies may keep there, in bytes. */
  readonly maxSize: number;
}

export type CacheKind = "node-image" | "proxies";
export type CacheSave = "auto" | "always" | "never";

/** The registries that a cluster is to have beside it. */
export interface RegistryInputs {
  /** What all of them run. */
  readonly image: string;
  /** The one for the images that the job builds. */
  readonly local:
    | { readonly name: string; readonly port: number; readonly enableDelete: boolean }
    | undefined;
  /** Those that nodes pull from through a proxy. */
  readonly upstreams: readonly Upstream[];
  readonly logins: CredentialsPlan;
}

/** The inputs of load/action.yml. */
export interface LoadInputs {
  /** Of the cluster to load into. */
  readonly clusterName: string | undefined;
  readonly load: ImageInputs;
  /** What runs the images, and is to be restarted when they are there. */
  readonly restart: readonly Workload[];
  /** How long a restart may take, in milliseconds. */
  readonly wait: number;
  readonly problems: readonly Problem[];
}

export type LogsWhen = "on-failure" | "always" | "never";
export type Tool = "kind" | "kubectl";

/** What kind takes as a cluster's name, and Docker as the beginning of a container's. */
export const clusterNamePattern = /^[a-z0-9][a-z0-9.-]*$/;
export const clusterNameRule =
  "wants lower-case letters, digits, dots and hyphens, with a letter or digit first";

const portRule = "wants a port, 1 to 65535";

/**
 * Reads every input. The only place that does: all problems are found at once, and told with the input's name.
 *
 * @param input the value of an input, empty when it was not given (core.getInput)
 * @param workspace what relative paths start from
 */
export async function readInputs(input: (name: string) => string, workspace: string): Promise<Inputs> {
  const reader = new Reader(input, workspace);
  const [version, config, load] = await Promise.all([reader.version(), reader.config(), reader.load()]);
  reader.unsupported();
  const registries = reader.registries();
  const nodeImage = reader.optional("node_image");
  const kubernetesVersion = reader.matching(
    "kubernetes_version",
    /^(stable|v?1\.\d+(\.\d+)?)$/,
    "wants a minor version (1.34), a full one (v1.34.11) or `stable`",
  );
  if (nodeImage !== undefined && kubernetesVersion !== undefined) {
    reader.problem("kubernetes_version", `\`node_image\` (${nodeImage}) is given too: give one of the two`);
  }
  return {
    version,
    config,
    load,
    registries,
    cache: {
      ...reader.cacheKinds(),
      save: reader.oneOf("cache_save", ["auto", "always", "never"]),
      restoreDeadline: reader.duration("cache_restore_timeout", 120_000),
      saveDeadline: reader.duration("cache_save_timeout", 300_000),
      maxSize: reader.size("cache_max_size", 2_000_000_000),
    },
    nodeImage,
    kubernetesVersion,
    kubeconfig: reader.path("kubeconfig"),
    clusterName: reader.matching("cluster_name", clusterNamePattern, clusterNameRule),
    wait: reader.duration("wait", 300_000),
    verbosity: Number(reader.matching("verbosity", /^\d{1,2}$/, "wants a whole number, 0 or more") ?? 0),
    kubectlVersion: withV(
      reader.matching(
        "kubectl_version",
        /^v?1\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/,
        "wants a full version such as v1.36.3",
      ),
    ),
    installOnly: reader.boolean("install_only"),
    fastStart: reader.boolean("fast_start", true),
    ignoreFailedClean: reader.boolean("ignore_failed_clean"),
    logs: reader.oneOf("logs", ["on-failure", "always", "never"]),
    checksums: reader.perTool("checksums", /^[0-9a-f]{64}$/i, "a SHA-256 sum: 64 hexadecimal digits"),
    downloadBaseUrls: reader.perTool(
      "download_base_url",
      /^https?:\/\/\S+$/,
      "a URL that begins with https:// or http://",
    ),
    matrix: input("matrix"),
    problems: reader.problems,
  };
}

/** Reads the inputs of the step that loads into a cluster made earlier. */
export async function readLoadInputs(
  input: (name: string) => string,
  workspace: string,
): Promise<LoadInputs> {
  const reader = new Reader(input, workspace);
  const load = await reader.load();
  if (load.archives.length === 0 && load.images.length === 0 && reader.problems.length === 0) {
    reader.problem("load_archives", "nothing to load: give `load_archives`, `load_images` or both");
  }
  return {
    clusterName: reader.matching("cluster_name", clusterNamePattern, clusterNameRule),
    load,
    restart: reader.workloads("restart"),
    wait: reader.duration("wait", 300_000),
    problems: reader.problems,
  };
}

const withV = (version: string | undefined) =>
  version === undefined ? undefined : version.startsWith("v") ? version : `v${version}`;

class Reader {
  readonly problems: Problem[] = [];
  readonly #input: (name: string) => string;
  readonly #workspace: string;

  constructor(input: (name: string) => string, workspace: string) {
    this.#input = input;
    this.#workspace = workspace;
  }

  problem(input: string, reason: string, value = this.#input(input)): void {
    this.problems.push({ input, value, reason });
  }

  optional(name: string): string | undefined {
    return this.#input(name) || undefined;
  }

  matching(name: string, pattern: RegExp, wants: string): string | undefined {
    const value = this.optional(name);
    if (value === undefined || pattern.test(value)) return value;
    this.problem(name, wants);
    return undefined;
  }

  oneOf<const T extends readonly [string, ...string[]]>(name: string, allowed: T): T[number] {
    const value = this.#input(name) || allowed[0];
    const found = allowed.find((choice) => choice === value);
    if (found === undefined) this.problem(name, `wants one of ${allowed.join(", ")}`);
    return found ?? allowed[0];
  }

  /** YAML's core schema, as core.getBooleanInput has it. */
  boolean(name: string, fallback = false): boolean {
    const value = this.#input(name);
    if (value === "") return fallback;
    if (/^(true|True|TRUE)$/.test(value)) return true;
    if (!/^(false|False|FALSE)$/.test(value)) this.problem(name, "wants true or false");
    return false;
  }

  /** A duration as Go writes it. */
  duration(name: string, fallback: number): number {
    const value = this.#input(name);
    if (value === "") return fallback;
    if (value === "0") return 0;
    const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
    if (!/^(\d+(\.\d+)?(h|ms|m|s))+$/.test(value)) {
      this.problem(name, "wants a duration with its unit, such as 5m, 90s or 1m30s; 0s waits for nothing");
      return fallback;
    }
    const parts = value.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g);
    return [...parts].reduce((sum, [, amount, unit]) => sum + Number(amount) * (units[unit ?? ""] ?? 0), 0);
  }

  /** A size as Docker writes it, in units of a thousand. */
  size(name: string, fallback: number): number {
    const value = this.#input(name);
    if (value === "") return fallback;
    const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)\s*(MB|GB)$/.exec(value) ?? [];
    if (amount !== undefined) return Number(amount) * (unit === "GB" ? 1e9 : 1e6);
    this.problem(name, "wants a size with its unit, such as 500MB or 2GB");
    return fallback;
  }

  /** What is cached: each kind one a line, or `auto` for all of them, or `none`. */
  cacheKinds(): { kinds: CacheKind[]; auto: boolean } {
    const all: readonly CacheKind[] = ["node-image", "proxies"];
    const lines = this.#lines("cache");
    if (lines.length === 0 || (lines.length === 1 && lines[0] === "auto"))
      return { kinds: [...all], auto: true };
    if (lines.length === 1 && lines[0] === "none") return { kinds: [], auto: false };
    for (const line of lines.filter((each) => !all.some((kind) => kind === each)))
      this.problem("cache", `wants \`auto\`, \`none\`, or some of ${all.join(", ")}, one a line`, line);
    return { kinds: all.filter((kind) => lines.includes(kind)), auto: false };
  }

  path(name: string): string | undefined {
    const value = this.optional(name);
    return value === undefined ? undefined : resolve(this.#workspace, value);
  }

  /** `tool=value`, one a line. */
  perTool(name: string, pattern: RegExp, wants: string): Partial<Record<Tool, string>> {
    const values: Partial<Record<Tool, string>> = {};
    for (const line of this.#lines(name)) {
      const [, tool, value = ""] = /^(\w+)=(.*)$/.exec(line) ?? [];
      if (tool !== "kind" && tool !== "kubectl") {
        this.problem(name, "wants lines `kind=…` or `kubectl=…`", line);
      } else if (!pattern.test(value)) {
        this.problem(name, `wants ${wants} behind \`${tool}=\``, line);
      } else if (values[tool] !== undefined) {
        this.problem(name, `names ${tool} twice`, line);
      } else {
        values[tool] = name === "checksums" ? value.toLowerCase() : value.replace(/\/+$/, "");
      }
    }
    return values;
  }

  async version(): Promise<string> {
    const fromFile = await this.#versionFromFile();
    const name = fromFile === undefined ? "version" : "version_file";
    const given = fromFile ?? (this.#input("version") || newestKind);
    if (given === "latest") return given;
    if (looksLikeKubernetes(given)) {
      this.problem(
        name,
        `is a Kubernetes version, and this input takes kind's (such as v0.33.0). For a Kubernetes version: \`kubernetes_version: ${given}\``,
        given,
      );
    } else if (!/^v?0\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(given)) {
      this.problem(name, "wants a version of kind such as v0.33.0, or `latest`", given);
    } else {
      return given.startsWith("v") ? given : `v${given}`;
    }
    return newestKind;
  }

  /** A file that holds nothing but the version, or asdf's .tool-versions with a line `kind 0.33.0`. */
  async #versionFromFile(): Promise<string | undefined> {
    const path = this.path("version_file");
    if (path === undefined) return undefined;
    let content: string;
    try {
      content = await readFile(path, "utf8");
    } catch (error) {
      this.problem("version_file", describeFileError(error));
      return undefined;
    }
    const lines = content
      .split("\n")
      .map((line) => line.replace(/#.*/, "").trim())
      .filter(Boolean);
    const fromAsdf = lines.map((line) => /^kind\s+(\S+)/.exec(line)?.[1]).find(Boolean);
    const alone = lines.length === 1 && /^\S+$/.test(lines[0] ?? "") ? lines[0] : undefined;
    const version = fromAsdf ?? alone;
    if (version === undefined) {
      this.problem(
        "version_file",
        "holds no version: wants a file with the version alone, or with a line `kind 0.33.0`",
      );
    }
    return version;
  }

  /** A path, or the YAML itself: what spans lines or begins like a mapping is YAML. */
  async config(): Promise<ClusterConfig> {
    const given = this.#input("config");
    const inline = given.includes("\n") || /^((kind|apiVersion)\s*:|\{)/.test(given.trim());
    const source = given === "" ? defaultClusterConfig : inline ? given : await this.#configFile(given);
    const parsed = parseClusterConfig(source);
    if ("config" in parsed) return parsed.config;
    for (const reason of parsed.problems) this.problem("config", reason);
    return defaults();
  }

  async #configFile(given: string): Promise<string> {
    const path = resolve(this.#workspace, given);
    try {
      return await readFile(path, "utf8");
    } catch (error) {
      this.problem(
        "config",
        `${describeFileError(error)}; wants the path of a kind configuration, or its YAML`,
      );
      return defaultClusterConfig;
    }
  }

  async load(): Promise<ImageInputs> {
    return { archives: await this.#archives(), images: this.#images(), nodes: this.#nodes() };
  }

  #images(): string[] {
    const lines = [...new Set(this.#lines("load_images"))];
    for (const line of lines) {
      const name = normalizeReference(line);
      if (typeof name !== "string")
        this.problem("load_images", `${name.problem}; wants names of images, one a line`, line);
      else if (name.includes("@"))
        this.problem("load_images", "names a digest, which Docker's export does not keep: wants a tag", line);
    }
    return lines;
  }

  /** Names one a line or, as kind's --nodes has them, with commas between. */
  #nodes(): NodeSelection {
    const names = this.#lines("load_nodes").flatMap((line) =>
      line
        .split(",")
        .map((name) => name.trim())
        .filter(Boolean),
    );
    const [first = "all"] = names;
    if (names.length <= 1 && (first === "all" || first === "workers")) return first;
    for (const name of names) {
      if (name === "all" || name === "workers" || !clusterNamePattern.test(name))
        this.problem("load_nodes", "wants `all`, `workers`, or names of nodes, one a line", name);
    }
    return names;
  }

  /** `[NAMESPACE/]KIND/NAME`, one a line. */
  workloads(name: string): Workload[] {
    return this.#lines(name).flatMap((line) => {
      const workload = parseWorkload(line);
      if ("problem" in workload) {
        this.problem(name, workload.problem, line);
        return [];
      }
      return [workload];
    });
  }

  async #archives(): Promise<ArchiveFile[]> {
    const lines = this.#lines("load_archives");
    const found = await Promise.all(lines.map((line) => findArchives(line, this.#workspace)));
    const archives = found.flatMap((result, index) => {
      if (!("problem" in result)) return result;
      this.problem("load_archives", result.problem, lines[index]);
      return [];
    });
    return [...new Map(archives.map((archive) => [archive.path, archive])).values()];
  }

  /** Inputs that helm/kind-action has and this action will have: never silently without effect. */
  unsupported(): void {
    if (this.boolean("cloud_provider")) this.problem("cloud_provider", "is not supported yet");
  }

  registries(): RegistryInputs {
    const image = this.optional("registry_image") ?? defaultRegistryImage;
    const fullImage = normalizeReference(image);
    if (typeof fullImage !== "string") this.problem("registry_image", fullImage.problem);
    const name =
      this.matching(
        "registry_name",
        /^[a-z0-9][a-z0-9.-]*[a-z0-9]$/,
        "wants two or more lower-case letters, digits, dots and hyphens, with a letter or digit at both ends",
      ) ?? "kind-registry";
    const port = Number(this.matching("registry_port", /^\d{1,5}$/, portRule) ?? 5000);
    if (port < 1 || port > 65_535) this.problem("registry_port", portRule);
    const enableDelete = this.boolean("registry_enable_delete");
    return {
      image,
      local: this.boolean("registry") ? { name, port, enableDelete } : undefined,
      ...this.#proxies(),
    };
  }

  #proxies(): Pick<RegistryInputs, "upstreams" | "logins"> {
    const upstreams = this.#upstreams();
    const logins = this.#logins();
    for (const { registry } of logins.given)
      if (!upstreams.some(({ name }) => name === registry))
        this.problem(
          "registry_credentials",
          `has a line for ${registry}, which is not in \`registry_proxies\``,
          "",
        );
    return { upstreams, logins };
  }

  /** Nothing that is given here is ever shown. */
  #logins(): CredentialsPlan {
    const lines = this.#lines("registry_credentials").map(parseCredentials);
    const given: RegistryCredentials[] = [];
    for (const line of lines) {
      if (line === "docker") continue;
      if ("problem" in line) this.problem("registry_credentials", line.problem, "");
      else given.push(line);
    }
    return { given, docker: lines.includes("docker") };
  }

  /** A later line about a registry wins over an earlier one: `default` can be given with an exception. */
  #upstreams(): Upstream[] {
    const upstreams = this.#lines("registry_proxies").flatMap((line) => {
      const parsed = parseUpstreams(line);
      if (!("problem" in parsed)) return parsed;
      // What may hold a password is not shown.
      this.problem("registry_proxies", parsed.problem, line.includes("@") ? "" : line);
      return [];
    });
    return [...new Map(upstreams.map((upstream) => [upstream.name, upstream])).values()];
  }

  #lines(name: string): string[] {
    return this.#input(name)
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
  }
}

function defaults(): ClusterConfig {
  const parsed = parseClusterConfig(defaultClusterConfig);
  if ("config" in parsed) return parsed.config;
  throw new Error(`The default configuration is broken: ${parsed.problems.join(", ")}`);
}
