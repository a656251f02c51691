import { join } from "node:path";
import { apiContainerName, clusterNameProblem, resolveClusterName } from "../cluster/cluster-name.ts";
import { renderClusterConfig } from "../cluster/config.ts";
import type { FastStartPlan } from "../cluster/fast-start/plan.ts";
import type { ImageRequest } from "../images/ensure.ts";
import type { LoadPlan } from "../images/load/load-images.ts";
import type { Readiness } from "../kubernetes/readiness.ts";
import type { Problem } from "../lib/errors.ts";
import { artifactName } from "../logs/artifact-name.ts";
import { nodeNames, selectNodes } from "../node/nodes.ts";
import { configPathPatches } from "../registries/hosts-toml.ts";
import { proxyMounts } from "../registries/proxied-blobs.ts";
import type { RegistriesPlan } from "../registries/start.ts";
import { loadBalancerOf } from "../versions/releases.ts";
import { findIncompatibilities } from "./compatibility.ts";
import type { PlanContext } from "./context.ts";
import { daemonProblems } from "./daemon.ts";
import { planFastStart } from "./fast-start.ts";
import type { Inputs, LogsWhen } from "./inputs.ts";
import { imageInput, planNodeImages } from "./node-images.ts";
import { planRegistries } from "./registries.ts";

/** The cluster that a run creates. */
export interface ClusterPlan {
  readonly name: string;
  /** kind's configuration, as YAML. */
  readonly config: string;
  /** The settings of fast start in the configuration; undefined if it is disabled. */
  readonly fastStart: FastStartPlan | undefined;
  /** The folder that relative paths in the configuration refer to. */
  readonly workspace: string;
  /** The names that kind gives to the nodes. */
  readonly nodes: readonly string[];
  /** The node images, without duplicates. */
  readonly images: readonly string[];
  /** The load balancer image for several control planes; undefined if the kind release is unknown: kind pulls it then. */
  readonly loadBalancer: ImageRequest | undefined;
  /** The name of the Docker network. */
  readonly network: string;
  readonly kubeconfig: string;
  readonly verbosity: number;
  /** The milliseconds until the cluster must be ready. */
  readonly wait: number;
  /** The state to wait for: `api` if the user installs the CNI, because nodes are not ready without one. */
  readonly readiness: Readiness;
  readonly registries: RegistriesPlan | undefined;
  readonly load: LoadPlan;
  /** The names of the nodes that images are loaded into. */
  readonly loadInto: readonly string[];
  /** Whether an admission plugin makes every pod pull its images, even if they are loaded. */
  readonly alwaysPullsImages: boolean;
  readonly logs: LogsPlan;
  readonly ignoreFailedClean: boolean;
}

/** The collection of the cluster's logs. */
export interface LogsPlan {
  readonly when: LogsWhen;
  readonly folder: string;
  readonly artifact: string;
}

/** Decides which cluster a run creates. Adds to `problems` and `warnings`. */
export function planCluster(
  context: PlanContext,
  { kindVersion, folder }: { kindVersion: string; folder: string },
  problems: Problem[],
  warnings: string[],
): ClusterPlan {
  const { inputs, job, daemon, runId } = context;
  const { config } = inputs;
  const controlPlanes = config.nodes.filter(({ role }) => role === "control-plane").length;
  const name = planName(context, controlPlanes, problems);
  const images = planNodeImages(inputs, kindVersion, problems, warnings);
  const nodes = planNodes(inputs, name);
  problems.push(...daemonProblems(context, name, images.length));
  problems.push(...compatibilityProblems(context, kindVersion, images));
  const canMount = !("problem" in daemon) && daemon.info.local;
  const registries = planRegistries(inputs, { folder, temp: job.temp, localDaemon: canMount }, problems);
  const additions = {
    containerdPatches: registries === undefined ? [] : configPathPatches(images),
    mounts: proxyMounts(registries?.proxies),
  };
  const fastStart = inputs.fastStart
    ? planFastStart(inputs, {
        name,
        images,
        nodes,
        folder,
        canMount,
        additions,
        apiContainer: apiContainerName(name, controlPlanes),
      })
    : undefined;
  return {
    name,
    config: fastStart?.config ?? renderClusterConfig(config, name, images, additions),
    fastStart,
    workspace: job.workspace,
    nodes: nodes.map((node) => node.name),
    images: [...new Set(images)],
    loadBalancer: controlPlanes > 1 ? loadBalancerOf(kindVersion) : undefined,
    network: job.network,
    kubeconfig: planKubeconfig(context, folder),
    verbosity: inputs.verbosity,
    wait: inputs.wait,
    readiness: config.disableDefaultCNI ? "api" : "everything",
    registries,
    load: { archives: inputs.load.archives, images: inputs.load.images, folder: join(folder, "images") },
    loadInto: planLoadNodes(inputs, nodes, problems),
    alwaysPullsImages: config.alwaysPullsImages,
    logs: {
      when: inputs.logs,
      // Not in RUNNER_TEMP, which the runner empties: logs that cannot be uploaded must stay after the job.
      folder: join(job.systemTemp, `kind-logs-${name}-${runId}`),
      artifact: artifactName({ job: job.id, cluster: name, matrix: inputs.matrix, attempt: job.attempt }),
    },
    ignoreFailedClean: inputs.ignoreFailedClean,
  };
}

/** Chooses and validates the cluster name. */
function planName({ inputs, job }: PlanContext, controlPlanes: number, problems: Problem[]): string {
  const name = resolveClusterName(inputs.clusterName, inputs.config.name, job.clusterName);
  const reason = clusterNameProblem(name, controlPlanes);
  const input =
    inputs.clusterName === undefined && inputs.config.name !== undefined ? "config" : "cluster_name";
  if (reason !== undefined) problems.push({ input, value: name, reason });
  return name;
}

/** The inputs that {@link findIncompatibilities} depends on. */
const versionInputs = ["version", "version_file", "config", "kubernetes_version"];

function compatibilityProblems(
  { inputs, daemon }: PlanContext,
  kindVersion: string,
  images: readonly string[],
): Problem[] {
  // An invalid input was replaced by its default, whose incompatibilities would confuse the user.
  if (inputs.problems.some(({ input }) => versionInputs.includes(input))) return [];
  const cgroupVersion = "problem" in daemon ? undefined : daemon.info.cgroupVersion;
  const reasons = findIncompatibilities({ kindVersion, images, config: inputs.config, cgroupVersion });
  return reasons.map((reason) => ({
    input: imageInput(inputs),
    value: inputs.kubernetesVersion ?? inputs.nodeImage ?? "",
    reason,
  }));
}

/** Chooses the kubeconfig file: by kind's rule, or a file of the run on self-hosted runners, whose files stay. */
function planKubeconfig({ inputs, job }: PlanContext, folder: string): string {
  if (inputs.kubeconfig !== undefined) return inputs.kubeconfig;
  if (job.selfHosted) return join(folder, "kubeconfig");
  return job.kubeconfig ?? join(job.home, ".kube", "config");
}

/** Lists the nodes with the names that kind gives them. Without configured nodes, kind creates one control plane. */
function planNodes(inputs: Inputs, cluster: string): { name: string; role: string }[] {
  const configured: readonly { role: string }[] =
    inputs.config.nodes.length === 0 ? [{ role: "control-plane" }] : inputs.config.nodes;
  const names = nodeNames(cluster, configured);
  return configured.map(({ role }, index) => ({ role, name: names[index] ?? "" }));
}

/** Selects the nodes that images are loaded into. */
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
