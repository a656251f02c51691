import { exportVariable, setOutput } from "@actions/core";
import type { ClusterDescription } from "../cluster/describe.ts";
import { contextName } from "../cluster/kubeconfig.ts";
import type { LoadedImage } from "../images/load/load-images.ts";
import type { ClusterPlan } from "../plan/cluster.ts";
import type { Job } from "../plan/context.ts";
import type { RunReport } from "./report.ts";

/** Exports the variables with which `kubectl` and `kind load` in later steps of the job use the cluster. */
export function exportClusterVariables(plan: ClusterPlan, job: Job): void {
  // A KUBECONFIG that the job already has is not replaced, because it may list more files.
  if (plan.kubeconfig !== job.kubeconfig) exportVariable("KUBECONFIG", plan.kubeconfig);
  exportVariable("KIND_CLUSTER_NAME", plan.name);
}

/** Exports the address to which later steps push images, such as `localhost:5000`, and sets it as an output. */
export function exportRegistryAddress(address: string): void {
  exportVariable("LOCAL_REGISTRY", address);
  setOutput("LOCAL_REGISTRY", address);
}

/** Sets the outputs that describe a cluster. */
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
 * Sets the output `images`, with an element for each name. Only the first name of an image has its bytes, because further
 * names transfer nothing.
 */
export function setImagesOutput(images: readonly LoadedImage[]): void {
  setOutput(
    "images",
    images.flatMap(({ names, id, nodes, bytes, seconds }) =>
      names.map((name, index) => ({ name, id, nodes, bytes: index === 0 ? bytes : 0, seconds })),
    ),
  );
}

/** Sets the outputs of every run. */
export function setRunOutputs(report: RunReport): void {
  const { plan, seconds, timings, images } = report;
  setOutput("cache_hit", cacheHits(report));
  setImagesOutput(images);
  setOutput("kind_version", plan.kind.version);
  setOutput("kubectl_version", plan.kubectl.version);
  setOutput("timings", {
    seconds,
    tasks: timings.map(({ name, start, seconds: duration }) => ({ name, start, seconds: duration })),
  });
}

/** Returns for each enabled cache entry whether all items that count were restored. */
const cacheHits = ({ plan, caches }: RunReport): Record<string, boolean> =>
  Object.fromEntries(
    plan.caches.entries.map((entry) => {
      const reports = caches.filter((report) => report.entry === entry && report.countsForCacheHit);
      return [entry, reports.length > 0 && reports.every(({ outcome }) => outcome === "hit")];
    }),
  );
