import { stat } from "node:fs/promises";
import { getInput, setSecret } from "@actions/core";
import { errorMessage, InvalidInputsError, type Problem } from "../lib/errors.ts";
import { createPlan, type Plan } from "../plan/plan.ts";
import { secretsOf } from "../registries/credentials.ts";
import { readInputs } from "../runner/inputs.ts";
import { type Daemon, latestKind, readDaemon, readEvent } from "../runner/job.ts";
import type { ActionContext } from "../runner/run-action.ts";
import type { State } from "../runner/state.ts";
import { type PinnedTool, pinTool, type ToolPlan } from "../tools/install.ts";

/** A plan whose tools are known by their hashes. */
export type PinnedPlan = Plan & { readonly kind: PinnedTool; readonly kubectl: PinnedTool };

/** Reads the inputs and the machine at once, and makes the plan from both. */
export async function resolvePlan(
  on: ActionContext,
): Promise<{ plan: PinnedPlan; daemon: Daemon | undefined }> {
  const [inputs, daemon, event] = await Promise.all([
    readInputs(getInput, on.job.workspace),
    readDaemon(on.env, on.runProgram),
    readEvent(on.env),
  ]);
  for (const secret of inputs.registries.logins.given.flatMap(secretsOf)) setSecret(secret);
  const latest =
    inputs.version === "latest"
      ? await latestKind().catch((error: unknown) => ({
          problem: errorMessage(error),
        }))
      : undefined;
  const { plan, problems } = createPlan({ inputs, job: on.job, daemon, latest, runId: on.runId, event });
  const [kind, kubectl] = await Promise.all([
    pin(plan.kind, "version", problems),
    pin(plan.kubectl, "kubectl_version", problems),
  ]);
  if (problems.length > 0 || kind === undefined || kubectl === undefined)
    throw new InvalidInputsError(problems);
  return { plan: { ...plan, kind, kubectl }, daemon: "problem" in daemon ? undefined : daemon };
}

/** Looks for a version that the action does not know before anything is made for it. */
async function pin(tool: ToolPlan, input: string, problems: Problem[]): Promise<PinnedTool | undefined> {
  try {
    return await pinTool(tool);
  } catch (error) {
    problems.push({
      input,
      value: tool.version,
      reason: errorMessage(error),
    });
    return undefined;
  }
}

/** What post must know from the first moment on. */
export async function initialState(
  plan: Plan,
  daemon: Daemon | undefined,
  on: ActionContext,
): Promise<State> {
  const cluster = plan.cluster && {
    name: plan.cluster.name,
    network: plan.cluster.network,
    kubeconfig: {
      path: plan.cluster.kubeconfig,
      existed: await stat(plan.cluster.kubeconfig).then(
        () => true,
        () => false,
      ),
    },
    logs: plan.cluster.logs,
    ignoreFailedClean: plan.cluster.ignoreFailedClean,
  };
  return {
    version: 1,
    run: plan.runId,
    folder: plan.folder,
    began: on.startedMs,
    endpoint: { ...daemon?.endpoint },
    ...(cluster === undefined ? {} : { cluster }),
    saves: [],
    images: [],
    saveDeadline: plan.caches.saveDeadline,
    succeeded: false,
  };
}
