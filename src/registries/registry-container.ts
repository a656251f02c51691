import type { ServiceContainer } from "../docker/containers.ts";
import type { Engine } from "../docker/engine.ts";
import { errorMessage } from "../lib/errors.ts";
import { poll } from "../lib/poll.ts";
import { formatTimeout } from "../lib/units.ts";

/** The default image of registries: distribution, pinned by digest. */
export const defaultRegistryImage =
  "docker.io/library/registry:3.1.1@sha256:1be55279f18a2fe1a74edf2664cac61c1bea305b7b4642dab412e7affdcb3e33";

const pollIntervalMs = 50;

/** The log line of distribution when it accepts requests, since version 2. */
const listening = "listening on ";

/** Environment variables of all registries. With the default exporter, distribution logs an error at each request. */
export const registryEnvironment: Readonly<Record<string, string>> = { OTEL_TRACES_EXPORTER: "none" };

/**
 * The errors of Docker when a container cannot have a fixed IP address: Docker chose the network's subnet itself, or
 * another container has the address. (The error about a port is `bind: address already in use`.)
 */
const addressRefused = /user specified IP address|Address already in use|no available IPv4 addresses/;

/**
 * Starts a registry, and waits until it accepts requests. If it cannot have its IP address, Docker assigns another one.
 *
 * @param timeoutMs milliseconds
 * @returns the ID of its container
 * @throws Error with its last log line when it exits or does not listen in time; the container is removed then
 */
export async function startRegistry(
  engine: Engine,
  server: ServiceContainer,
  timeoutMs: number,
): Promise<string> {
  const id = await engine.containers.startService(server).catch((error: unknown) => {
    if (server.address === undefined || !addressRefused.test(errorMessage(error))) throw error;
    return engine.containers.startService({ ...server, address: undefined });
  });
  let lastOutput = "";
  const status = await poll(
    async () => {
      const isRunning = (await engine.containers.inspect(id))?.running === true;
      // A container that was removed has no logs.
      lastOutput = await engine.containers.logs(id).catch(() => "");
      if (!isRunning) return "exited";
      return lastOutput.includes(listening) ? "listening" : undefined;
    },
    { intervalMs: pollIntervalMs, timeoutMs },
  );
  if (status === "listening") return id;
  await engine.containers.remove(id);
  const problem =
    status === "exited" ? "exited" : `did not accept requests within ${formatTimeout(timeoutMs)}`;
  throw new Error(`The registry ${server.name} ${problem}${lastError(lastOutput)}`);
}

/** Finds the error in a log: distribution prints its usage after an error, and a stack trace after a panic. */
function lastError(output: string): string {
  const lines = output.split("\n");
  const line =
    lines.findLast((each) => /^panic:/.test(each)) ??
    lines.findLast((each) => /level=(error|fatal|panic)/.test(each)) ??
    lines.findLast((each) => /[Ee]rror/.test(each));
  const text = line?.trim().slice(0, 500);
  return text === undefined ? "" : `: ${/msg="((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? text}`;
}
