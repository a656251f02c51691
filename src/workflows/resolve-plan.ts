import { stat } from "node:fs/promises";
import { getInput, setSecret } from "@actions/core";
import { listLockedNames } from "../cluster/name-lock.ts";
import { type Daemon, readDaemon } from "../docker/daemon.ts";
import { Engine } from "../docker/engine.ts";
import { errorMessage, InvalidInputsError, type Problem } from "../lib/errors.ts";
import { createPlan, type Plan } from "../plan/plan.ts";
import { secretsOf } from "../registries/credentials.ts";
import { readInputs } from "../runner/inputs/create.ts";
import { readEvent } from "../runner/job.ts";
import type { ActionContext } from "../runner/run-action.ts";
import type { State } from "../runner/state.ts";
import { type PinnedTool, pinTool, type ToolPlan } from "../tools/install.ts";
import { findLatestKind } from "../versions/latest-kind.ts";

/** A plan in which the checksums of all tools are known. */
export type ResolvedPlan = Plan & { readonly kind: PinnedTool; readonly kubectl: PinnedTool };

/** Reads the inputs and the machine, and creates the plan. @throws InvalidInputsError with all problems */
export async function resolvePlan(
  ctx: ActionContext,
): Promise<{ plan: ResolvedPlan; daemon: Daemon | undefined }> {
  const { job, runId } = ctx;
  const [inputs, daemon, event] = await Promise.all([
    readInputs(getInput, job.workspace),
    readDaemon(ctx.env, ctx.runProgram),
    readEvent(ctx.env),
  ]);
  for (const secret of inputs.registries.logins.given.flatMap(secretsOf)) setSecret(secret);
  const latest =
    inputs.version === "latest"
      ? await findLatestKind().catch((error: unknown) => ({ problem: errorMessage(error) }))
      : undefined;
  const takenNames = "problem" in daemon ? [] : await findTakenNames(new Engine(daemon.endpoint));
  const { plan, problems } = createPlan({
    inputs,
    job,
    ...("problem" in takenNames ? { daemon: takenNames, takenNames: [] } : { daemon, takenNames }),
    latest,
    runId,
    event,
  });
  const [kind, kubectl] = await Promise.all([
    pin(plan.kind, "version", problems),
    pin(plan.kubectl, "kubectl_version", problems),
  ]);
  if (problems.length > 0 || kind === undefined || kubectl === undefined)
    throw new InvalidInputsError(problems);
  return { plan: { ...plan, kind, kubectl }, daemon: "problem" in daemon ? undefined : daemon };
}

/** Lists the names of clusters that exist, or that another run is creating. */
async function findTakenNames(engine: Engine): Promise<string[] | { problem: string }> {
  try {
    const [nodes, locked] = await Promise.all([engine.containers.listNodes(), listLockedNames(engine)]);
    return [...new Set([...nodes.map((node) => node.cluster), ...locked])];
  } catch (error) {
    return { problem: `Could not list the clusters of the Docker daemon: ${errorMessage(error)}` };
  }
}

/** Finds the checksum of a tool, so that a version that does not exist fails before anything is created. */
async function pin(tool: ToolPlan, input: string, problems: Problem[]): Promise<PinnedTool | undefined> {
  try {
    return await pinTool(tool);
  } catch (error) {
    problems.push({ input, value: tool.version, reason: errorMessage(error) });
    return undefined;
  }
}

/** Returns the state that is saved before anything is created. */
export async function initialState(
  plan: Plan,
  daemon: Daemon | undefined,
  ctx: ActionContext,
): Promise<State> {
  const { cluster } = plan;
  return {
    version: 1,
    runId: plan.runId,
    folder: plan.folder,
    startedMs: ctx.startedMs,
    endpoint: { ...daemon?.endpoint },
    ...(cluster !== undefined && {
      cluster: {
        name: cluster.name,
        network: cluster.network,
        kubeconfig: { path: cluster.kubeconfig, existed: await exists(cluster.kubeconfig) },
        logs: cluster.logs,
        ignoreFailedClean: cluster.ignoreFailedClean,
      },
    }),
    saves: [],
    saveTimeoutMs: plan.caches.saveTimeoutMs,
    succeeded: false,
  };
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
