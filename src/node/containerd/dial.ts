import { Duplex } from "node:stream";
import type { Engine } from "../../docker/engine.ts";
import type { ExecStream } from "../../docker/exec-stream.ts";
import { scripts } from "../scripts.ts";

/** The path of containerd's socket in a node. */
const socket = "/run/containerd/containerd.sock";

/** A connection to the containerd of a node. */
export interface ContainerdStream {
  readonly stream: Duplex;
  /** The standard error of the program in the node, such as the reason why the connection failed. */
  stderr(): string;
  close(): void;
}

/**
 * Starts to connect to the containerd of a node: the stream carries data once containerd listens.
 *
 * @param timeoutMs milliseconds after which the stream ends if containerd does not listen
 * @throws Error when the container does not run
 */
export async function dialContainerd(
  engine: Engine,
  containerId: string,
  timeoutMs: number,
): Promise<ContainerdStream> {
  const seconds = String(Math.ceil(timeoutMs / 1000));
  const program = await engine.containers.exec(containerId, [
    "perl",
    "-e",
    scripts.dialContainerd,
    socket,
    seconds,
  ]);
  let stderr = "";
  program.stderr.setEncoding("utf8");
  program.stderr.on("data", (text: string) => {
    stderr = (stderr + text).slice(-maxStderr);
  });
  return { stream: toDuplex(program), stderr: () => stderr.trim(), close: () => program.close() };
}

/** Characters of standard error that an error message quotes at most. */
const maxStderr = 2_000;

const toDuplex = ({ stdin, stdout }: ExecStream): Duplex =>
  Duplex.from({ readable: stdout, writable: stdin });
