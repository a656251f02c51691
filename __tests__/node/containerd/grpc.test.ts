import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { connect, createServer as createTcpServer } from "node:net";
import { buffer } from "node:stream/consumers";
import { MessageType, ScalarType } from "@protobuf-ts/runtime";
import { describe, expect, it, onTestFinished } from "vitest";
import { codes, GrpcConnection, GrpcError, type Method } from "../../../src/node/containerd/grpc.ts";
import { endCall } from "../../fixtures/grpc-server.ts";
import { listen } from "../../fixtures/web-server.ts";

const Text = new MessageType<{ text: string }>("Text", [
  { no: 1, name: "text", kind: "scalar", T: ScalarType.STRING },
]);
const echo: Method<{ text: string }, { text: string }> = {
  path: "test.Echo/Say",
  request: Text,
  response: Text,
};
const settings = { headers: { "x-lease": "l1" }, timeoutMs: 5_000 };

/** A connection to a server that handles every call with a function. */
async function connected(answer: (stream: ServerHttp2Stream, server: Http2Server) => void) {
  const server = createServer().on("stream", (stream, headers) => {
    stream.on("error", () => {});
    expect(headers).toMatchObject({
      ":path": "/test.Echo/Say",
      "content-type": "application/grpc",
      te: "trailers",
      "x-lease": "l1",
    });
    answer(stream, server);
  });
  const port = await listen(server);
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  const connection = new GrpcConnection(socket);
  onTestFinished(() => connection.close());
  return { connection, socket };
}

async function* texts(count: number, length: number) {
  for (let index = 0; index < count; index++) yield { text: String(index).padEnd(length, ".") };
}

describe("GrpcConnection.call", () => {
  it("sends messages, and returns those of the server", async () => {
    const { connection } = await connected(async (stream) => endCall(stream, 0, "", await buffer(stream)));
    const sent = [{ text: "a" }, { text: "" }, { text: "ü".repeat(100) }];
    expect(await connection.call(echo, sent, settings)).toEqual(sent);
  });

  it("transfers long streams of concurrent calls", async () => {
    const { connection } = await connected(async (stream) => endCall(stream, 0, "", await buffer(stream)));
    const answers = await Promise.all([
      connection.call(echo, texts(40, 100_000), settings),
      connection.call(echo, texts(3, 10), settings),
    ]);
    expect(answers.map((each) => each.length)).toEqual([40, 3]);
    expect(
      answers[0]?.every(({ text }, index) => text.startsWith(`${index}.`) && text.length === 100_000),
    ).toBe(true);
  });

  it("rejects with the server's status and message", async () => {
    const { connection } = await connected((stream) => endCall(stream, 6, "it's 100% there"));
    const failed = connection.call(echo, [{ text: "a" }], settings);
    await expect(failed).rejects.toThrow(new GrpcError(codes.alreadyExists, "it's 100% there"));
    await expect(failed).rejects.toMatchObject({ code: codes.alreadyExists });
  });

  it("rejects when the server refuses the call at once, and sends no further messages", async () => {
    const { connection } = await connected((stream) => {
      stream.respond(
        { ":status": 200, "content-type": "application/grpc", "grpc-status": "6", "grpc-message": "there" },
        { endStream: true },
      );
    });
    let requested = 0;
    async function* endless() {
      for (;;) {
        requested++;
        yield { text: "x".repeat(100_000) };
      }
    }
    await expect(connection.call(echo, endless(), settings)).rejects.toThrow("there");
    const before = requested;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(requested).toBe(before);
  });

  it("rejects when the response is cut off", async () => {
    const { connection } = await connected((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.write(Buffer.from([0, 0, 0, 0, 9]));
      stream.close();
    });
    await expect(connection.call(echo, [{ text: "a" }], settings)).rejects.toMatchObject({
      code: codes.unavailable,
      message: "the connection was closed",
    });
  });

  it("rejects when the connection is lost, as do all later calls", async () => {
    const { connection, socket } = await connected(() => socket.destroy());
    for (let call = 0; call < 2; call++)
      await expect(connection.call(echo, [{ text: "a" }], settings)).rejects.toMatchObject({
        code: codes.unavailable,
      });
  });

  it("rejects when the server does not speak HTTP/2", async () => {
    const server = createTcpServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    const connection = new GrpcConnection(connect(await listen(server), "127.0.0.1"));
    await expect(connection.call(echo, [{ text: "a" }], settings)).rejects.toMatchObject({
      code: codes.unavailable,
    });
  });

  it("rejects with a message that is not percent-encoded", async () => {
    const { connection } = await connected((stream) => {
      const trailers = { "grpc-status": "2", "grpc-message": "100% full" };
      stream.respond(
        { ":status": 200, "content-type": "application/grpc", ...trailers },
        { endStream: true },
      );
    });
    await expect(connection.call(echo, [{ text: "a" }], settings)).rejects.toThrow("100% full");
  });

  it("rejects when the timeout has passed, and keeps the connection", async () => {
    let calls = 0;
    const { connection } = await connected(async (stream) => {
      if (++calls > 1) endCall(stream, 0, "", await buffer(stream));
    });
    await expect(connection.call(echo, [{ text: "a" }], { ...settings, timeoutMs: 100 })).rejects.toThrow(
      "no response within 0.1 s",
    );
    expect(await connection.call(echo, [{ text: "b" }], settings)).toEqual([{ text: "b" }]);
  });

  it("rejects with the error of the messages to send", async () => {
    const { connection } = await connected(() => {});
    // biome-ignore lint/correctness/useYield: It fails before its first piece.
    async function* none(): AsyncGenerator<{ text: string }> {
      throw new Error("EIO: i/o error, read");
    }
    await expect(connection.call(echo, none(), settings)).rejects.toThrow("EIO: i/o error, read");
  });
});
