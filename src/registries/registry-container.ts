import { setTimeout as sleep } from "node:timers/promises";
import type { ServiceContainer } from "../docker/containers.ts";
import type { Engine } from "../docker/engine.ts";
import { errorMessage } from "../lib/errors.ts";

/** What registries run: distribution, by digest. */
export const defaultRegistryImage =
  "docker.io/library/registry:3.1.1@sha256:1be55279f18a2fe1a74edf2664cac61c1bea305b7b4642dab412e7affdcb3e33";

/** How often a registry that is starting is looked at, in milliseconds. */
const interval = 50;

/** What distribution says when it takes requests, since version 2. */
const listening = "listening on ";

/** What every registry of ours is told: one that finds no collector for its traces complains at each request. */
export const registryEnvironment: Readonly<Record<string, string>> = { OTEL_TRACES_EXPORTER: "none" };

/**
 * What Docker says where it does not give out the address that is asked for: on a network whose subnet was its own
 * choice, or because somebody has it. (Of a port it says `bind: address already in use`.)
 */
const addressRefused = /user specified IP address|Address already in use|no available IPv4 addresses/;

/**
 * Starts a registry, and waits until it takes requests. Where it cannot have its address, it gets another one.
 *
 * @param deadline milliseconds
 * @returns its container's ID
 * @throws what it said when it ended instead, or when the time was up: then it is gone
 */
export async function startRegistry(
  engine: Engine,
  server: ServiceContainer,
  deadline: number,
): Promise<string> {
  const id = await engine.containers.startService(server).catch((error: unknown) => {
    if (server.address === undefined || !addressRefused.test(errorMessage(error))) throw error;
    return engine.containers.startService({ ...server, address: undefined });
  });
  const until = performance.now() + deadline;
  for (;;) {
    const running = (await engine.containers.inspect(id))?.running === true;
    // One that somebody removes has nothing more to say.
    const said = await engine.containers.logs(id).catch(() => "");
    if (running && said.includes(listening)) return id;
    if (!running || performance.now() > until) {
      await engine.containers.remove(id);
      const why = running ? `does not take requests after ${deadline / 1000} s` : "ended";
      throw new Error(`The registry ${server.name} ${why}${lastWords(said)}`);
    }
    await sleep(interval);
  }
}

/** The line that tells most: distribution prints its usage after an error, and a stack after a panic. */
function lastWords(said: string): string {
  const lines = said.split("\n");
  const line =
    lines.findLast((each) => /^panic:/.test(each)) ??
    lines.findLast((each) => /level=(error|fatal|panic)/.test(each)) ??
    lines.findLast((each) => /[Ee]rror/.test(each));
  const last = line?.trim().slice(0, 500);
  return last === undefined ? "" : `: ${/msg="((?:[^"\\]|\\.)*)"/.exec(last)?.[1] ?? last}`;
}
