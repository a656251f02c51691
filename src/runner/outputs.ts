import { exportVariable, setOutput } from "@actions/core";
import * as z from "zod";
import { type ClusterNetwork, describeNetwork } from "../cluster/docker-network.ts";
import { contextName } from "../cluster/kubeconfig.ts";
import type { Engine } from "../docker/engine.ts";
import type { LoadedImage } from "../images/load/load-images.ts";
import type { KubernetesApi } from "../kubernetes/client.ts";
import type { TaskTiming } from "../lib/task-graph.ts";
import type { CachesPlan, ClusterPlan } from "../plan/plan.ts";
import type { Job } from "./job.ts";
import type { CachedThings } from "./summary.ts";

/** A node as the `nodes` output lists it. */
export interface NodeDescription {
  readonly name: string;
  readonly role: string;
  /** Its address on the cluster's network. */
  readonly address: string;
}

/** What was made, as the outputs tell it. */
export interface ClusterDescription {
  readonly apiServer: string;
  readonly kubernetesVersion: string;
  readonly nodes: readonly NodeDescription[];
  readonly network: ClusterNetwork;
}

const loadBalancerRole = "external-load-balancer";

/** Looks at a cluster that is there. @param server the API's address for the runner */
export async function describeCluster(
  plan: ClusterPlan,
  engine: Engine,
  api: KubernetesApi,
  server: string,
): Promise<ClusterDescription> {
  const [containers, network, version] = await Promise.all([
    engine.containers.listNodes(plan.name),
    engine.networks.inspect(plan.network),
    api.get("/version"),
  ]);
  if (network === undefined)
    throw new Error(`The Docker network "${plan.network}" of the cluster "${plan.name}" is gone.`);
  const apiContainer =
    containers.find(({ role }) => role === loadBalancerRole) ??
    containers.find(({ role }) => role === "control-plane");
  const nodes = containers
    .filter(({ role }) => role !== loadBalancerRole)
    .map(({ id, name, role }) => {
      const addresses = network.containers.get(id);
      return { name, role, address: addresses?.ipv4 ?? addresses?.ipv6 ?? "" };
    })
    .toSorted((a, b) => a.name.localeCompare(b.name, "en"));
  return {
    apiServer: server,
    kubernetesVersion: z.looseObject({ gitVersion: z.string() }).parse(version).gitVersion,
    nodes,
    network: describeNetwork(network, apiContainer?.name ?? ""),
  };
}

/** Lets the job's next steps reach the cluster: `kubectl …` and `kind load …` just work. */
export function exportClusterVariables(plan: ClusterPlan, job: Job): void {
  // What was read from $KUBECONFIG stays as it is: it may list more files.
  if (plan.kubeconfig !== job.kubeconfig) exportVariable("KUBECONFIG", plan.kubeconfig);
  exportVariable("KIND_CLUSTER_NAME", plan.name);
}

/** Tells the job's next steps, and its outputs, where images are pushed to: `localhost:5000`. */
export function exportRegistryAddress(address: string): void {
  exportVariable("LOCAL_REGISTRY", address);
  setOutput("LOCAL_REGISTRY", address);
}

/** Sets the output `cache_hit`: for each kind that is cached, whether it came out of the cache. */
export function setCacheOutput(plan: CachesPlan, { images, nodeImages, proxies }: CachedThings): void {
  const nodes = images.filter(({ reference }) => nodeImages.includes(reference));
  setOutput("cache_hit", {
    ...(plan.nodeImage && { "node-image": nodes.length > 0 && nodes.every(({ from }) => from === "cache") }),
    ...(plan.proxies !== undefined && { proxies: proxies?.outcome === "hit" }),
  });
}

/** Sets the outputs of a run that has made a cluster. */
export function setClusterOutputs(plan: ClusterPlan, cluster: ClusterDescription): void {
  setOutput("kubeconfig", plan.kubeconfig);
  setOutput("context", contextName(plan.name));
  setOutput("cluster_name", plan.name);
  setOutput("api_server", cluster.apiServer);
  setOutput("kubernetes_version", cluster.kubernetesVersion);
  setOutput("node_image", plan.images[0]);
  setOutput("nodes", cluster.nodes);
  setOutput("network", cluster.network);
}

/**
 * Sets the output `images`: an entry for each name. The bytes of an image count with the first of its names, because
 * another costs nothing.
 */
export function setImagesOutput(images: readonly LoadedImage[]): void {
  setOutput(
    "images",
    images.flatMap(({ names, id, nodes, bytes, seconds }) =>
      names.map((name, index) => ({ name, id, nodes, bytes: index === 0 ? bytes : 0, seconds })),
    ),
  );
}

/** Sets the outputs that every run has. @param seconds since main began */
export function setRunOutputs(
  versions: { kind: string; kubectl: string },
  timings: readonly TaskTiming[],
  seconds: number,
): void {
  setOutput("kind_version", versions.kind);
  setOutput("kubectl_version", versions.kubectl);
  setOutput("timings", {
    seconds,
    tasks: timings.map(({ name, start, seconds: took }) => ({ name, start, seconds: took })),
  });
}
