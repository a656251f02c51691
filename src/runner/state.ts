import { getState, saveState as save } from "@actions/core";
import * as z from "zod";

/** What main leaves for post: one value, written before the first thing is made, and again when more is known. */
const state = z.strictObject({
  version: z.literal(1),
  /** The run's name, on what it made and on its processes. */
  run: z.string(),
  folder: z.string(),
  /** When main began, in milliseconds since the epoch. */
  began: z.number(),
  endpoint: z.record(z.string(), z.string()),
  kind: z.strictObject({ path: z.string(), checksum: z.string() }).optional(),
  kubectl: z.strictObject({ path: z.string(), checksum: z.string() }).optional(),
  /** None with `install_only`. Its name is this run's: it was free, and has been claimed. */
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
  /** Files to save into the Actions cache. */
  saves: z.array(z.strictObject({ file: z.string(), key: z.string(), name: z.string() })),
  /** Images to save: those that were pulled, and how long that took or restoring them took, in seconds. */
  images: z.array(
    z.strictObject({
      reference: z.string(),
      tag: z.string().optional(),
      architecture: z.string(),
      restored: z.boolean(),
      seconds: z.number(),
    }),
  ),
  /** Milliseconds that saving may take. */
  saveDeadline: z.number(),
  /** A folder that this run made for what the proxies of all clusters of the job keep. */
  proxiesFolder: z.string().optional(),
  /** The proxies that run, and what of them is to be saved. */
  proxies: z
    .strictObject({
      /** By the upstream's name. */
      containers: z.record(z.string(), z.string()),
      folders: z.record(z.string(), z.string()),
      prefix: z.string(),
      most: z.number(),
    })
    .optional(),
  /** Main came to its end. */
  succeeded: z.boolean(),
});

export type State = z.infer<typeof state>;

/** Adds to what is saved. */
export type UpdateState = (more: Partial<State>) => void;

/** The runner hands it to post as STATE_run. */
const name = "run";

/** Saves the state, and returns what adds to it as more is known: each time the whole is saved again. */
export function saveState(initial: State): UpdateState {
  let current = initial;
  const record = (more: Partial<State>) => {
    current = { ...current, ...more };
    save(name, JSON.stringify(current));
  };
  record({});
  return record;
}

/** @returns what main saved; undefined where it never got as far as making anything */
export function readState(): State | undefined {
  const text = getState(name);
  return text === "" ? undefined : state.parse(JSON.parse(text));
}
