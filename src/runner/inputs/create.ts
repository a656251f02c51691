import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { optionalEntries } from "../../cache/entries.ts";
import { type ClusterConfig, defaultClusterConfig, parseClusterConfig } from "../../cluster/config.ts";
import { describeFileError } from "../../lib/errors.ts";
import type { CacheInputs, Inputs, Tool } from "../../plan/inputs.ts";
import { looksLikeKubernetes, newestKind } from "../../versions/releases.ts";
import { readImageInputs } from "./images.ts";
import { InputReader } from "./reader.ts";
import { readRegistryInputs } from "./registries.ts";

/**
 * Reads the inputs of action.yml, and collects all problems.
 *
 * @param input returns the value of an input, or an empty string if it is not set (core.getInput)
 * @param workspace the folder that relative paths refer to
 */
export async function readInputs(input: (name: string) => string, workspace: string): Promise<Inputs> {
  const reader = new InputReader(input, workspace);
  const [version, config, load] = await Promise.all([
    readVersion(reader),
    readConfig(reader),
    readImageInputs(reader),
  ]);
  // An input of helm/kind-action that is not supported is an error, so that it is not ignored silently.
  if (reader.boolean("cloud_provider")) reader.problem("cloud_provider", "is not supported");
  return {
    version,
    config,
    load,
    registries: readRegistryInputs(reader),
    cache: readCacheInputs(reader),
    ...readNodeImage(reader),
    kubeconfig: reader.path("kubeconfig"),
    clusterName: reader.optional("cluster_name"),
    wait: reader.duration("wait", 300_000),
    verbosity: Number(reader.matching("verbosity", /^\d{1,2}$/, "must be a whole number, 0 or more") ?? 0),
    kubectlVersion: readKubectlVersion(reader),
    installOnly: reader.boolean("install_only"),
    fastStart: reader.boolean("fast_start", true),
    ignoreFailedClean: reader.boolean("ignore_failed_clean"),
    logs: reader.oneOf("logs", ["on-failure", "always", "never"]),
    checksums: readPerTool(
      reader,
      "checksums",
      /^[0-9a-f]{64}$/i,
      "a SHA-256 checksum: 64 hexadecimal digits",
      (value) => value.toLowerCase(),
    ),
    downloadBaseUrls: readPerTool(
      reader,
      "download_base_url",
      /^https?:\/\/\S+$/,
      "a URL that begins with https:// or http://",
      (value) => value.replace(/\/+$/, ""),
    ),
    matrix: input("matrix"),
    problems: reader.problems,
  };
}

function readNodeImage(reader: InputReader): Pick<Inputs, "nodeImage" | "kubernetesVersion"> {
  const nodeImage = reader.optional("node_image");
  const kubernetesVersion = reader.matching(
    "kubernetes_version",
    /^(stable|v?1\.\d+(\.\d+)?)$/,
    "must be a minor version (1.34), a full version (v1.34.11) or `stable`",
  );
  if (nodeImage !== undefined && kubernetesVersion !== undefined)
    reader.problem(
      "kubernetes_version",
      `cannot be combined with \`node_image\` (${nodeImage}): set one of the two`,
    );
  return { nodeImage, kubernetesVersion };
}

function readKubectlVersion(reader: InputReader): string | undefined {
  const version = reader.matching(
    "kubectl_version",
    /^v?1\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/,
    "must be a full version such as v1.36.3",
  );
  return version === undefined || version.startsWith("v") ? version : `v${version}`;
}

function readCacheInputs(reader: InputReader): CacheInputs {
  return {
    ...readCacheEntries(reader),
    save: reader.oneOf("cache_save", ["auto", "always", "never"]),
    restoreTimeoutMs: reader.duration("cache_restore_timeout", 120_000),
    saveTimeoutMs: reader.duration("cache_save_timeout", 300_000),
    maxBytes: reader.size("cache_max_size", 2_000_000_000),
  };
}

/** Reads the names of cache entries, one per line; `auto` for all of them, or `none`. */
function readCacheEntries(reader: InputReader): Pick<CacheInputs, "entries" | "auto"> {
  const lines = reader.lines("cache");
  if (lines.length === 0 || (lines.length === 1 && lines[0] === "auto"))
    return { entries: optionalEntries, auto: true };
  if (lines.length === 1 && lines[0] === "none") return { entries: [], auto: false };
  for (const line of lines.filter((each) => !optionalEntries.includes(each)))
    reader.problem(
      "cache",
      `must be \`auto\`, \`none\`, or some of ${optionalEntries.join(", ")}, one per line`,
      line,
    );
  return { entries: optionalEntries.filter((name) => lines.includes(name)), auto: false };
}

/** Reads lines `TOOL=VALUE`. @param rule describes a valid value in a problem */
function readPerTool(
  reader: InputReader,
  name: string,
  pattern: RegExp,
  rule: string,
  normalize: (value: string) => string,
): Partial<Record<Tool, string>> {
  const values: Partial<Record<Tool, string>> = {};
  for (const line of reader.lines(name)) {
    const [, tool, value = ""] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (tool !== "kind" && tool !== "kubectl") {
      reader.problem(name, "must have lines `kind=…` or `kubectl=…`", line);
    } else if (!pattern.test(value)) {
      reader.problem(name, `must have ${rule} after \`${tool}=\``, line);
    } else if (values[tool] !== undefined) {
      reader.problem(name, `names ${tool} twice`, line);
    } else {
      values[tool] = normalize(value);
    }
  }
  return values;
}

async function readVersion(reader: InputReader): Promise<string> {
  const fromFile = await readVersionFile(reader);
  const name = fromFile === undefined ? "version" : "version_file";
  const given = fromFile ?? (reader.text("version") || newestKind);
  if (given === "latest") return given;
  if (looksLikeKubernetes(given)) {
    reader.problem(
      name,
      `is a Kubernetes version, but this input must be a version of kind (such as v0.33.0): to choose the Kubernetes version, set \`kubernetes_version: ${given}\``,
      given,
    );
  } else if (!/^v?0\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(given)) {
    reader.problem(name, "must be a version of kind such as v0.33.0, or `latest`", given);
  } else {
    return given.startsWith("v") ? given : `v${given}`;
  }
  return newestKind;
}

/** Reads a file that contains only the version, or asdf's .tool-versions with a line `kind 0.33.0`. */
async function readVersionFile(reader: InputReader): Promise<string | undefined> {
  const path = reader.path("version_file");
  if (path === undefined) return undefined;
  let content: string;
  try {
    content = await readFile(path, "utf8");
  } catch (error) {
    reader.problem("version_file", describeFileError(error));
    return undefined;
  }
  const lines = content
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter(Boolean);
  const fromAsdf = lines.map((line) => /^kind\s+(\S+)/.exec(line)?.[1]).find(Boolean);
  const alone = lines.length === 1 && /^\S+$/.test(lines[0] ?? "") ? lines[0] : undefined;
  const version = fromAsdf ?? alone;
  if (version === undefined)
    reader.problem(
      "version_file",
      "contains no version: the file must contain only the version, or a line such as `kind 0.33.0`",
    );
  return version;
}

/** Reads a path or inline YAML. A value with several lines, or that begins like a mapping, is YAML. */
async function readConfig(reader: InputReader): Promise<ClusterConfig> {
  const given = reader.text("config");
  const isInline = given.includes("\n") || /^((kind|apiVersion)\s*:|\{)/.test(given.trim());
  const source = given === "" ? defaultClusterConfig : isInline ? given : await readConfigFile(reader, given);
  const parsed = parseClusterConfig(source);
  if ("config" in parsed) return parsed.config;
  for (const reason of parsed.problems) reader.problem("config", reason);
  return defaultConfig();
}

async function readConfigFile(reader: InputReader, given: string): Promise<string> {
  try {
    return await readFile(resolve(reader.workspace, given), "utf8");
  } catch (error) {
    reader.problem(
      "config",
      `${describeFileError(error)}; must be the path of a kind configuration, or its YAML`,
    );
    return defaultClusterConfig;
  }
}

function defaultConfig(): ClusterConfig {
  const parsed = parseClusterConfig(defaultClusterConfig);
  if ("config" in parsed) return parsed.config;
  throw new Error(`The default configuration is invalid: ${parsed.problems.join(", ")}.`);
}
