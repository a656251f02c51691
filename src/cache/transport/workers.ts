import { randomUUID } from "node:crypto";
import type { SpawnWorker, WorkerProcess } from "../../lib/worker-process.ts";
import { type CacheRequest, isReply, renderRequest } from "./protocol.ts";

/** The programs that talk to the Actions cache. */
export interface CacheWorkers {
  /**
   * @param deadline milliseconds
   * @returns the request's ID, and what a client has printed up to its reply
   * @throws ProgramError when it came to none
   */
  request(request: CacheRequest, deadline: number): Promise<{ id: string; output: string }>;
  /** Ends those that do nothing. */
  close(): Promise<void>;
}

/**
 * Starts clients as they are needed, one for each request at a time, and keeps one for the next: to start takes a fifth
 * of a second of a processor. What has a low priority keeps it, so that there is one of each kind.
 *
 * @param program with its arguments
 */
export function createCacheWorkers(
  start: SpawnWorker,
  [program = "", ...args]: readonly string[],
): CacheWorkers {
  const idle = new Map<"background" | "foreground", WorkerProcess>();
  return {
    async request(request, deadline) {
      const kind = request.call === "restore" && request.background ? "background" : "foreground";
      const kept = idle.get(kind);
      idle.delete(kind);
      const client = kept?.isRunning ? kept : start(program, args);
      const id = randomUUID();
      const output = await client.request(renderRequest(id, request), (line) => isReply(id, line), deadline);
      if (idle.has(kind)) void client.close();
      else idle.set(kind, client);
      return { id, output };
    },
    async close() {
      const clients = [...idle.values()];
      idle.clear();
      await Promise.all(clients.map((client) => client.close()));
    },
  };
}
