import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { Duplex } from "node:stream";
import type { MessageType, PartialMessage } from "@protobuf-ts/runtime";
import { errorMessage } from "../../lib/errors.ts";
import { formatTimeout } from "../../lib/units.ts";

/** A method of a gRPC service. */
export interface Method<I extends object, O extends object> {
  /** `package.Service/Method` */
  readonly path: string;
  readonly request: MessageType<I>;
  readonly response: MessageType<O>;
}

/** The settings of a call. */
export interface CallSettings {
  /** Headers in addition to those of the protocol. */
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds within which the call must end. */
  readonly timeoutMs: number;
}

/** gRPC status codes: https://grpc.io/docs/guides/status-codes/ */
export const codes = { unknown: 2, notFound: 5, alreadyExists: 6, outOfRange: 11, unavailable: 14 } as const;

/** A call failed. */
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  /** The gRPC status code. */
  readonly code: number;

  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * A connection to a gRPC server over any duplex stream: Node's HTTP/2 with the frames and trailers of
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. Calls share the stream and run concurrently.
 */
export class GrpcConnection {
  readonly #session: ClientHttp2Session;
  #connectionError: Error | undefined;
  #isUnresponsive = false;

  /** @param stream a stream to a server that speaks HTTP/2 without negotiation */
  constructor(stream: Duplex) {
    this.#session = connect("http://grpc", { createConnection: () => stream });
    this.#session.on("error", (error) => {
      this.#connectionError ??= error;
    });
  }

  /**
   * Makes a unary or streaming call: sends the requests as fast as the server reads them, and collects the responses. A
   * missing field of a request has its default value.
   *
   * @throws GrpcError with the server's status; `unavailable` when the connection is lost or the timeout has passed
   * @throws the error of the iterable of requests
   */
  async call<I extends object, O extends object>(
    method: Method<I, O>,
    requests: Iterable<PartialMessage<I>> | AsyncIterable<PartialMessage<I>>,
    { headers, timeoutMs }: CallSettings,
  ): Promise<O[]> {
    if (this.#session.closed || this.#session.destroyed) throw this.#unavailable();
    const stream = this.#session.request({
      ":method": "POST",
      ":path": `/${method.path}`,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    const timer = setTimeout(() => {
      this.#isUnresponsive = true;
      stream.destroy(new GrpcError(codes.unavailable, `no response within ${formatTimeout(timeoutMs)}`));
    }, timeoutMs);
    timer.unref();
    try {
      const [frames] = await Promise.all([this.#receive(stream), send(stream, method.request, requests)]);
      return frames.map((frame) => method.response.fromBinary(frame));
    } finally {
      clearTimeout(timer);
      stream.close(constants.NGHTTP2_CANCEL);
    }
  }

  /** Whether the connection is open, and no call on it went without a response. */
  get isUsable(): boolean {
    return !this.#isUnresponsive && !this.#session.closed && !this.#session.destroyed;
  }

  /** Closes the connection: calls that run fail. */
  close(): void {
    this.#session.destroy();
  }

  #unavailable(error?: unknown): GrpcError {
    const reason = this.#connectionError ?? error;
    const message = reason === undefined ? "the connection was closed" : errorMessage(reason);
    return new GrpcError(codes.unavailable, message, { cause: reason });
  }

  /** Receives the messages of a response, up to its trailers. */
  #receive(stream: ClientHttp2Stream): Promise<Buffer[]> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let status: Readonly<Record<string, unknown>> = {};
      // The response of a call that is refused at once has the status in its headers.
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
        else if (Number(code) === 0) resolve(parseFrames(Buffer.concat(chunks)));
        else reject(new GrpcError(Number(code), decodeMessage(String(status["grpc-message"] ?? ""))));
      });
    });
  }
}

/** Decodes a status message, which servers percent-encode, but not all of them. */
function decodeMessage(message: string): string {
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
    // A server that has responded reads no more requests.
    if (stream.closed || stream.destroyed || stream.readableEnded) return;
    if (!stream.write(frame(type.toBinary(type.create(request))))) await waitUntilWritable(stream);
  }
  stream.end();
}

/** Waits until the stream can be written to, or has ended. */
const waitUntilWritable = (stream: ClientHttp2Stream): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      for (const event of ["drain", "close", "end"]) stream.off(event, done);
      resolve();
    };
    for (const event of ["drain", "close", "end"]) stream.on(event, done);
  });

/** The size of a message's prefix in bytes: a flag for compression, and the length of the message. */
const prefixSize = 5;

/** Puts the prefix before a message, without compression. */
function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(prefixSize + message.length);
  framed.writeUInt8(0, 0);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, prefixSize);
  return framed;
}

/** Returns the messages of a whole response. */
function parseFrames(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let offset = 0; offset + prefixSize <= bytes.length; ) {
    const start = offset + prefixSize;
    const end = start + bytes.readUInt32BE(offset + 1);
    messages.push(bytes.subarray(start, end));
    offset = end;
  }
  return messages;
}
