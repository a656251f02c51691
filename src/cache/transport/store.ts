import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage } from "../../lib/errors.ts";
import { ProgramError } from "../../lib/subprocess.ts";
import type { SpawnWorker } from "../../lib/worker-process.ts";
import { type CacheReply, type CacheRequest, failureIn, parseOutput } from "./protocol.ts";
import { createCacheWorkers } from "./workers.ts";

/**
 * How a call to the cache ended. `skipped`: the job has no cache, or may not use it so. `failed` includes calls that
 * were not done in time.
 */
export type CacheOutcome = "hit" | "miss" | "saved" | "exists" | "skipped" | "failed";

export interface CacheResult {
  readonly outcome: CacheOutcome;
  /** The entry's. */
  readonly key?: string | undefined;
  /** Why it was skipped, or failed. */
  readonly reason?: string;
}

/**
 * The Actions cache, as hints: no call throws, all of them together end within one deadline, and what comes back is as
 * good as anything a stranger sends. Whoever uses a restored file checks it first. However much fails, one warning says so.
 */
export interface CacheStore {
  /** Where entries are laid out: `path` below is relative to it. */
  readonly folder: string;
  /**
   * Brings back the files that were saved under a key, or in the newest entry whose key begins so, into `folder`. Files
   * may be there after a miss, too: broken ones.
   */
  restore(entry: {
    path: string;
    key: string;
    prefixes?: readonly string[];
    /** Whether others are needed sooner, and get the processors first. */
    background?: boolean;
    /** Milliseconds, where it is worth less than all the time there is. */
    deadline?: number;
  }): Promise<CacheResult>;
  /** Whether an entry would be saved: it is worth looking before what goes into it is made. */
  isMissing(entry: { path: string; key: string }): Promise<boolean>;
  /** Saves a path of `folder`. An entry is never replaced: one that is there is found out before anything is packed. */
  save(entry: { path: string; key: string }): Promise<CacheResult>;
  /** Ends what would wait for more calls. */
  close(): Promise<void>;
}

/** What a store needs. */
export interface CacheStoreOptions {
  readonly spawnWorker: SpawnWorker;
  /** The command line of the cache worker. */
  readonly program: readonly string[];
  /** Milliseconds that all calls may take together. */
  readonly deadline: number;
  /** ACTIONS_CACHE_MODE: what the service lets this job do. */
  readonly mode: string | undefined;
  readonly warn: (message: string) => void;
}

/**
 * Opens the cache of this job. Its clients run as programs of their own: they can be ended when the time is up, what they
 * print is not an annotation, and their work delays nothing else.
 */
export async function openCacheStore(folder: string, on: CacheStoreOptions): Promise<CacheStore> {
  await mkdir(folder, { recursive: true });
  const until = performance.now() + on.deadline;
  const clients = createCacheWorkers(on.spawnWorker, [...on.program, folder]);
  let warned = false;

  function failed(what: string, reason: string): CacheResult {
    if (!warned) on.warn(`The Actions cache is not used any further, because ${what} failed: ${reason}`);
    warned = true;
    return { outcome: "failed", reason };
  }

  async function call(
    what: string,
    request: CacheRequest,
    deadline: number | undefined,
    result: (reply: CacheReply) => CacheResult,
  ): Promise<CacheResult> {
    if (on.deadline === 0) return { outcome: "skipped", reason: "it may take no time" };
    if (warned) return { outcome: "skipped", reason: "the cache has failed before" };
    const began = performance.now();
    if (began >= until) return failed(what, `there was no time left of ${on.deadline / 1000} s`);
    const left = Math.min(until - began, deadline ?? Number.POSITIVE_INFINITY);
    try {
      const { id, output } = await clients.request(request, left);
      const { reply, failure } = parseOutput(id, output);
      if (failure !== undefined && denied.test(failure)) return { outcome: "skipped", reason: failure };
      if (failure !== undefined) return failed(what, failure);
      if (reply === undefined) return failed(what, "its client said nothing");
      if (reply.outcome === "unavailable") return { outcome: "skipped", reason: "the job has no cache" };
      return result(reply);
    } catch (error) {
      const now = performance.now();
      // What is worth less than all the time there is, is no reason to give up on the rest.
      if (now - began >= left && now < until)
        return { outcome: "failed", reason: `it took longer than ${left / 1000} s` };
      if (now >= until) return failed(what, `it took longer than ${Math.round(left / 100) / 10} s`);
      return failed(what, reasonOf(error));
    }
  }

  const mode = on.mode?.trim().toLowerCase();
  const mayWrite = mode !== "none" && mode !== "read";
  const find = (path: string, key: string) =>
    call(`looking for ${key}`, { call: "find", path, key }, undefined, (reply) => ({
      outcome: reply.outcome === "found" && reply.key === key ? "exists" : "miss",
      key,
    }));
  return {
    folder,
    async restore({ path, key, prefixes = [], background = false, deadline }) {
      if (mode === "none" || mode === "write-only")
        return { outcome: "skipped", reason: `this job may not read the cache (${mode})` };
      return await call(
        `restoring ${key}`,
        { call: "restore", path, key, prefixes: [...prefixes], background },
        deadline,
        (reply) => ({ outcome: reply.outcome === "found" ? "hit" : "miss", key: reply.key }),
      );
    },
    isMissing: async ({ path, key }) => mayWrite && (await find(path, key)).outcome === "miss",
    async save({ path, key }) {
      if (!mayWrite) return { outcome: "skipped", reason: `this job may not write to the cache (${mode})` };
      if (mode !== "write-only") {
        const found = await find(path, key);
        if (found.outcome !== "miss") return found;
      }
      return await call(`saving ${key}`, { call: "save", path, key }, undefined, (reply) => ({
        // Where none was made and nothing failed, another job was faster.
        outcome: reply.outcome === "saved" ? "saved" : "exists",
        key,
      }));
    },
    close: () => clients.close(),
  };
}

/** What the service answers where the job has no right to what it asks. */
const denied = /cache (read|write) denied:/;

/** Why a worker that ended without a reply failed: what the client printed last, if anything. */
const reasonOf = (error: unknown): string =>
  (error instanceof ProgramError ? failureIn(error.output.stdout) : undefined) ?? errorMessage(error);

/** The command line of the cache worker: its file is beside that of the program that runs. */
export const cacheWorkerCommand = (argv: readonly string[] = process.argv): string[] => [
  process.execPath,
  join(argv[1] ?? "", "../cache-worker.js"),
];
