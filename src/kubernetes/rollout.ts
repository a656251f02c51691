import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { RunProgram } from "../lib/subprocess.ts";

/** What runs pods, and can be told to replace them. */
export interface Workload {
  /** Undefined for the one of the kubeconfig's context. */
  readonly namespace: string | undefined;
  /** As kubectl takes it: deployment/web. */
  readonly name: string;
}

const kinds = "deployments?|deploy|statefulsets?|sts|daemonsets?|ds";
const form = new RegExp(`^(?:([a-z0-9][a-z0-9-]*)/)?((?:${kinds})/[a-z0-9][a-z0-9.-]*)$`);

/** Reads `[NAMESPACE/]KIND/NAME`. @returns what it names, or what is wrong with it */
export function parseWorkload(text: string): Workload | { problem: string } {
  const [matched, namespace, name = ""] = form.exec(text) ?? [];
  if (matched === undefined)
    return {
      problem:
        "wants deployment/NAME, statefulset/NAME or daemonset/NAME, with NAMESPACE/ before it if need be",
    };
  return { namespace, name };
}

/**
 * Replaces the pods of workloads, all at once, and waits until the new ones are there: what the tag of a rebuilt image
 * alone does not bring about.
 *
 * @param deadline milliseconds
 * @throws naming the workload that did not get through, with kubectl's reason
 */
export async function restartWorkloads(
  workloads: readonly Workload[],
  on: { run: RunProgram; context: string; deadline: number },
  log: Log,
): Promise<void> {
  const kubectl = (args: readonly string[], { namespace }: Workload, deadline: number) =>
    on.run(
      "kubectl",
      ["--context", on.context, ...(namespace === undefined ? [] : ["--namespace", namespace]), ...args],
      {
        log,
        deadline,
      },
    );
  await Promise.all(
    workloads.map(async (workload) => {
      const { name } = workload;
      try {
        await kubectl(["rollout", "restart", name], workload, 60_000);
        if (on.deadline === 0) return;
        const timeout = `--timeout=${Math.ceil(on.deadline / 1000)}s`;
        await kubectl(["rollout", "status", name, timeout], workload, on.deadline + 10_000);
      } catch (error) {
        throw new Error(`${name} was not restarted: ${errorMessage(error)}`, { cause: error });
      }
    }),
  );
}
