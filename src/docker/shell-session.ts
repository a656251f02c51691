import { errorMessage } from "../lib/errors.ts";
import { withTimeout } from "../lib/poll.ts";
import { formatTimeout } from "../lib/units.ts";
import type { ExecStream } from "./exec-stream.ts";

/** The start of the line that ends a command's output; the exit status follows it. No command prints such a line. */
const endOfOutput = "\u0004";

/** Characters of standard error that an error message quotes at most. */
const maxStderr = 2_000;

/**
 * Runs commands in a container through one program there, which reads one command per line, and ends the output of each with
 * a line of the control character 4 and the exit status (src/node/scripts/serve.sh).
 *
 * A `docker exec` costs about 50 ms of CPU time, more than most commands: so there is one session per container, and its
 * commands run one after another.
 */
export class ShellSession {
  readonly #program: ExecStream;
  readonly #container: string;
  #queue: Promise<unknown> = Promise.resolve();
  #output: CommandOutput | undefined;
  #partialLine = "";
  #stderr = "";
  #endReason: Error | undefined;

  /** @param container the name of the container, for errors */
  constructor(program: ExecStream, container: string) {
    this.#program = program;
    this.#container = container;
    program.stdout.setEncoding("utf8");
    program.stdout.on("data", (text: string) => this.#read(text));
    program.stderr.setEncoding("utf8");
    program.stderr.on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-maxStderr);
    });
    program.stdout.once("close", () => this.#end(new Error("the connection was closed")));
    program.stdout.once("error", (error) => this.#end(error));
    program.stdin.once("error", (error) => this.#end(error));
  }

  /**
   * Runs a command after those that were started before.
   *
   * @param command the words of the command, without white space in them: the program splits the line there
   * @param timeoutMs milliseconds, from the start of the command
   * @returns the output of the command, without its last line feed
   * @throws ShellSessionError when a word is empty or has white space, when the command fails or does not end in time, and
   *   when the session has ended
   */
  run(command: readonly string[], timeoutMs: number): Promise<string> {
    const result = this.#queue.then(() => this.#run(command, timeoutMs));
    this.#queue = result.catch(() => {});
    return result;
  }

  /** Whether further commands can be run: the session has not ended. */
  get isUsable(): boolean {
    return this.#endReason === undefined;
  }

  close(): void {
    this.#end(new Error("the session was closed"));
    this.#program.close();
  }

  async #run(command: readonly string[], timeoutMs: number): Promise<string> {
    try {
      if (this.#endReason !== undefined) throw this.#endReason;
      const invalid = command.find((word) => !/^\S+$/.test(word));
      if (invalid !== undefined)
        throw new Error(`${JSON.stringify(invalid)} is empty or contains white space`);
      const output = new CommandOutput();
      this.#output = output;
      this.#stderr = "";
      this.#program.stdin.write(`${command.join(" ")}\n`);
      const result = await withTimeout(output.result, timeoutMs);
      if (result === "timeout") {
        const error = new Error(`no response within ${formatTimeout(timeoutMs)}`);
        this.#end(error);
        this.#program.close();
        throw error;
      }
      if (result.status !== 0) throw new Error(this.#stderr.trim() || `exit status ${result.status}`);
      return result.text;
    } catch (error) {
      throw new ShellSessionError(`${this.#container}: ${command[0]} failed: ${errorMessage(error)}`, {
        cause: error,
      });
    }
  }

  #read(text: string): void {
    const lines = (this.#partialLine + text).split("\n");
    this.#partialLine = lines.pop() ?? "";
    for (const line of lines) {
      const output = this.#output;
      if (!line.startsWith(endOfOutput)) output?.lines.push(line);
      // Standard error comes through another pipe and may arrive a moment later.
      else setImmediate(() => output?.end(Number(line.slice(endOfOutput.length))));
    }
  }

  #end(reason: Error): void {
    this.#endReason ??= reason;
    this.#output?.fail(this.#endReason);
  }
}

/** A command of a session failed, or the session has ended. */
export class ShellSessionError extends Error {
  override readonly name = "ShellSessionError";
}

/** The output of a command that runs. */
class CommandOutput {
  readonly lines: string[] = [];
  readonly result: Promise<{ text: string; status: number }>;
  readonly #settle = Promise.withResolvers<{ text: string; status: number }>();

  constructor() {
    this.result = this.#settle.promise;
    this.result.catch(() => {});
  }

  end(status: number): void {
    this.#settle.resolve({ text: this.lines.join("\n"), status });
  }

  fail(error: Error): void {
    this.#settle.reject(error);
  }
}
