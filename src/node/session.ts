import type { ContainerDetails } from "../docker/containers.ts";
import type { Engine } from "../docker/engine.ts";
import { ShellSession } from "../docker/shell-session.ts";
import { errorMessage } from "../lib/errors.ts";
import { poll } from "../lib/poll.ts";
import { Containerd, type NodeInventory } from "./containerd/client.ts";
import { GrpcError } from "./containerd/grpc.ts";
import { scripts } from "./scripts.ts";

/** A node that a session can be opened with. */
export interface SessionNode {
  readonly name: string;
  readonly container: ContainerDetails;
}

/**
 * The connections to one node: to its containerd, and to a shell in it. Each is opened on first use, and reopened when it is
 * lost. All tasks share the session, because a `docker exec` costs 50 ms of CPU time.
 */
export class NodeSession implements SessionNode {
  readonly name: string;
  readonly container: ContainerDetails;
  readonly #engine: Engine;
  readonly #containerd = new Connection<Containerd>();
  readonly #shell = new Connection<ShellSession>();

  constructor(engine: Engine, { name, container }: SessionNode) {
    this.#engine = engine;
    this.name = name;
    this.container = container;
  }

  /**
   * Returns a client of the node's containerd.
   *
   * @param timeoutMs milliseconds within which a containerd that is starting must listen
   * @throws Error when the container does not run, or the session is closed
   */
  containerd(timeoutMs: number): Promise<Containerd> {
    return this.#containerd.get(() => Containerd.connect(this.#engine, this.container, timeoutMs));
  }

  /**
   * Lists the node's images and blobs. Retries while containerd is starting: it refuses the first calls.
   *
   * @param timeoutMs milliseconds
   * @throws Error when containerd does not answer in time, the container does not run, or the session is closed
   */
  async inventory(timeoutMs: number): Promise<NodeInventory> {
    const until = performance.now() + timeoutMs;
    let reason: unknown;
    const inventory = await poll(
      async () => {
        const leftMs = Math.max(until - performance.now(), 1_000);
        try {
          const containerd = await this.containerd(leftMs);
          // Longer, so that the reason of a containerd that does not listen in time arrives first.
          return await containerd.inventory(leftMs + 1_000);
        } catch (error) {
          if (!(error instanceof GrpcError)) throw inventoryError(this.name, error);
          reason = error;
          return undefined;
        }
      },
      { intervalMs: 200, timeoutMs },
    );
    if (inventory === undefined) throw inventoryError(this.name, reason);
    return inventory;
  }

  /**
   * Runs a command of scripts/node-commands.sh in the node, after those that were started before.
   *
   * @param timeoutMs milliseconds, from the start of the command; less than a second is taken as a second, because a command
   *   that does not end in time ends the program, which other tasks share
   * @returns the output of the command
   * @throws ShellSessionError when the command fails or does not end in time
   * @throws Error when the container does not run, or the session is closed
   */
  async run(command: readonly string[], timeoutMs: number): Promise<string> {
    const shell = await this.#shell.get(async () => {
      const program = await this.#engine.containers.exec(this.container.id, ["bash", "-c", scripts.node]);
      return new ShellSession(program, this.name);
    });
    return await shell.run(command, Math.max(timeoutMs, 1_000));
  }

  /** Starts to unpack images in the background. @param digests the digests of their manifests or indexes */
  async unpack(digests: readonly string[]): Promise<void> {
    if (digests.length > 0) await this.run(["unpack", ...digests], 10_000);
  }

  /** Closes the session: its programs in the node end, but images that are being unpacked still are. */
  close(): void {
    this.#containerd.close();
    this.#shell.close();
  }
}

/** A connection that is opened on first use, and replaced when it is not usable any more, until it is closed. */
class Connection<T extends { readonly isUsable: boolean; close(): void }> {
  #current: Promise<T> | undefined;
  /** Also those that were replaced: calls on them may still run. */
  readonly #all: Promise<T>[] = [];
  #isClosed = false;

  async get(open: () => Promise<T>): Promise<T> {
    // Without this, a task that retries would leave a program in the node for good.
    if (this.#isClosed) throw new Error("the session is closed");
    const current = this.#current;
    const opened = await current?.catch(() => undefined);
    if (opened?.isUsable) return opened;
    // Meanwhile the session may have been closed, or another caller may have reopened the connection.
    if (this.#isClosed || this.#current !== current) return await this.get(open);
    const reopened = open();
    this.#current = reopened;
    this.#all.push(reopened);
    return await reopened;
  }

  close(): void {
    this.#isClosed = true;
    for (const each of this.#all)
      each.then(
        (opened) => opened.close(),
        () => {},
      );
  }
}

const inventoryError = (node: string, reason: unknown) =>
  new Error(`could not list the images of the node ${node}: ${errorMessage(reason)}`, { cause: reason });
