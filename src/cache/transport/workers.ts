import { randomUUID } from "node:crypto";
import type { SpawnWorker, WorkerProcess } from "../../lib/worker-process.ts";
import { type CacheRequest, isReply, renderRequest } from "./protocol.ts";

/** A pool of cache workers. */
export interface CacheWorkers {
  /**
   * Sends a request to an idle worker, or to a new one.
   *
   * @param timeoutMs milliseconds
   * @returns the ID of the request, and the output of the worker up to its reply
   * @throws ProgramError when the worker does not reply
   */
  request(request: CacheRequest, timeoutMs: number): Promise<{ id: string; output: string }>;
  /** Ends the idle workers. */
  close(): Promise<void>;
}

/**
 * Creates a pool of cache workers. A worker executes one request at a time; one idle worker is reused, because a start
 * takes a fifth of a second of CPU time. A worker cannot raise its priority again, so background requests use a separate
 * worker.
 *
 * @param spawnWorker starts a program
 * @param command the command line of the worker
 */
export function createCacheWorkers(
  spawnWorker: SpawnWorker,
  [program = "", ...args]: readonly string[],
): CacheWorkers {
  const idle = new Map<"background" | "foreground", WorkerProcess>();
  return {
    async request(request, timeoutMs) {
      const priority = request.call === "restore" && request.background ? "background" : "foreground";
      const reusable = idle.get(priority);
      idle.delete(priority);
      const worker = reusable?.isRunning ? reusable : spawnWorker(program, args);
      const id = randomUUID();
      const output = await worker.request(renderRequest(id, request), (line) => isReply(id, line), timeoutMs);
      if (idle.has(priority)) void worker.close();
      else idle.set(priority, worker);
      return { id, output };
    },
    async close() {
      const workers = [...idle.values()];
      idle.clear();
      await Promise.all(workers.map((worker) => worker.close()));
    },
  };
}
