import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerDetails } from "../docker/containers.ts";
import type { Engine } from "../docker/engine.ts";
import { errorMessage } from "../lib/errors.ts";
import { Containerd, type NodeInventory } from "./containerd/client.ts";
import { GrpcError } from "./containerd/grpc.ts";

/** A node that has said what it has. */
export interface NodeSession {
  readonly name: string;
  readonly container: ContainerDetails;
  readonly containerd: Containerd;
  readonly inventory: NodeInventory;
}

/**
 * Opens a conversation with a node and asks what it has.
 *
 * @param deadline milliseconds in which its containerd has to be up
 */
export async function connectNode(
  engine: Engine,
  { name, container }: { name: string; container: ContainerDetails },
  deadline: number,
): Promise<NodeSession> {
  const until = performance.now() + deadline;
  for (;;) {
    let containerd: Containerd | undefined;
    try {
      const left = Math.max(until - performance.now(), 1_000);
      containerd = await Containerd.connect(engine, container, left);
      const inventory = await containerd.inventory(left);
      return { name, container, containerd, inventory };
    } catch (error) {
      containerd?.close();
      // A containerd that is just starting refuses the first question.
      if (!(error instanceof GrpcError) || performance.now() + pause > until)
        throw new Error(`it cannot be asked what it has: ${errorMessage(error)}`, { cause: error });
      await sleep(pause);
    }
  }
}

const pause = 200;
