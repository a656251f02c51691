import { once } from "node:events";
import { PassThrough, Readable } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ShellSession, ShellSessionError } from "../../src/docker/shell-session.ts";

/** The streams of a program in a container. @param pipe bytes that wait for the program to read them */
function containerProgram(pipe = 64 * 1024) {
  const stdin = new PassThrough({ highWaterMark: pipe });
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  let closed = false;
  const close = () => {
    closed = true;
    stdin.end();
  };
  return { stdin, stdout, stderr, close, isClosed: () => closed };
}

/** Ends an answer, as the programs that this action runs do. */
const endWith = (status: number) => `\u0004${status}\n`;

/** A conversation with a program that answers each line with what `answer` gives for it. */
function talkTo(answer: (line: string) => { says?: string; complains?: string; status?: number }) {
  const program = containerProgram();
  let rest = "";
  program.stdin.on("data", (data) => {
    const lines = (rest + String(data)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const { says = "", complains = "", status = 0 } = answer(line);
      program.stderr.write(complains);
      program.stdout.write(says + endWith(status));
    }
  });
  return { program, conversation: new ShellSession(program, "kind-worker") };
}

const soon = 5_000;

const aMoment = () => new Promise((resolve) => setImmediate(resolve));

describe("a program that answers lines", () => {
  it("is told a command and its words, and answers with what it prints", async () => {
    const { conversation } = talkTo((line) => ({ says: `you said ${line}\nand no more\n` }));
    expect(await conversation.run(["tag", "web:1", "web:2"], soon)).toBe(
      "you said tag web:1 web:2\nand no more",
    );
  });

  it("may have nothing to say", async () => {
    const { conversation } = talkTo(() => ({}));
    expect(await conversation.run(["tag", "a", "b"], soon)).toBe("");
  });

  it("may be asked several things at once, and answers each in its turn", async () => {
    const { conversation } = talkTo((line) => ({ says: `${line}!\n`, status: line === "two" ? 3 : 0 }));
    const answers = await Promise.allSettled(
      ["one", "two", "three"].map((word) => conversation.run([word], soon)),
    );
    expect(answers).toEqual([
      { status: "fulfilled", value: "one!" },
      { status: "rejected", reason: expect.any(ShellSessionError) },
      { status: "fulfilled", value: "three!" },
    ]);
  });

  it("is understood wherever its answers are cut", async () => {
    const line = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 30 }),
      fc.constantFrom("", "\r", " \u0004", "0\u0004", "\u0000\u0003"),
    );
    const answer = fc.array(line, { maxLength: 4 });
    const cuts = fc.array(fc.nat(200), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(fc.array(answer, { minLength: 1, maxLength: 4 }), cuts, async (answers, at) => {
        const program = containerProgram();
        const conversation = new ShellSession(program, "kind-worker");
        for (const lines of answers) {
          const asked = conversation.run(["say"], soon);
          await aMoment();
          const bytes = Buffer.from(lines.map((text) => `${text}\n`).join("") + endWith(0));
          let from = 0;
          for (const to of [...at.toSorted((a, b) => a - b), bytes.length]) {
            program.stdout.write(bytes.subarray(from, to));
            from = Math.max(from, to);
            await aMoment();
          }
          expect(await asked).toBe(lines.join("\n"));
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe("a command that fails", () => {
  it("fails with who it was, which command, and what was complained about", async () => {
    const { conversation } = talkTo(() => ({ complains: "ctr: image web:1: not found\n", status: 1 }));
    const asked = conversation.run(["tag", "web:1", "web:2"], soon);
    await expect(asked).rejects.toThrow(ShellSessionError);
    await expect(asked).rejects.toThrow("kind-worker: tag failed: ctr: image web:1: not found");
  });

  it("fails with its status where nothing was complained about", async () => {
    const { conversation } = talkTo(() => ({ status: 137 }));
    await expect(conversation.run(["import", "5"], soon)).rejects.toThrow(
      "kind-worker: import failed: exit status 137",
    );
  });

  it("tells a complaint that comes a moment after its end, through the other pipe", async () => {
    const program = containerProgram();
    const asked = new ShellSession(program, "kind-worker").run(["ingest"], soon);
    await aMoment();
    program.stdout.write(endWith(1));
    program.stderr.write("no space left on device\n");
    await expect(asked).rejects.toThrow("kind-worker: ingest failed: no space left on device");
  });

  it("tells the end of a long complaint", async () => {
    const { conversation } = talkTo(() => ({ complains: `${"x".repeat(10_000)} disk full\n`, status: 1 }));
    const error = await conversation.run(["import"], soon).catch((caught: Error) => caught.message);
    expect(error).toMatch(/ disk full$/);
    expect(error).toHaveLength(`kind-worker: import failed: `.length + 1_999);
  });

  it("does not keep the next from succeeding, and what it complained about is not told of the next", async () => {
    const { conversation } = talkTo((line) =>
      line === "bad" ? { complains: "that was bad\n", status: 1 } : { status: line === "worse" ? 2 : 0 },
    );
    await expect(conversation.run(["bad"], soon)).rejects.toThrow("that was bad");
    expect(await conversation.run(["good"], soon)).toBe("");
    await expect(conversation.run(["worse"], soon)).rejects.toThrow("worse failed: exit status 2");
  });
});

describe("a program that does not answer", () => {
  it("is given up on when its time is over, with everything else it was asked", async () => {
    const { program, conversation } = talkTo((line) => ({ says: line, status: 0 }));
    program.stdout.write = () => true;
    const asked = conversation.run(["tag", "a", "b"], 20);
    const others = conversation.run(["inventory"], soon);
    await expect(asked).rejects.toThrow("kind-worker: tag failed: no answer within 0.02 s");
    await expect(others).rejects.toThrow("kind-worker: inventory failed: no answer within 0.02 s");
    expect(program.isClosed()).toBe(true);
    await expect(conversation.run(["tag", "a", "b"], soon)).rejects.toThrow("no answer within 0.02 s");
  });

  it("is not waited for when it has ended", async () => {
    const program = containerProgram();
    const conversation = new ShellSession(program, "kind-worker");
    const asked = conversation.run(["inventory"], soon);
    program.stdout.write("half of an ans");
    program.stdout.end();
    await expect(asked).rejects.toThrow("kind-worker: inventory failed: the connection ended");
    await expect(conversation.run(["inventory"], soon)).rejects.toThrow("the connection ended");
  });

  it.each(["stdin", "stdout"] as const)(
    "is not waited for when the connection breaks at its %s",
    async (at) => {
      const program = containerProgram();
      const asked = new ShellSession(program, "kind-worker").run(["inventory"], soon);
      program[at].destroy(new Error("read ECONNRESET"));
      await expect(asked).rejects.toThrow("kind-worker: inventory failed: read ECONNRESET");
    },
  );

  it("is not asked anything more when the conversation is closed", async () => {
    const { conversation } = talkTo(() => ({}));
    conversation.close();
    await expect(conversation.run(["tag", "a", "b"], soon)).rejects.toThrow("kind-worker: tag failed: ");
  });
});

describe("what a command reads", () => {
  it("follows its line, to the byte", async () => {
    const program = containerProgram();
    const bytes = [Buffer.from([0, 4, 10, 255]), Buffer.alloc(100_000, "\u0004\n"), Buffer.from("end")];
    const wanted = Buffer.concat([Buffer.from("import 100007\n"), ...bytes]);
    let heard = Buffer.alloc(0);
    program.stdin.on("data", (data: Buffer) => {
      heard = Buffer.concat([heard, data]);
      if (heard.length === wanted.length) program.stdout.write(endWith(0));
    });
    const conversation = new ShellSession(program, "kind-worker");
    await conversation.run(["import", "100007"], soon, Readable.from(bytes));
    conversation.close();
    expect(heard.equals(wanted)).toBe(true);
  });

  /** Endless bytes, a kilobyte at a time, that count how often they were asked for. */
  function endless() {
    const taken = { chunks: 0, ended: false };
    async function* bytes() {
      try {
        for (;;) {
          taken.chunks++;
          // As with a file, the next bytes are never there at once.
          await new Promise((resolve) => setImmediate(resolve));
          yield Buffer.alloc(1024);
        }
      } finally {
        taken.ended = true;
      }
    }
    return { taken, bytes: bytes() };
  }

  it("is read no faster than the program takes it", async () => {
    const program = containerProgram(4 * 1024);
    const { taken, bytes } = endless();
    const asked = new ShellSession(program, "kind-worker").run(["import", "1"], soon, bytes);
    for (let turn = 0; turn < 100; turn++) await aMoment();
    const before = taken.chunks;
    for (let turn = 0; turn < 50; turn++) await aMoment();
    // A pipe's worth on either side, and then it stands still.
    expect(taken.chunks).toBe(before);
    expect(before).toBeLessThan(20);
    program.stdin.resume();
    await expect.poll(() => taken.chunks).toBeGreaterThan(before + 100);
    program.stdout.write(endWith(0));
    await asked;
  });

  it("is not read any more when the command has failed", async () => {
    const program = containerProgram();
    const { taken, bytes } = endless();
    const asked = new ShellSession(program, "kind-worker").run(["import", "1"], soon, bytes);
    await once(program.stdin, "readable");
    program.stderr.write("ctr: no such image format\n");
    program.stdout.write(endWith(1));
    await expect(asked).rejects.toThrow("kind-worker: import failed: ctr: no such image format");
    // Whatever the bytes come from is let go of, though the program never took them.
    await expect.poll(() => taken.ended).toBe(true);
  });

  it("may fail itself", async () => {
    const { conversation } = talkTo(() => ({}));
    const broken = (async function* () {
      yield Buffer.from("half");
      throw new Error("web.tar became shorter while it was loaded.");
    })();
    await expect(conversation.run(["import", "8"], soon, broken)).rejects.toThrow(
      "kind-worker: import failed: web.tar became shorter while it was loaded.",
    );
  });

  it("leaves nothing behind on the connection, however often it had to wait", async () => {
    const program = containerProgram(1);
    const { taken, bytes } = endless();
    const asked = new ShellSession(program, "kind-worker").run(["import", "1"], soon, bytes);
    program.stdin.resume();
    await expect.poll(() => taken.chunks).toBeGreaterThan(50);
    expect(program.stdin.listenerCount("close")).toBeLessThan(5);
    program.stdout.write(endWith(0));
    await asked;
  });
});
