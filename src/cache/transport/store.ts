import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { ProgramError } from "../../lib/subprocess.ts";
import { formatTimeout } from "../../lib/units.ts";
import type { SpawnWorker } from "../../lib/worker-process.ts";
import { type CacheReply, type CacheRequest, findFailure, parseOutput } from "./protocol.ts";
import { createCacheWorkers } from "./workers.ts";

/**
 * The outcome of a call to the cache. `skipped`: the job has no cache, or may not use it for this call. `failed` includes
 * timeouts.
 */
export type CacheOutcome = "hit" | "miss" | "saved" | "exists" | "skipped" | "failed";

export interface CacheResult {
  readonly outcome: CacheOutcome;
  /** The key of the entry. */
  readonly key?: string | undefined;
  /** Why the call was skipped or failed, as a clause. */
  readonly reason?: string;
}

/**
 * The Actions cache. No call throws, and all calls together end within one timeout. After a failure the cache is not used
 * any more, and one warning says so. Restored files are not trusted: callers must verify them.
 */
export interface CacheStore {
  /** The folder of restored files, and of files to save. The `path` of an entry is relative to it. */
  readonly folder: string;
  /**
   * Restores the files of the entry with a key, or of the newest entry whose key has one of the prefixes, into `folder`.
   * After a miss or a failure, there may be incomplete files.
   */
  restore(entry: {
    path: string;
    key: string;
    prefixes?: readonly string[];
    /** Whether other restores have priority. */
    background?: boolean;
    /** A limit in milliseconds for this call, if it is shorter than that for all calls. */
    timeoutMs?: number;
  }): Promise<CacheResult>;
  /** Whether `save` would save an entry. Callers ask before they create its files. */
  isMissing(entry: { path: string; key: string }): Promise<boolean>;
  /** Saves a path in `folder`, unless an entry with the key exists. That is checked before files are packed. */
  save(entry: { path: string; key: string }): Promise<CacheResult>;
  /** Ends idle workers. */
  close(): Promise<void>;
}

/** The options of {@link openCacheStore}. */
export interface CacheStoreOptions {
  readonly spawnWorker: SpawnWorker;
  /** The command line of the cache worker. */
  readonly program: readonly string[];
  /** The milliseconds that all calls may take together. */
  readonly timeoutMs: number;
  /** ACTIONS_CACHE_MODE: the access that the cache service grants this job. */
  readonly mode: string | undefined;
  readonly log: Pick<Log, "warning">;
}

/**
 * Opens the cache of this job. Its client runs in worker processes: they can be killed after a timeout, their output does
 * not create annotations, and compression does not block this process.
 */
export async function openCacheStore(folder: string, options: CacheStoreOptions): Promise<CacheStore> {
  await mkdir(folder, { recursive: true });
  const call = createCaller(folder, options);
  const mode = options.mode?.trim().toLowerCase();
  const isWritable = mode !== "none" && mode !== "read";
  const find = (path: string, key: string) =>
    call.request(`looking up ${key}`, { call: "find", path, key }, undefined, (reply) => ({
      outcome: reply.outcome === "found" && reply.key === key ? "exists" : "miss",
      key,
    }));
  return {
    folder,
    async restore({ path, key, prefixes = [], background = false, timeoutMs }) {
      if (mode === "none" || mode === "write-only")
        return {
          outcome: "skipped",
          reason: `this job may not read the cache (ACTIONS_CACHE_MODE is ${mode})`,
        };
      return await call.request(
        `restoring ${key}`,
        { call: "restore", path, key, prefixes: [...prefixes], background },
        timeoutMs,
        (reply) => ({ outcome: reply.outcome === "found" ? "hit" : "miss", key: reply.key }),
      );
    },
    isMissing: async ({ path, key }) => isWritable && (await find(path, key)).outcome === "miss",
    async save({ path, key }) {
      if (!isWritable)
        return {
          outcome: "skipped",
          reason: `this job may not write the cache (ACTIONS_CACHE_MODE is ${mode})`,
        };
      if (mode !== "write-only") {
        const existing = await find(path, key);
        if (existing.outcome !== "miss") return existing;
      }
      return await call.request(`saving ${key}`, { call: "save", path, key }, undefined, (reply) => ({
        // If no entry was created and nothing failed, another job has created it.
        outcome: reply.outcome === "saved" ? "saved" : "exists",
        key,
      }));
    },
    close: () => call.close(),
  };
}

/** Sends requests to cache workers until one fails. */
interface CacheCaller {
  /**
   * @param action for the warning, such as `restoring KEY`
   * @param callTimeoutMs a limit for this request
   * @param toResult interprets the reply
   */
  request(
    action: string,
    request: CacheRequest,
    callTimeoutMs: number | undefined,
    toResult: (reply: CacheReply) => CacheResult,
  ): Promise<CacheResult>;
  close(): Promise<void>;
}

function createCaller(
  folder: string,
  { spawnWorker, program, timeoutMs, log }: CacheStoreOptions,
): CacheCaller {
  const deadlineMs = performance.now() + timeoutMs;
  const workers = createCacheWorkers(spawnWorker, [...program, folder]);
  let hasFailed = false;

  function fail(action: string, reason: string): CacheResult {
    if (!hasFailed)
      log.warning(
        `The Actions cache is disabled for the rest of this step, because ${action} failed: ${reason}`,
      );
    hasFailed = true;
    return { outcome: "failed", reason };
  }

  return {
    async request(action, request, callTimeoutMs, toResult) {
      if (timeoutMs === 0) return { outcome: "skipped", reason: "its timeout is 0" };
      if (hasFailed) return { outcome: "skipped", reason: "the cache has failed before" };
      const startMs = performance.now();
      if (startMs >= deadlineMs) return fail(action, `the timeout of ${formatTimeout(timeoutMs)} has passed`);
      const limitMs = Math.min(deadlineMs - startMs, callTimeoutMs ?? Number.POSITIVE_INFINITY);
      try {
        const { id, output } = await workers.request(request, limitMs);
        const { reply, failure } = parseOutput(id, output);
        if (failure !== undefined && accessDenied.test(failure))
          return { outcome: "skipped", reason: failure };
        if (failure !== undefined) return fail(action, failure);
        if (reply === undefined) return fail(action, "the cache worker sent no valid reply");
        if (reply.outcome === "unavailable") return { outcome: "skipped", reason: "the job has no cache" };
        return toResult(reply);
      } catch (error) {
        const nowMs = performance.now();
        const timedOut = `it took longer than ${formatTimeout(limitMs)}`;
        if (nowMs >= deadlineMs) return fail(action, timedOut);
        // A limit of one call is no failure of the cache.
        if (nowMs - startMs >= limitMs) return { outcome: "failed", reason: timedOut };
        return fail(action, failureReason(error));
      }
    },
    close: () => workers.close(),
  };
}

/** The error of the cache service when the job's token does not grant the access. */
const accessDenied = /cache (read|write) denied:/;

/** Returns why a worker ended without a reply: the last failure that the client printed, or the error itself. */
const failureReason = (error: unknown): string =>
  (error instanceof ProgramError ? findFailure(error.output.stdout) : undefined) ?? errorMessage(error);

/** Returns the command line of the cache worker. Its file is in the folder of the running program. */
export const cacheWorkerCommand = (argv: readonly string[] = process.argv): string[] => [
  process.execPath,
  join(argv[1] ?? "", "../cache-worker.js"),
];
