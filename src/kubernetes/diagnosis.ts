import * as z from "zod";
import type { KubernetesApi } from "./client.ts";

const waiting = z.looseObject({ reason: z.string().default(""), message: z.string().default("") });

const podList = z.looseObject({
  items: z.array(
    z.looseObject({
      metadata: z.looseObject({ name: z.string(), namespace: z.string() }),
      status: z.looseObject({
        phase: z.string().default("Unknown"),
        conditions: z
          .array(z.looseObject({ type: z.string(), status: z.string(), message: z.string().default("") }))
          .default([]),
        containerStatuses: z
          .array(
            z.looseObject({
              name: z.string(),
              ready: z.boolean(),
              restartCount: z.number().default(0),
              state: z.looseObject({ waiting: waiting.optional() }).default({}),
              lastState: z
                .looseObject({
                  terminated: z
                    .looseObject({ reason: z.string().default(""), exitCode: z.number().default(0) })
                    .optional(),
                })
                .default({}),
            }),
          )
          .default([]),
      }),
    }),
  ),
});

type Pod = z.infer<typeof podList>["items"][number];

const isReady = ({ status }: Pod) =>
  status.phase === "Succeeded" ||
  status.conditions.some(({ type, status: value }) => type === "Ready" && value === "True");

/** Returns the pods that are Ready or have succeeded, as `NAMESPACE/NAME`. */
export const readyPods = (list: unknown): Set<string> =>
  new Set(
    podList
      .parse(list)
      .items.filter(isReady)
      .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
  );

/** Describes the pods that are not ready, each with the reasons in its status. */
export function unreadyPods(list: unknown): string[] {
  const unready = podList.parse(list).items.filter((pod) => !isReady(pod));
  return unready.map(({ metadata, status }) => {
    const scheduled = status.conditions.find(({ type }) => type === "PodScheduled");
    const reasons = [
      ...(scheduled?.status === "False" ? [scheduled.message] : []),
      ...status.containerStatuses.filter(({ ready }) => !ready).map(describeContainer),
    ];
    const suffix = reasons.length === 0 ? "" : `: ${reasons.join("; ")}`;
    return `pod ${metadata.namespace}/${metadata.name} is ${status.phase}${suffix}`;
  });
}

/** Describes the state of a container that is not ready. */
function describeContainer({
  name,
  restartCount,
  state,
  lastState,
}: Pod["status"]["containerStatuses"][number]): string {
  const current =
    state.waiting === undefined ? "not ready" : `${state.waiting.reason} ${state.waiting.message}`.trim();
  const { terminated } = lastState;
  const previous =
    terminated === undefined
      ? ""
      : `, last terminated with exit code ${terminated.exitCode} (${terminated.reason})`;
  return `${name}: ${current}${previous}${restartCount > 0 ? `, restarted ${restartCount} times` : ""}`;
}

const eventList = z.looseObject({
  items: z.array(
    z.looseObject({
      type: z.string().nullish(),
      reason: z.string().nullish(),
      message: z.string().nullish(),
      lastTimestamp: z.string().nullish(),
      eventTime: z.string().nullish(),
      count: z.number().nullish(),
      involvedObject: z.looseObject({
        kind: z.string().default(""),
        namespace: z.string().default(""),
        name: z.string().default(""),
      }),
    }),
  ),
});

/**
 * The reasons of events that are left out: a pod's condition has the first, and every node on cgroup v1 has the second.
 */
const ignoredReasons = ["FailedScheduling", "CgroupV1"];

/**
 * Describes the last warning events, oldest first, without those of pods that have become ready since.
 *
 * @param ready the pods that are ready, as `NAMESPACE/NAME`
 */
export function warningEvents(list: unknown, ready: ReadonlySet<string>, max = 15): string[] {
  const time = (event: {
    lastTimestamp?: string | null | undefined;
    eventTime?: string | null | undefined;
  }) => event.lastTimestamp ?? event.eventTime ?? "";
  return eventList
    .parse(list)
    .items.filter(({ type, reason }) => type === "Warning" && !ignoredReasons.includes(reason ?? ""))
    .filter(
      ({ involvedObject: { kind, namespace, name } }) => kind !== "Pod" || !ready.has(`${namespace}/${name}`),
    )
    .toSorted((a, b) => time(a).localeCompare(time(b)))
    .slice(-max)
    .map(({ reason, message, count, involvedObject: { kind, namespace, name } }) => {
      const object = [kind.toLowerCase(), [namespace, name].filter(Boolean).join("/")].join(" ");
      return `${object}: ${reason}: ${message}${(count ?? 1) > 1 ? ` (${count} times)` : ""}`;
    });
}

/**
 * Returns the pods of a cluster that are not ready, and its warning events.
 *
 * @throws when the API server does not answer
 */
export async function diagnose(api: KubernetesApi): Promise<string[]> {
  const [pods, events] = await Promise.all([api.get("/api/v1/pods"), api.get("/api/v1/events?limit=500")]);
  return [...unreadyPods(pods), ...warningEvents(events, readyPods(pods))];
}
