import { setTimeout as sleep } from "node:timers/promises";
import { errorMessage } from "../lib/errors.ts";
import type { ExecStream } from "./exec-stream.ts";

/** Ends every answer, with the exit status behind it. Nothing that a program prints here begins a line so. */
const endOfAnswer = "\u0004";

/**
 * Talks with a program in a container that answers lines: each line that it reads is a command, and each answer ends
 * with a line of its own, the control character 4 and an exit status (`printf '\004%d\n' $?`).
 *
 * One `docker exec` costs about 50 ms of a processor, more than most commands in it take: so there is one per container,
 * and the commands go through it, one after another.
 */
export class ShellSession {
  readonly #program: ExecStream;
  readonly #with: string;
  #turn: Promise<unknown> = Promise.resolve();
  #answer: Answer | undefined;
  #line = "";
  #stderr = "";
  #ended: Error | undefined;

  /** @param partner who answers, for errors */
  constructor(program: ExecStream, partner: string) {
    this.#program = program;
    this.#with = partner;
    program.stdout.setEncoding("utf8");
    program.stdout.on("data", (text: string) => this.#read(text));
    program.stderr.setEncoding("utf8");
    program.stderr.on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-longestComplaint);
    });
    program.stdout.once("close", () => this.#end(new Error("the connection ended")));
    program.stdout.once("error", (error) => this.#end(error));
    program.stdin.once("error", (error) => this.#end(error));
  }

  /**
   * Sends a command when those before it are answered, and waits for its answer.
   *
   * @param deadline milliseconds, from when it is sent
   * @param payload what the command reads after its line: it knows itself where that ends. A chunk is done with when the
   *   next is asked for
   * @returns what the program printed
   * @throws ConversationError when the command fails, when nothing comes in time, and when the program is gone
   */
  run(command: readonly string[], deadline: number, payload?: AsyncIterable<Uint8Array>): Promise<string> {
    const asked = this.#turn.then(() => this.#ask(command, deadline, payload));
    this.#turn = asked.catch(() => {});
    return asked;
  }

  close(): void {
    this.#program.close();
  }

  async #ask(
    command: readonly string[],
    deadline: number,
    payload: AsyncIterable<Uint8Array> | undefined,
  ): Promise<string> {
    const answer = new Answer();
    this.#answer = answer;
    this.#stderr = "";
    if (this.#ended !== undefined) answer.fail(this.#ended);
    const late = new AbortController();
    sleep(deadline, undefined, { signal: late.signal, ref: false }).then(
      () => {
        this.#end(new Error(`no answer within ${deadline / 1000} s`));
        this.#program.close();
      },
      () => {},
    );
    try {
      const [{ text, status }] = await Promise.all([answer.result, this.#send(command, payload, answer)]);
      if (status !== 0) throw new Error(this.#stderr.trim() || `exit status ${status}`);
      return text;
    } catch (error) {
      throw new ShellSessionError(`${this.#with}: ${command[0]} failed: ${errorMessage(error)}`, {
        cause: error,
      });
    } finally {
      late.abort();
    }
  }

  async #send(
    command: readonly string[],
    payload: AsyncIterable<Uint8Array> | undefined,
    answer: Answer,
  ): Promise<void> {
    const { stdin } = this.#program;
    if (answer.settled) return;
    stdin.write(`${command.join(" ")}\n`);
    if (payload === undefined) return;
    const answered = answer.result.catch(() => {});
    for await (const chunk of payload) {
      // A command that has failed reads no more.
      if (answer.settled) return;
      const written = new Promise<void>((resolve) => stdin.write(chunk, () => resolve()));
      await Promise.race([written, answered]);
    }
  }

  #read(text: string): void {
    const lines = (this.#line + text).split("\n");
    this.#line = lines.pop() ?? "";
    for (const line of lines) {
      const answer = this.#answer;
      if (!line.startsWith(endOfAnswer)) answer?.lines.push(line);
      // What the program complained about comes through another pipe: it may be a moment late.
      else setImmediate(() => answer?.end(Number(line.slice(1))));
    }
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#answer?.fail(this.#ended);
  }
}

/** A container that does not answer, or answers that something failed. */
export class ShellSessionError extends Error {
  override readonly name = "ConversationError";
}

const longestComplaint = 2_000;

class Answer {
  readonly lines: string[] = [];
  readonly result: Promise<{ text: string; status: number }>;
  settled = false;
  readonly #settle = Promise.withResolvers<{ text: string; status: number }>();

  constructor() {
    this.result = this.#settle.promise;
    this.result.catch(() => {});
  }

  end(status: number): void {
    this.settled = true;
    this.#settle.resolve({ text: this.lines.join("\n"), status });
  }

  fail(error: Error): void {
    this.settled = true;
    this.#settle.reject(error);
  }
}
