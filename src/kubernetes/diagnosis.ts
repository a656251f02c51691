import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
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

/** The pods that are ready, or have done what they were for, as `namespace/name`. */
export const readyPods = (list: unknown): Set<string> =>
  new Set(
    podList
      .parse(list)
      .items.filter(isReady)
      .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
  );

/** The pods that are not ready, each with what Kubernetes knows of the reason. */
export function unreadyPods(list: unknown): string[] {
  const unready = podList.parse(list).items.filter((pod) => !isReady(pod));
  return unready.map(({ metadata, status }) => {
    const scheduled = status.conditions.find(({ type }) => type === "PodScheduled");
    const reasons = [
      ...(scheduled?.status === "False" ? [scheduled.message] : []),
      ...status.containerStatuses.filter(({ ready }) => !ready).map(whyNotReady),
    ];
    const why = reasons.length === 0 ? "" : `: ${reasons.join("; ")}`;
    return `pod ${metadata.namespace}/${metadata.name} is ${status.phase}${why}`;
  });
}

function whyNotReady({
  name,
  restartCount,
  state,
  lastState,
}: Pod["status"]["containerStatuses"][number]): string {
  const now =
    state.waiting === undefined ? "not ready" : `${state.waiting.reason} ${state.waiting.message}`.trim();
  const before = lastState.terminated;
  const ended =
    before === undefined ? "" : `, ended before with exit code ${before.exitCode} (${before.reason})`;
  return `${name}: ${now}${ended}${restartCount > 0 ? `, restarted ${restartCount} times` : ""}`;
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

/** A pod's own condition says why it is not scheduled, and nobody fails of what the kubelet thinks of cgroup v1. */
const told = ["FailedScheduling", "CgroupV1"];

/**
 * The last warnings among the events, oldest first. What a pod complained of before it became ready is over.
 *
 * @param ready the pods that are, as `namespace/name`
 */
export function warningEvents(list: unknown, ready: ReadonlySet<string>, most = 15): string[] {
  const time = (event: {
    lastTimestamp?: string | null | undefined;
    eventTime?: string | null | undefined;
  }) => event.lastTimestamp ?? event.eventTime ?? "";
  return eventList
    .parse(list)
    .items.filter(({ type, reason }) => type === "Warning" && !told.includes(reason ?? ""))
    .filter(
      ({ involvedObject: { kind, namespace, name } }) => kind !== "Pod" || !ready.has(`${namespace}/${name}`),
    )
    .toSorted((a, b) => time(a).localeCompare(time(b)))
    .slice(-most)
    .map(({ reason, message, count, involvedObject: { kind, namespace, name } }) => {
      const object = [kind.toLowerCase(), [namespace, name].filter(Boolean).join("/")].join(" ");
      return `${object}: ${reason}: ${message}${(count ?? 1) > 1 ? ` (${count} times)` : ""}`;
    });
}

/** Asks a cluster why it, or what runs in it, is not ready. @throws when its API does not answer */
export async function diagnose(api: KubernetesApi): Promise<string[]> {
  const [pods, events] = await Promise.all([api.get("/api/v1/pods"), api.get("/api/v1/events?limit=500")]);
  return [...unreadyPods(pods), ...warningEvents(events, readyPods(pods))];
}

/** What in a node's logs is nearly always the reason. */
const highlightPattern =
  /ErrImagePull|ImagePullBackOff|CrashLoopBackOff|oom-kill|Out of memory|Killed process|too many open files|no space left on device|DiskPressure|failed to run Kubelet|certificate (has expired|signed by unknown)/i;

const nodeLogs = ["kubelet.log", "containerd.log", "journal.log", "serial.log"];

/** A component's line of level I: `I1121 12:47:46.322172 …`. */
const isInformation = (line: string) => /(^|\s)I\d{4} \d\d:\d\d:\d\d\./.test(line);

/**
 * Finds the lines that matter in the logs of nodes, as kind exports them: the last few of each node, each once.
 *
 * @param folder with a folder for each node
 */
export async function highlightLogs(folder: string, most = 8): Promise<string[]> {
  const nodes = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const found = await Promise.all(
    nodes.map(async ({ name }) => {
      const texts = await Promise.all(
        nodeLogs.map((file) => readFile(join(folder, name, file), "utf8").catch(() => "")),
      );
      const lines = texts
        .flatMap((text) => text.split("\n"))
        .filter((line) => highlightPattern.test(line) && !isInformation(line));
      // The same message comes with another time stamp again and again.
      const once = new Map(lines.map((line) => [line.replace(/\d/g, "").slice(0, 200), line.slice(0, 400)]));
      return [...once.values()].slice(-most).map((line) => `${name}: ${line}`);
    }),
  );
  return found.flat();
}
