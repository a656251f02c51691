import { escapeWorkflowCommands, type Log, type Printer } from "./log.ts";
import { formatSeconds } from "./units.ts";

/** A task of a {@link TaskGraph}. */
export interface Task<T> {
  readonly name: string;
  /** Rejects with the error of the task, or of the first dependency that failed. */
  readonly result: Promise<T>;
  /** The result; undefined until the task has succeeded. */
  readonly value: T | undefined;
}

/** The timing of a task, in seconds. `start` counts from the creation of the graph. */
export interface TaskTiming {
  readonly name: string;
  readonly start: number;
  readonly seconds: number;
  readonly outcome: "done" | "failed";
}

/** The results of the dependencies of a task, in order. */
type Results<D extends readonly Task<unknown>[]> = {
  [K in keyof D]: D[K] extends Task<infer T> ? T : never;
};

export interface TaskGraph {
  /** Adds a task that starts as soon as all tasks of `after` have succeeded; immediately if there are none. */
  add<T, const D extends readonly Task<unknown>[]>(
    name: string,
    after: D,
    work: (log: Log, ...results: Results<D>) => Promise<T>,
  ): Task<T>;
  /** Waits for all tasks. Rejects as soon as one fails; the caller has to stop tasks that still run. */
  waitForAll(): Promise<void>;
  /** Returns the timings of the tasks that have ended, sorted by start. */
  timings(): TaskTiming[];
}

/**
 * Creates a graph that runs named tasks concurrently, as far as their dependencies allow, and prints each as a log group.
 *
 * Log groups of the runner cannot interleave: the oldest unfinished task prints immediately, the output of the others is
 * buffered until their turn.
 *
 * @param now monotonic clock, in milliseconds
 */
export function createTaskGraph(printer: Printer, now: () => number = () => performance.now()): TaskGraph {
  const graphStartMs = now();
  const secondsBetween = (fromMs: number, toMs: number) => Math.round(toMs - fromMs) / 1000;
  const groups = new GroupQueue(printer);
  const timings: TaskTiming[] = [];
  const results: Promise<unknown>[] = [];

  async function start<T>(name: string, work: (log: Log) => Promise<T>): Promise<T> {
    const startMs = now();
    const group = groups.open(name);
    let outcome: TaskTiming["outcome"] = "failed";
    try {
      const result = await work(group);
      outcome = "done";
      return result;
    } finally {
      const timing = {
        name,
        start: secondsBetween(graphStartMs, startMs),
        seconds: secondsBetween(startMs, now()),
        outcome,
      };
      timings.push(timing);
      group.close(`${outcome === "done" ? "✓" : "✗"} ${name} (${formatSeconds(timing.seconds)})`);
    }
  }

  return {
    add(name, after, work) {
      const dependencies = Promise.all(after.map((task) => task.result));
      // The results arrive in the order of `after`; the compiler cannot follow a tuple through map().
      const result = dependencies.then((values) =>
        start(name, (log) => work(log, ...(values as Results<typeof after>))),
      );
      // Consumers of the result still get the rejection; without one it must not be an unhandled rejection.
      result.catch(() => {});
      results.push(result);
      return toTask(name, result);
    },
    async waitForAll() {
      try {
        await Promise.all(results);
      } catch (error) {
        groups.flush();
        throw error;
      }
    },
    timings: () => timings.toSorted((a, b) => a.start - b.start),
  };
}

function toTask<T>(name: string, result: Promise<T>): Task<T> {
  const task: { name: string; result: Promise<T>; value: T | undefined } = { name, result, value: undefined };
  result.then(
    (value) => {
      task.value = value;
    },
    () => {},
  );
  return task;
}

/** Prints groups one after another, in the order in which they were opened. The first one prints immediately. */
class GroupQueue {
  readonly #printer: Printer;
  readonly #groups: Group[] = [];

  constructor(printer: Printer) {
    this.#printer = printer;
  }

  open(name: string): Group {
    const group = new Group(name, this.#printer, () => this.#advance());
    this.#groups.push(group);
    this.#advance();
    return group;
  }

  /** Prints all buffered groups, finished or not. */
  flush(): void {
    for (const group of this.#groups.splice(0)) {
      group.show();
      group.end();
    }
  }

  #advance(): void {
    for (let head = this.#groups[0]; head !== undefined; head = this.#groups[0]) {
      head.show();
      if (!head.closed) return;
      head.end();
      this.#groups.shift();
    }
  }
}

class Group implements Log {
  readonly #name: string;
  readonly #printer: Printer;
  readonly #onClose: () => void;
  readonly #buffered: string[] = [];
  #shown = false;
  #summary: string | undefined;

  constructor(name: string, printer: Printer, onClose: () => void) {
    this.#name = name;
    this.#printer = printer;
    this.#onClose = onClose;
  }

  get closed(): boolean {
    return this.#summary !== undefined;
  }

  line(text: string): void {
    for (const line of text.split("\n").map(escapeWorkflowCommands)) {
      if (this.#shown) this.#printer.info(line);
      else this.#buffered.push(line);
    }
  }

  warning(message: string): void {
    this.#printer.warning(message);
  }

  close(summary: string): void {
    this.#summary = summary;
    this.#onClose();
  }

  show(): void {
    if (this.#shown) return;
    this.#shown = true;
    this.#printer.startGroup(this.#name);
    for (const line of this.#buffered.splice(0)) this.#printer.info(line);
  }

  end(): void {
    this.#printer.endGroup();
    if (this.#summary !== undefined) this.#printer.info(this.#summary);
  }
}
