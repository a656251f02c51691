import { PassThrough } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ShellSession, ShellSessionError } from "../../src/docker/shell-session.ts";

/** The streams of a program in a container. */
function containerProgram() {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  let closed = false;
  const close = () => {
    closed = true;
    stdin.end();
  };
  return { stdin, stdout, stderr, close, isClosed: () => closed };
}

/** The end of a command's output, as scripts/serve.sh prints it. */
const endWith = (status: number) => `\u0004${status}\n`;

/** A session with a program that answers each line with what `answer` returns for it. */
function openSession(answer: (line: string) => { stdout?: string; stderr?: string; status?: number }) {
  const program = containerProgram();
  const lines: string[] = [];
  let rest = "";
  program.stdin.on("data", (data) => {
    const received = (rest + String(data)).split("\n");
    rest = received.pop() ?? "";
    for (const line of received) {
      lines.push(line);
      const { stdout = "", stderr = "", status = 0 } = answer(line);
      program.stderr.write(stderr);
      program.stdout.write(stdout + endWith(status));
    }
  });
  return { program, lines, session: new ShellSession(program, "kind-worker") };
}

const timeoutMs = 5_000;

const aMoment = () => new Promise((resolve) => setImmediate(resolve));

describe("ShellSession", () => {
  it("runs a command with its words, and returns its output", async () => {
    const { session } = openSession((line) => ({ stdout: `received ${line}\nand no more\n` }));
    expect(await session.run(["tag", "web:1", "web:2"], timeoutMs)).toBe(
      "received tag web:1 web:2\nand no more",
    );
  });

  it("returns nothing for a command without output", async () => {
    const { session } = openSession(() => ({}));
    expect(await session.run(["tag", "a", "b"], timeoutMs)).toBe("");
  });

  it("runs commands one after another, each with its own result", async () => {
    const { session } = openSession((line) => ({ stdout: `${line}!\n`, status: line === "two" ? 3 : 0 }));
    const results = await Promise.allSettled(
      ["one", "two", "three"].map((word) => session.run([word], timeoutMs)),
    );
    expect(results).toEqual([
      { status: "fulfilled", value: "one!" },
      { status: "rejected", reason: expect.any(ShellSessionError) },
      { status: "fulfilled", value: "three!" },
    ]);
  });

  it("sends a command only when the one before it has ended", async () => {
    const program = containerProgram();
    const session = new ShellSession(program, "kind-worker");
    const [first, second] = [session.run(["first"], timeoutMs), session.run(["second"], timeoutMs)];
    await aMoment();
    expect(String(program.stdin.read())).toBe("first\n");
    program.stdout.write(endWith(0));
    await first;
    await aMoment();
    expect(String(program.stdin.read())).toBe("second\n");
    program.stdout.write(endWith(0));
    await second;
  });

  it("reads the output wherever it is split into chunks", async () => {
    const line = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 30 }),
      fc.constantFrom("", "\r", " \u0004", "0\u0004", "\u0000\u0003"),
    );
    const output = fc.array(line, { maxLength: 4 });
    const splits = fc.array(fc.nat(200), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(fc.array(output, { minLength: 1, maxLength: 4 }), splits, async (outputs, at) => {
        const program = containerProgram();
        const session = new ShellSession(program, "kind-worker");
        for (const lines of outputs) {
          const result = session.run(["print"], timeoutMs);
          await aMoment();
          const bytes = Buffer.from(lines.map((text) => `${text}\n`).join("") + endWith(0));
          let from = 0;
          for (const to of [...at.toSorted((a, b) => a - b), bytes.length]) {
            program.stdout.write(bytes.subarray(from, to));
            from = Math.max(from, to);
            await aMoment();
          }
          expect(await result).toBe(lines.join("\n"));
        }
      }),
      { numRuns: 30 },
    );
  });

  it.each(["my image", "a\tb", "a\nunpack", " a", "a\u00a0b", ""])(
    "rejects a word that is empty or contains white space instead of sending other words: %j",
    async (word) => {
      const { session, lines } = openSession(() => ({}));
      const rejected = session.run(["link", word, "sha"], timeoutMs);
      await expect(rejected).rejects.toThrow(ShellSessionError);
      await expect(rejected).rejects.toThrow(
        `kind-worker: link failed: ${JSON.stringify(word)} is empty or contains white space`,
      );
      expect(await session.run(["link", "a", "sha"], timeoutMs)).toBe("");
      expect(lines).toEqual(["link a sha"]);
    },
  );
});

describe("a command that fails", () => {
  it("rejects with the container, the command and its standard error", async () => {
    const { session } = openSession(() => ({ stderr: "ctr: image web:1: not found\n", status: 1 }));
    const result = session.run(["tag", "web:1", "web:2"], timeoutMs);
    await expect(result).rejects.toThrow(ShellSessionError);
    await expect(result).rejects.toThrow("kind-worker: tag failed: ctr: image web:1: not found");
  });

  it("rejects with its exit status if standard error is empty", async () => {
    const { session } = openSession(() => ({ status: 137 }));
    await expect(session.run(["import", "5"], timeoutMs)).rejects.toThrow(
      "kind-worker: import failed: exit status 137",
    );
  });

  it("rejects with standard error that arrives a moment after its end, through the other pipe", async () => {
    const program = containerProgram();
    const result = new ShellSession(program, "kind-worker").run(["ingest"], timeoutMs);
    await aMoment();
    program.stdout.write(endWith(1));
    program.stderr.write("no space left on device\n");
    await expect(result).rejects.toThrow("kind-worker: ingest failed: no space left on device");
  });

  it("rejects with the end of a long standard error", async () => {
    const { session } = openSession(() => ({ stderr: `${"x".repeat(10_000)} disk full\n`, status: 1 }));
    const error = await session.run(["import"], timeoutMs).catch((caught: Error) => caught.message);
    expect(error).toMatch(/ disk full$/);
    expect(error).toHaveLength(`kind-worker: import failed: `.length + 1_999);
  });

  it("does not affect the next command, whose error does not include its standard error", async () => {
    const { session } = openSession((line) =>
      line === "bad" ? { stderr: "that was bad\n", status: 1 } : { status: line === "worse" ? 2 : 0 },
    );
    await expect(session.run(["bad"], timeoutMs)).rejects.toThrow("that was bad");
    expect(await session.run(["good"], timeoutMs)).toBe("");
    await expect(session.run(["worse"], timeoutMs)).rejects.toThrow("worse failed: exit status 2");
  });
});

describe("ShellSession with a program that does not respond", () => {
  it("closes when the timeout of a command has passed, and rejects all other commands", async () => {
    const { program, session } = openSession((line) => ({ stdout: line, status: 0 }));
    program.stdout.write = () => true;
    const result = session.run(["tag", "a", "b"], 100);
    const next = session.run(["inventory"], timeoutMs);
    await expect(result).rejects.toThrow("kind-worker: tag failed: no response within 0.1 s");
    await expect(next).rejects.toThrow("kind-worker: inventory failed: no response within 0.1 s");
    expect(program.isClosed()).toBe(true);
    expect(session.isUsable).toBe(false);
    await expect(session.run(["tag", "a", "b"], timeoutMs)).rejects.toThrow("no response within 0.1 s");
  });

  it("rejects commands when the program has ended", async () => {
    const program = containerProgram();
    const session = new ShellSession(program, "kind-worker");
    const result = session.run(["inventory"], timeoutMs);
    expect(session.isUsable).toBe(true);
    program.stdout.write("half of an ans");
    program.stdout.end();
    await expect(result).rejects.toThrow("kind-worker: inventory failed: the connection was closed");
    expect(session.isUsable).toBe(false);
    await expect(session.run(["inventory"], timeoutMs)).rejects.toThrow("the connection was closed");
  });

  it.each(["stdin", "stdout"] as const)(
    "rejects commands when the connection fails at its %s",
    async (at) => {
      const program = containerProgram();
      const result = new ShellSession(program, "kind-worker").run(["inventory"], timeoutMs);
      program[at].destroy(new Error("read ECONNRESET"));
      await expect(result).rejects.toThrow("kind-worker: inventory failed: read ECONNRESET");
    },
  );

  it("rejects commands when it was closed, those that run too", async () => {
    const program = containerProgram();
    const session = new ShellSession(program, "kind-worker");
    const result = session.run(["inventory"], timeoutMs);
    await aMoment();
    session.close();
    await expect(result).rejects.toThrow("kind-worker: inventory failed: the session was closed");
    await expect(session.run(["tag", "a", "b"], timeoutMs)).rejects.toThrow(
      "kind-worker: tag failed: the session was closed",
    );
    expect(program.isClosed()).toBe(true);
  });
});
