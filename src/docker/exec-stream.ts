import { PassThrough, type Readable } from "node:stream";
import type Docker from "dockerode";

/** The streams of a program that runs in a container. */
export interface ExecStream {
  readonly stdin: NodeJS.WritableStream;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Closes the connection: the program finds the end of its standard input. */
  close(): void;
}

/** Returns the streams of a program, from a hijacked connection to a container without a terminal. */
export function toExecStream(docker: Docker, stream: NodeJS.ReadWriteStream): ExecStream {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  docker.modem.demuxStream(stream, stdout, stderr);
  const end = () => {
    stdout.end();
    stderr.end();
  };
  stream
    .once("end", end)
    .once("error", (error) => {
      stdout.destroy(error);
      stderr.end();
    })
    .once("close", end);
  return { stdin: stream, stdout, stderr, close: () => stream.end() };
}
