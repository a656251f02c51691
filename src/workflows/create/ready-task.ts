import type { CreatedCluster } from "../../cluster/create.ts";
import { type ClusterDescription, describeCluster } from "../../cluster/describe.ts";
import { contextName } from "../../cluster/kubeconfig.ts";
import { KubernetesApi, readAccess } from "../../kubernetes/client.ts";
import { waitUntilReady } from "../../kubernetes/readiness.ts";
import type { Task } from "../../lib/task-graph.ts";
import { setClusterOutputs } from "../../runner/outputs.ts";
import type { ClusterRun } from "./cluster-run.ts";

/** Adds a task that waits until the cluster is ready, and sets the outputs that describe it. */
export const addReadyTask = (
  { plan, engine, graph }: ClusterRun,
  after: readonly [Task<CreatedCluster>, Task<void>],
): Task<ClusterDescription> =>
  graph.add("Wait until ready", after, async (log) => {
    const access = await readAccess(plan.kubeconfig, contextName(plan.name));
    const api = new KubernetesApi(access);
    try {
      await waitUntilReady(api, { ...plan, nodes: plan.nodes.length });
      const cluster = await describeCluster(plan, engine, api, access.server);
      setClusterOutputs(plan, cluster);
      log.line(`Kubernetes ${cluster.kubernetesVersion} at ${access.server}`);
      for (const { name, role, address } of cluster.nodes) log.line(`  ${name}  ${role}  ${address}`);
      return cluster;
    } finally {
      api.close();
    }
  });
