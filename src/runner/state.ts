import { getState, saveState as saveToRunner } from "@actions/core";
import * as z from "zod";

/** The state that main leaves for post: saved before main creates anything, and again after each change. */
const state = z.strictObject({
  version: z.literal(1),
  /** The ID of the run, which marks its processes and everything that it created. */
  runId: z.string(),
  /** The temporary folder of the run. */
  folder: z.string(),
  /** The start of main, in milliseconds since the epoch. */
  startedMs: z.number(),
  /** The environment variables that select the Docker daemon. */
  endpoint: z.record(z.string(), z.string()),
  /** The installed kind, with its SHA-256. */
  kind: z.strictObject({ path: z.string(), checksum: z.string() }).optional(),
  /** The installed kubectl, with its SHA-256. */
  kubectl: z.strictObject({ path: z.string(), checksum: z.string() }).optional(),
  /** Undefined with `install_only`. */
  cluster: z
    .strictObject({
      name: z.string(),
      network: z.string(),
      kubeconfig: z.strictObject({ path: z.string(), existed: z.boolean() }),
      logs: z.strictObject({
        when: z.enum(["on-failure", "always", "never"]),
        folder: z.string(),
        artifact: z.string(),
      }),
      ignoreFailedClean: z.boolean(),
    })
    .optional(),
  /** The items that post saves: the name of the cache entry, and the data that this entry needs. */
  saves: z.array(z.strictObject({ entry: z.string(), pending: z.unknown() })),
  /** The milliseconds that all saves may take together. */
  saveTimeoutMs: z.number(),
  /** The shared folder of the job's registry proxies, if this run created it. */
  proxiesFolder: z.string().optional(),
  /** Whether main ended without an error. */
  succeeded: z.boolean(),
});

export type State = z.infer<typeof state>;
/** The cluster in the state. */
export type StateCluster = NonNullable<State["cluster"]>;

/** Replaces fields of the state. */
export type UpdateState = (fields: Partial<State>) => void;

/** The runner passes it to post as STATE_run. */
const name = "run";

/** Saves the state. @returns a function that updates fields and saves the whole state again */
export function saveState(initial: State): UpdateState {
  let current = initial;
  const update = (fields: Partial<State>) => {
    current = { ...current, ...fields };
    saveToRunner(name, JSON.stringify(current));
  };
  update({});
  return update;
}

/** Reads the state that main saved. @returns undefined if main ended before it created anything */
export function readState(): State | undefined {
  const text = getState(name);
  return text === "" ? undefined : state.parse(JSON.parse(text));
}
