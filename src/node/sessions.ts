import type { Engine } from "../docker/engine.ts";
import { type ClusterNode, waitForNodeContainers } from "./nodes.ts";
import { NodeSession } from "./session.ts";

/** A node, and the session with it. */
export interface ConnectedNode extends ClusterNode {
  readonly session: NodeSession;
}

/** The sessions with the nodes of a cluster: one for each node, shared by all tasks. */
export class NodeSessions {
  readonly #engine: Engine;
  readonly #cluster: string;
  readonly #sessions = new Map<string, NodeSession>();
  #isClosed = false;

  constructor(engine: Engine, cluster: string) {
    this.#engine = engine;
    this.#cluster = cluster;
  }

  /**
   * Waits until the containers of nodes run; the programs in them may still be starting.
   *
   * @param timeoutMs milliseconds
   * @returns all nodes of the cluster whose containers run
   * @throws Error naming the nodes whose containers do not run in time
   */
  async waitFor(names: readonly string[], timeoutMs: number): Promise<ConnectedNode[]> {
    const nodes = await waitForNodeContainers(this.#engine, this.#cluster, names, timeoutMs);
    return nodes.map((node) => ({ ...node, session: this.of(node) }));
  }

  /** Returns the session with a node. A node that was recreated under the same name has a new one. */
  of(node: ClusterNode): NodeSession {
    const { id } = node.container;
    const session = this.#sessions.get(id) ?? new NodeSession(this.#engine, node);
    if (this.#isClosed) session.close();
    this.#sessions.set(id, session);
    return session;
  }

  /** Closes all sessions, and those that a task still opens afterwards. */
  close(): void {
    this.#isClosed = true;
    for (const session of this.#sessions.values()) session.close();
  }
}
