import { join } from "node:path";
import { proxyKeyPrefix, shouldSaveCaches, type WorkflowEvent } from "../cache/keys.ts";
import { type ConfigAdditions, type ConfiguredNode, renderClusterConfig } from "../cluster/config.ts";
import { defaultPodSubnet } from "../cluster/fast-start/kindnet-manifest.ts";
import { manifestPatchesFolder, planFastStart } from "../cluster/fast-start/settings.ts";
import type { ImageRequest } from "../images/ensure.ts";
import type { LoadPlan } from "../images/load/load-images.ts";
import type { Readiness } from "../kubernetes/readiness.ts";
import type { Problem } from "../lib/errors.ts";
import { artifactName } from "../logs/artifact-name.ts";
import { proxyMounts } from "../node/content/symlink.ts";
import { nodeNames, selectNodes } from "../node/nodes.ts";
import { configPathPatches } from "../registries/hosts-toml.ts";
import {
  clusterNamePattern,
  clusterNameRule,
  type Inputs,
  type LogsWhen,
  type Tool,
} from "../runner/inputs.ts";
import type { Daemon, Job } from "../runner/job.ts";
import type { ToolPlan } from "../tools/install.ts";
import {
  type Architecture,
  knownChecksum,
  knownNodeImage,
  kubernetesVersionOf,
  loadBalancerOf,
  minorOf,
  newestKind,
  newestKubectlOf,
  nodeImageFor,
  nodeImagesOf,
} from "../versions/releases.ts";
import { findIncompatibilities } from "./compatibility.ts";
import { planRegistries, type RegistriesPlan } from "./registries.ts";

/** Everything that will be made, decided before anything is. */
export interface Plan {
  /** The run's own name: on what it makes, and on its processes. */
  readonly runId: string;
  /** A folder of this run's own, removed by post. */
  readonly folder: string;
  readonly kind: ToolPlan;
  readonly kubectl: ToolPlan;
  /** None with `install_only`. */
  readonly cluster: ClusterPlan | undefined;
  readonly caches: CachesPlan;
  /** What works, but probably not as meant. */
  readonly warnings: readonly string[];
}

/** What comes out of the Actions cache, and goes there. */
export interface CachesPlan {
  readonly nodeImage: boolean;
  /** Whether an image that takes longer to restore than to pull is left to be pulled. */
  readonly onlyIfFaster: boolean;
  /** What the keys of the proxies' index begin with; none where they are not cached. */
  readonly proxies: string | undefined;
  /** Whether this job leaves anything there. */
  readonly saves: boolean;
  /** Milliseconds that all restoring, and all saving, may take. */
  readonly restoreDeadline: number;
  readonly saveDeadline: number;
  /** What proxies may keep there, in bytes. */
  readonly maxSize: number;
}

export interface ClusterPlan {
  readonly name: string;
  /** kind's configuration, as YAML. */
  readonly config: string;
  /** What is in it to be ready sooner. */
  readonly fastStart: FastStartPlan | undefined;
  /** Relative paths in the configuration start here. */
  readonly workspace: string;
  /** The names of the nodes, as kind will give them. */
  readonly nodes: readonly string[];
  /** What the nodes run, each once. */
  readonly images: readonly string[];
  /** What kind puts before several control planes, if its release is known: else that is kind's own affair. */
  readonly loadBalancer: ImageRequest | undefined;
  readonly network: string;
  readonly kubeconfig: string;
  readonly verbosity: number;
  /** Milliseconds until the cluster has to be ready. */
  readonly wait: number;
  /** How far ready: a cluster whose network is yet to be installed gets no further than its API. */
  readonly readiness: Readiness;
  readonly registries: RegistriesPlan | undefined;
  readonly load: LoadPlan;
  /** The names of the nodes that it loads into. */
  readonly loadInto: readonly string[];
  /** Whether every pod pulls its images, whatever is loaded. */
  readonly alwaysPullsImages: boolean;
  readonly logs: LogsPlan;
  readonly ignoreFailedClean: boolean;
}

export interface FastStartPlan {
  /** Each setting, for people. */
  readonly settings: readonly string[];
  /** A folder that nodes see, and the files in it. */
  readonly folder: string;
  readonly files: Readonly<Record<string, string>>;
  /** The configuration without it. */
  readonly configWithout: string;
  /** The network that kind would make last; none where the user brings one. */
  readonly cni: CniPlan | undefined;
}

export interface CniPlan {
  /** The image whose network add-on it is. */
  readonly image: string;
  readonly controlPlane: string;
  readonly podSubnet: string;
  /** Where the API is for nodes. */
  readonly endpoint: string;
  /** The configuration with which kind makes none. */
  readonly config: string;
}

export interface LogsPlan {
  readonly when: LogsWhen;
  readonly folder: string;
  readonly artifact: string;
}

/** What the plan is made from. */
export interface PlanContext {
  readonly inputs: Inputs;
  readonly job: Job;
  readonly daemon: Daemon | { readonly problem: string };
  /** The answer to `version: latest`, or why there is none. */
  readonly latest: string | { readonly problem: string } | undefined;
  readonly runId: string;
  /** What set the job off. */
  readonly event: WorkflowEvent;
}

/**
 * Decides what will be made. Pure: the same situation gives the same plan.
 *
 * @returns the plan, and everything that stands in its way, the problems of the inputs included
 */
export function createPlan(situation: PlanContext): { plan: Plan; problems: Problem[] } {
  const { inputs, job, runId: run } = situation;
  const problems: Problem[] = [...inputs.problems];
  const warnings: string[] = [];
  const kindVersion = resolveKind(situation, warnings);
  const folder = join(job.temp, `kind-action-${run}`);
  const cluster = inputs.installOnly
    ? undefined
    : planCluster(situation, kindVersion, folder, problems, warnings);
  const images = cluster?.images ?? [
    nodeImageFor(kindVersion, inputs.kubernetesVersion ?? "stable")?.image ?? "",
  ];
  const kubernetes = images.map(kubernetesVersionOf).find((version) => version !== undefined);
  const kind = planTool("kind", kindVersion, inputs, job);
  const kubectl = planTool(
    "kubectl",
    inputs.kubectlVersion ?? kubectlFor(kubernetes, kindVersion, job.architecture),
    inputs,
    job,
  );
  for (const { name, version, checksum, checksumUrl } of [kind, kubectl]) {
    if (checksum === undefined)
      warnings.push(
        `${name} ${version} is not among the versions this action knows by hash: its download is checked against ${checksumUrl} alone. \`checksums\` can pin it.`,
      );
  }
  const caches = planCaches(situation);
  return { plan: { runId: run, folder, kind, kubectl, cluster, caches, warnings }, problems };
}

function planCaches({ inputs: { cache, registries, installOnly }, job, event }: PlanContext): CachesPlan {
  return {
    nodeImage: !installOnly && cache.kinds.includes("node-image"),
    onlyIfFaster: cache.auto,
    proxies:
      !installOnly && cache.kinds.includes("proxies") && registries.upstreams.length > 0
        ? proxyKeyPrefix(job)
        : undefined,
    saves: shouldSaveCaches(event, cache.save),
    restoreDeadline: cache.restoreDeadline,
    saveDeadline: cache.saveDeadline,
    maxSize: cache.maxSize,
  };
}

function resolveKind({ inputs, latest }: PlanContext, warnings: string[]): string {
  if (inputs.version !== "latest") return inputs.version;
  if (typeof latest === "string") return latest;
  if (latest !== undefined) {
    warnings.push(
      `The latest version of kind cannot be found out (${latest.problem}): ${newestKind} is used, the newest that this version of the action knows.`,
    );
  }
  return newestKind;
}

/** The inputs that have to go together. */
const combined = ["version", "version_file", "config", "kubernetes_version"];

function planCluster(
  { inputs, job, daemon, runId: run }: PlanContext,
  kindVersion: string,
  folder: string,
  problems: Problem[],
  warnings: string[],
): ClusterPlan {
  const name = inputs.clusterName ?? inputs.config.name ?? job.clusterName ?? "kind";
  const images = planImages(inputs, kindVersion, problems, warnings);
  const nodes = planNodes(inputs, name);
  if (!clusterNamePattern.test(name)) {
    problems.push({
      input: name === inputs.config.name ? "config" : "cluster_name",
      value: name,
      reason: `as the name of a cluster, ${clusterNameRule}`,
    });
  }
  const controlPlanes = inputs.config.nodes.filter(({ role }) => role === "control-plane").length;
  const longest = controlPlanes > 1 ? `${name}-external-load-balancer` : `${name}-control-plane`;
  if (longest.length > 63) {
    problems.push({
      input: "cluster_name",
      value: name,
      reason: `is too long: a host name has at most 63 letters, and ${longest} is one; ${63 - longest.length + name.length} are left for the cluster's`,
    });
  }
  if ("problem" in daemon) {
    problems.push({ input: "runner", value: "", reason: daemon.problem });
  } else {
    problems.push(...daemonProblems(inputs, daemon, name, images.length));
  }
  const cgroupVersion = "problem" in daemon ? undefined : daemon.info.cgroupVersion;
  // Where a default stands in for what could not be read, its troubles are not the user's.
  const asMeant = !inputs.problems.some(({ input }) => combined.includes(input));
  for (const reason of asMeant
    ? findIncompatibilities({ kindVersion, images, config: inputs.config, cgroupVersion })
    : []) {
    problems.push({
      input: imageInput(inputs),
      value: inputs.kubernetesVersion ?? inputs.nodeImage ?? "",
      reason,
    });
  }
  const local = !("problem" in daemon) && daemon.info.local;
  const registries = planRegistries(inputs, { folder, temp: job.temp, localDaemon: local }, problems);
  const forRegistries = {
    containerdPatches: registries === undefined ? [] : configPathPatches(images),
    mounts: proxyMounts(registries?.proxies),
  };
  const fastStart = inputs.fastStart
    ? planFast(inputs, { name, images, nodes, folder, canMount: local, forRegistries })
    : undefined;
  return {
    name,
    config: fastStart?.config ?? renderClusterConfig(inputs.config, name, images, forRegistries),
    fastStart,
    workspace: job.workspace,
    nodes: nodes.map(({ name: node }) => node),
    images: [...new Set(images)],
    loadBalancer: controlPlanes > 1 ? loadBalancerOf(kindVersion) : undefined,
    network: job.network,
    kubeconfig:
      inputs.kubeconfig ??
      (job.selfHosted ? join(folder, "kubeconfig") : (job.kubeconfig ?? join(job.home, ".kube", "config"))),
    verbosity: inputs.verbosity,
    wait: inputs.wait,
    readiness: inputs.config.disableDefaultCNI ? "api" : "everything",
    registries,
    load: { archives: inputs.load.archives, images: inputs.load.images, folder: join(folder, "images") },
    loadInto: planLoadNodes(inputs, nodes, problems),
    alwaysPullsImages: inputs.config.alwaysPullsImages,
    logs: {
      when: inputs.logs,
      // Not in RUNNER_TEMP, which the runner empties: where nothing takes the logs, they have to outlive the job.
      folder: join(job.systemTemp, `kind-logs-${name}-${run}`),
      artifact: artifactName({ job: job.id, cluster: name, matrix: inputs.matrix, attempt: job.attempt }),
    },
    ignoreFailedClean: inputs.ignoreFailedClean,
  };
}

function planFast(
  { config }: Inputs,
  on: {
    name: string;
    images: readonly string[];
    nodes: readonly { name: string; role: string }[];
    folder: string;
    canMount: boolean;
    forRegistries: Pick<ConfigAdditions, "containerdPatches" | "mounts">;
  },
): FastStartPlan & { config: string } {
  const { settings, manifests, ...patches } = planFastStart(config, on.canMount);
  const folder = join(on.folder, "kubeadm-patches");
  const mounted = Object.keys(manifests).length > 0;
  const render = (ownNetwork: boolean) =>
    renderClusterConfig(config, on.name, on.images, {
      ...patches,
      ...on.forRegistries,
      disableDefaultCni: ownNetwork,
      mounts: [
        ...(mounted ? [{ hostPath: folder, containerPath: manifestPatchesFolder }] : []),
        ...on.forRegistries.mounts,
      ],
    });
  const controlPlanes = on.nodes.filter(({ role }) => role === "control-plane");
  const first = controlPlanes[0];
  const entrance = controlPlanes.length > 1 ? `${on.name}-external-load-balancer` : first?.name;
  return {
    settings,
    folder,
    files: manifests,
    config: render(false),
    configWithout: renderClusterConfig(config, on.name, on.images, on.forRegistries),
    cni:
      first === undefined || config.disableDefaultCNI
        ? undefined
        : {
            image: on.images[on.nodes.indexOf(first)] ?? "",
            controlPlane: first.name,
            podSubnet: config.podSubnet ?? defaultPodSubnet[config.ipFamily],
            endpoint: `${entrance}:6443`,
            config: render(true),
          },
  };
}

/** Nodes with the names that kind will give them; without any, kind makes a single control plane. */
function planNodes(inputs: Inputs, cluster: string): { name: string; role: string }[] {
  const configured: readonly Pick<ConfiguredNode, "role">[] =
    inputs.config.nodes.length === 0 ? [{ role: "control-plane" }] : inputs.config.nodes;
  const names = nodeNames(cluster, configured);
  return configured.map(({ role }, index) => ({ role, name: names[index] ?? "" }));
}

function planLoadNodes(
  inputs: Inputs,
  nodes: readonly { name: string; role: string }[],
  problems: Problem[],
): string[] {
  const selected = selectNodes(nodes, inputs.load.nodes);
  if (!("problem" in selected)) return selected.map(({ name }) => name);
  const given = typeof inputs.load.nodes === "string" ? inputs.load.nodes : inputs.load.nodes.join(", ");
  problems.push({ input: "load_nodes", value: given, reason: selected.problem });
  return [];
}

/** The image of every node of the configuration: the inputs win over the configuration, and that over kind's default. */
function planImages(inputs: Inputs, kindVersion: string, problems: Problem[], warnings: string[]): string[] {
  const all = inputs.nodeImage ?? tableImage(inputs, kindVersion, problems);
  const nodes = inputs.config.nodes.length === 0 ? [{ image: undefined }] : inputs.config.nodes;
  const fallback = nodeImagesOf(kindVersion)[0]?.image;
  const images = nodes.map((node) => all ?? node.image ?? fallback);
  if (images.includes(undefined) && inputs.kubernetesVersion === undefined) {
    problems.push({
      input: "version",
      value: kindVersion,
      reason:
        "is a kind whose node images this version of the action does not know: name one with `node_image`",
    });
  }
  const known = images.filter((image) => image !== undefined);
  for (const image of new Set(known)) {
    if (!image.includes("@sha256:"))
      warnings.push(`The node image ${image} is named without a digest: what it is may change between runs.`);
    else if (knownNodeImage(image) === undefined)
      warnings.push(
        `The node image ${image} is not one that was released with a kind this action knows: whether it fits kind ${kindVersion} shows when it starts.`,
      );
  }
  return known;
}

function tableImage(inputs: Inputs, kindVersion: string, problems: Problem[]): string | undefined {
  const wanted = inputs.kubernetesVersion;
  if (wanted === undefined) return undefined;
  const found = nodeImageFor(kindVersion, wanted);
  if (found === undefined) {
    const offered = nodeImagesOf(kindVersion).map(({ kubernetes }) => kubernetes.slice(1));
    const offer =
      offered.length === 0
        ? "none that this version of the action knows; name one with `node_image`"
        : offered.join(", ");
    problems.push({
      input: "kubernetes_version",
      value: wanted,
      reason: `kind ${kindVersion} has no node image for it. It has: ${offer}`,
    });
  }
  return found?.image;
}

const imageInput = (inputs: Inputs) =>
  inputs.kubernetesVersion !== undefined
    ? "kubernetes_version"
    : inputs.nodeImage !== undefined
      ? "node_image"
      : "config";

/** What a node takes on disk beside its image: the copy of /var, and what Kubernetes writes in its first minutes. */
const bytesPerNode = 500_000_000;
const bytesPerImage = 1_500_000_000;

function daemonProblems(inputs: Inputs, daemon: Daemon, name: string, nodes: number): Problem[] {
  const problems: Problem[] = [];
  if (daemon.takenNames.includes(name)) {
    problems.push({
      input: "cluster_name",
      value: name,
      reason: `a cluster of that name is there already, and is left alone. Give this one another name, or remove that one: \`kind delete cluster --name ${name}; docker ps --all --quiet --filter label=kind-action.cluster=${name} | xargs --no-run-if-empty docker rm --force --volumes; docker volume rm --force kind-action.${name}\``,
    });
  }
  const archives = inputs.load.archives.reduce((sum, archive) => sum + archive.bytes, 0);
  const needed = bytesPerImage + nodes * (bytesPerNode + archives);
  if (daemon.freeBytes !== undefined && daemon.freeBytes < needed) {
    problems.push({
      input: "runner",
      value: "",
      reason: `the disk under ${daemon.info.rootDirectory} has ${gigabytes(daemon.freeBytes)} free, and ${nodes} node(s) with what they load need about ${gigabytes(needed)}`,
    });
  }
  return problems;
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;

/** kubectl works with a cluster of its own minor version and its neighbours: the cluster's own, as far as its hash is known. */
function kubectlFor(kubernetes: string | undefined, kindVersion: string, architecture: Architecture): string {
  const version =
    kubernetes ?? nodeImagesOf(kindVersion)[0]?.kubernetes ?? nodeImagesOf(newestKind)[0]?.kubernetes ?? "";
  if (knownChecksum("kubectl", version, architecture) !== undefined) return version;
  return newestKubectlOf(minorOf(version)) ?? version;
}

function planTool(name: Tool, version: string, inputs: Inputs, job: Job): ToolPlan {
  const architecture = job.architecture;
  const url = {
    kind: `${inputs.downloadBaseUrls.kind ?? "https://github.com/kubernetes-sigs/kind/releases/download"}/${version}/kind-linux-${architecture}`,
    kubectl: `${inputs.downloadBaseUrls.kubectl ?? "https://dl.k8s.io/release"}/${version}/bin/linux/${architecture}/kubectl`,
  }[name];
  return {
    name,
    version,
    architecture,
    checksum: inputs.checksums[name] ?? knownChecksum(name, version, architecture),
    url,
    checksumUrl: name === "kind" ? `${url}.sha256sum` : `${url}.sha256`,
  };
}
