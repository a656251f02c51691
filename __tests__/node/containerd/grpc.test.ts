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
const settings = { headers: { "x-lease": "l1" }, deadline: 5_000 };

/** A connection to a server that does as it is told with every call. */
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

describe("a call", () => {
  it("sends its messages, and gets the server's", async () => {
    const { connection } = await connected(async (stream) => endCall(stream, 0, "", await buffer(stream)));
    const sent = [{ text: "a" }, { text: "" }, { text: "ü".repeat(100) }];
    expect(await connection.call(echo, sent, settings)).toEqual(sent);
  });

  it("may be long, and beside others", async () => {
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

  it("fails with the server's code and words", async () => {
    const { connection } = await connected((stream) => endCall(stream, 6, "it's 100% there"));
    const failed = connection.call(echo, [{ text: "a" }], settings);
    await expect(failed).rejects.toThrow(new GrpcError(codes.alreadyExists, "it's 100% there"));
    await expect(failed).rejects.toMatchObject({ code: codes.alreadyExists });
  });

  it("fails when it is refused before it is read, and sends no more", async () => {
    const { connection } = await connected((stream) => {
      stream.respond(
        { ":status": 200, "content-type": "application/grpc", "grpc-status": "6", "grpc-message": "there" },
        { endStream: true },
      );
    });
    let asked = 0;
    async function* endless() {
      for (;;) {
        asked++;
        yield { text: "x".repeat(100_000) };
      }
    }
    await expect(connection.call(echo, endless(), settings)).rejects.toThrow("there");
    const before = asked;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(asked).toBe(before);
  });

  it("fails when its answer is cut off", async () => {
    const { connection } = await connected((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.write(Buffer.from([0, 0, 0, 0, 9]));
      stream.close();
    });
    await expect(connection.call(echo, [{ text: "a" }], settings)).rejects.toMatchObject({
      code: codes.unavailable,
      message: "the connection ended",
    });
  });

  it("fails when the connection does, and so does every call after it", async () => {
    const { connection, socket } = await connected(() => socket.destroy());
    for (let call = 0; call < 2; call++)
      await expect(connection.call(echo, [{ text: "a" }], settings)).rejects.toMatchObject({
        code: codes.unavailable,
      });
  });

  it("fails when the server speaks something else", async () => {
    const server = createTcpServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    const connection = new GrpcConnection(connect(await listen(server), "127.0.0.1"));
    await expect(connection.call(echo, [{ text: "a" }], settings)).rejects.toMatchObject({
      code: codes.unavailable,
    });
  });

  it("fails with words that are not encoded as they should be", async () => {
    const { connection } = await connected((stream) => {
      const trailers = { "grpc-status": "2", "grpc-message": "100% full" };
      stream.respond(
        { ":status": 200, "content-type": "application/grpc", ...trailers },
        { endStream: true },
      );
    });
    await expect(connection.call(echo, [{ text: "a" }], settings)).rejects.toThrow("100% full");
  });

  it("fails when its time is over, and the next is made as if nothing had been", async () => {
    let calls = 0;
    const { connection } = await connected(async (stream) => {
      if (++calls > 1) endCall(stream, 0, "", await buffer(stream));
    });
    await expect(connection.call(echo, [{ text: "a" }], { ...settings, deadline: 50 })).rejects.toThrow(
      "no answer within 0.05 s",
    );
    expect(await connection.call(echo, [{ text: "b" }], settings)).toEqual([{ text: "b" }]);
  });

  it("fails with the reason why its messages cannot be had", async () => {
    const { connection } = await connected(() => {});
    // biome-ignore lint/correctness/useYield: It fails before its first piece.
    async function* none(): AsyncGenerator<{ text: string }> {
      throw new Error("EIO: i/o error, read");
    }
    await expect(connection.call(echo, none(), settings)).rejects.toThrow("EIO: i/o error, read");
  });
});
