import { replaceNodeImages } from "../../cluster/config.ts";
import { type CreatedCluster, createKindCluster } from "../../cluster/create.ts";
import type { ApiObject } from "../../cluster/fast-start/kindnet-manifest.ts";
import { createKindCli } from "../../cluster/kind-cli.ts";
import { restrictPermissions } from "../../cluster/kubeconfig.ts";
import type { Task } from "../../lib/task-graph.ts";
import { exportClusterVariables } from "../../runner/outputs.ts";
import type { InstalledTools } from "../install-tools.ts";
import type { ClusterRun } from "./cluster-run.ts";

/** Adds the task that runs `kind create cluster`. */
export const addCreateTask = (
  { ctx, plan, folder, engine, graph }: ClusterRun,
  after: {
    readonly tools: Task<InstalledTools>;
    readonly images: Task<ReadonlyMap<string, string>>;
    readonly network: Task<void>;
    readonly manifest: Task<readonly ApiObject[] | undefined>;
    /** Resolves when the shared folder of the proxies exists. */
    readonly sharedFolderCreated: Promise<void> | undefined;
  },
): Task<CreatedCluster> =>
  graph.add(
    "Create the cluster",
    [after.tools, after.images, after.network, after.manifest],
    async (log, { kind }, names, _, manifest) => {
      // Otherwise Docker would create the folder, owned by root.
      await after.sharedFolderCreated;
      const { fastStart } = plan;
      const config = manifest === undefined ? plan.config : (fastStart?.cni?.config ?? plan.config);
      const created = await createKindCluster(
        createKindCli(kind.path, ctx.runProgram, engine.endpoint),
        {
          ...plan,
          config: replaceNodeImages(config, names),
          fastStart: fastStart && {
            ...fastStart,
            configWithout: replaceNodeImages(fastStart.configWithout, names),
          },
        },
        folder,
        log,
      );
      await restrictPermissions(plan.kubeconfig);
      exportClusterVariables(plan, ctx.job);
      return created;
    },
  );
