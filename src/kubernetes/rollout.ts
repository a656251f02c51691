import { errorMessage } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import type { RunProgram } from "../lib/subprocess.ts";

/** A workload that `kubectl rollout restart` can restart. */
export interface Workload {
  /** Undefined for the namespace of the kubeconfig's context. */
  readonly namespace: string | undefined;
  /** The type and name, such as `deployment/web`. */
  readonly name: string;
}

const kinds = "deployments?|deploy|statefulsets?|sts|daemonsets?|ds";
const pattern = new RegExp(`^(?:([a-z0-9][a-z0-9-]*)/)?((?:${kinds})/[a-z0-9][a-z0-9.-]*)$`);

/** Parses `[NAMESPACE/]KIND/NAME`. @returns the workload, or the problem, as a clause whose subject is the text */
export function parseWorkload(text: string): Workload | { problem: string } {
  const [matched, namespace, name = ""] = pattern.exec(text) ?? [];
  if (matched === undefined)
    return {
      problem:
        "must be deployment/NAME, statefulset/NAME or daemonset/NAME, with an optional NAMESPACE/ before it",
    };
  return { namespace, name };
}

const restartTimeoutMs = 60_000;
/** The time for kubectl to report its own timeout. */
const graceMs = 10_000;

/**
 * Restarts workloads, all at the same time, and waits until their new pods are available. A rebuilt image with the same
 * tag does not cause a rollout by itself.
 *
 * @param options.context the context in the kubeconfig
 * @param options.timeoutMs the timeout of each rollout; with 0 it does not wait
 * @throws when a rollout fails; the message has the name of the workload and kubectl's reason
 */
export async function restartWorkloads(
  workloads: readonly Workload[],
  options: { runProgram: RunProgram; context: string; timeoutMs: number },
  log: Log,
): Promise<void> {
  const kubectl = (args: readonly string[], { namespace }: Workload, timeoutMs: number) =>
    options.runProgram(
      "kubectl",
      ["--context", options.context, ...(namespace === undefined ? [] : ["--namespace", namespace]), ...args],
      { log, timeoutMs },
    );
  await Promise.all(
    workloads.map(async (workload) => {
      const { name } = workload;
      try {
        await kubectl(["rollout", "restart", name], workload, restartTimeoutMs);
        if (options.timeoutMs === 0) return;
        const timeout = `--timeout=${Math.ceil(options.timeoutMs / 1000)}s`;
        await kubectl(["rollout", "status", name, timeout], workload, options.timeoutMs + graceMs);
      } catch (error) {
        throw new Error(`Could not restart ${name}: ${errorMessage(error)}`, { cause: error });
      }
    }),
  );
}
