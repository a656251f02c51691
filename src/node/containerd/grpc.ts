import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { Duplex } from "node:stream";
import type { MessageType, PartialMessage } from "@protobuf-ts/runtime";
import { errorMessage } from "../../lib/errors.ts";

/** What can be called: its path, `package.Service/Method`, and the messages of both directions. */
export interface Method<I extends object, O extends object> {
  readonly path: string;
  readonly request: MessageType<I>;
  readonly response: MessageType<O>;
}

/** How a call is made. */
export interface CallSettings {
  /** Beside the protocol's own. */
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds from the call to its end. */
  readonly deadline: number;
}

/** What a server answers where it does not do what it is asked: https://grpc.io/docs/guides/status-codes/ */
export const codes = { unknown: 2, notFound: 5, alreadyExists: 6, outOfRange: 11, unavailable: 14 } as const;

/** A call that did not end well. */
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  /** One of gRPC's codes. */
  readonly code: number;

  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * Calls a gRPC server over any two-way stream: node's HTTP/2 with the frames and trailers of
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. Calls share the stream, and do not wait for each other.
 */
export class GrpcConnection {
  readonly #session: ClientHttp2Session;
  #lost: Error | undefined;

  /** @param stream the server's end of it speaks HTTP/2 from the first byte */
  constructor(stream: Duplex) {
    this.#session = connect("http://grpc", { createConnection: () => stream });
    this.#session.on("error", (error) => {
      this.#lost ??= error;
    });
  }

  /**
   * Makes a call of any kind: sends the requests as fast as they are taken, and collects the responses. A field that a
   * request does not have has its default.
   *
   * @throws GrpcError when the server says so, when it is not there any more (`unavailable`), and when the deadline passes
   */
  async call<I extends object, O extends object>(
    method: Method<I, O>,
    requests: Iterable<PartialMessage<I>> | AsyncIterable<PartialMessage<I>>,
    { headers, deadline }: CallSettings,
  ): Promise<O[]> {
    if (this.#session.closed || this.#session.destroyed) throw this.#unavailable();
    const stream = this.#session.request({
      ":method": "POST",
      ":path": `/${method.path}`,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    const late = setTimeout(() => {
      stream.destroy(new GrpcError(codes.unavailable, `no answer within ${deadline / 1000} s`));
    }, deadline);
    late.unref();
    try {
      const [frames] = await Promise.all([this.#received(stream), send(stream, method.request, requests)]);
      return frames.map((frame) => method.response.fromBinary(frame));
    } finally {
      clearTimeout(late);
      stream.close(constants.NGHTTP2_CANCEL);
    }
  }

  /** Ends the connection and every call. */
  close(): void {
    this.#session.destroy();
  }

  #unavailable(error?: unknown): GrpcError {
    const reason = this.#lost ?? error;
    const message = reason === undefined ? "the connection ended" : errorMessage(reason);
    return new GrpcError(codes.unavailable, message, { cause: reason });
  }

  /** The messages of an answer, when its trailers say that it is whole. */
  #received(stream: ClientHttp2Stream): Promise<Buffer[]> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let status: Readonly<Record<string, unknown>> = {};
      // A server that refuses at once says so in its headers.
      stream.on("response", (headers) => {
        status = headers;
      });
      stream.on("trailers", (trailers) => {
        status = trailers;
      });
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("error", (error) => reject(error instanceof GrpcError ? error : this.#unavailable(error)));
      stream.on("close", () => {
        const code = status["grpc-status"];
        if (code === undefined) reject(this.#unavailable());
        else if (Number(code) === 0) resolve(framesOf(Buffer.concat(chunks)));
        else reject(new GrpcError(Number(code), decoded(String(status["grpc-message"] ?? ""))));
      });
    });
  }
}

/** A server's words, which it should have encoded. */
function decoded(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}

async function send<I extends object>(
  stream: ClientHttp2Stream,
  type: MessageType<I>,
  requests: Iterable<PartialMessage<I>> | AsyncIterable<PartialMessage<I>>,
): Promise<void> {
  for await (const request of requests) {
    // Who has answered already reads no more.
    if (stream.closed || stream.destroyed || stream.readableEnded) return;
    if (!stream.write(frame(type.toBinary(type.create(request))))) await writable(stream);
  }
  stream.end();
}

/** Ends when more can be written, and when nothing more ever can. */
const writable = (stream: ClientHttp2Stream): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      for (const event of ["drain", "close", "end"]) stream.off(event, done);
      resolve();
    };
    for (const event of ["drain", "close", "end"]) stream.on(event, done);
  });

const prefix = 5;

/** A message behind its prefix: that it is not compressed, and its length. */
function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(prefix + message.length);
  framed.writeUInt8(0, 0);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, prefix);
  return framed;
}

/** The messages of a stream that has ended. */
function framesOf(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at + prefix <= bytes.length; ) {
    const end = at + prefix + bytes.readUInt32BE(at + 1);
    frames.push(bytes.subarray(at + prefix, end));
    at = end;
  }
  return frames;
}
