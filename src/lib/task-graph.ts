import { escapeWorkflowCommands, type Log, type Printer } from "./log.ts";

/** A piece of a story that has been started, or waits for others. */
export interface Task<T> {
  readonly name: string;
  /** Rejects with the task's own error, or with that of the first task it waits for. */
  readonly result: Promise<T>;
}

/** When a task ran, in seconds since the timeline began. */
export interface TaskTiming {
  readonly name: string;
  readonly start: number;
  readonly seconds: number;
  readonly outcome: "done" | "failed";
}

/** The results of the tasks that a task waits for, in order. */
type Results<D extends readonly Task<unknown>[]> = {
  [K in keyof D]: D[K] extends Task<infer T> ? T : never;
};

export interface TaskGraph {
  /** Starts `work` as soon as every task of `after` is done; with none, at once. */
  add<T, const D extends readonly Task<unknown>[]>(
    name: string,
    after: D,
    work: (log: Log, ...results: Results<D>) => Promise<T>,
  ): Task<T>;
  /** Waits for every task. Rejects as soon as one fails: those that still run are then left to the caller to end. */
  waitForAll(): Promise<void>;
  /** The tasks that have ended, by the time they began. */
  timings(): TaskTiming[];
}

/**
 * Runs named tasks at once, as far as their dependencies allow, and prints each as a group of its own.
 *
 * The runner's groups cannot interleave. So the oldest unfinished task prints as it goes, and what the others say is
 * kept until their turn comes.
 *
 * @param now milliseconds of a monotonic clock
 */
export function createTaskGraph(printer: Printer, now: () => number = () => performance.now()): TaskGraph {
  const began = now();
  const seconds = (since: number) => Math.round(now() - since) / 1000;
  const groups = new GroupQueue(printer);
  const timings: TaskTiming[] = [];
  const results: Promise<unknown>[] = [];

  async function start<T>(name: string, work: (log: Log) => Promise<T>): Promise<T> {
    const started = now();
    const group = groups.open(name);
    let outcome: TaskTiming["outcome"] = "failed";
    try {
      const result = await work(group);
      outcome = "done";
      return result;
    } finally {
      const timing = { name, start: Math.round(started - began) / 1000, seconds: seconds(started), outcome };
      timings.push(timing);
      group.close(`${outcome === "done" ? "✓" : "✗"} ${name} (${timing.seconds.toFixed(1)} s)`);
    }
  }

  return {
    add(name, after, work) {
      const waits = Promise.all(after.map((task) => task.result));
      // The results arrive in the order of `after`; the compiler cannot follow a tuple through map().
      const result = waits.then((values) =>
        start(name, (log) => work(log, ...(values as Results<typeof after>))),
      );
      // Whoever asks gets the rejection; nobody asking must not end the process.
      result.catch(() => {});
      results.push(result);
      return { name, result };
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

/** Prints groups one after another in the order they were opened, the first of them as it is written. */
class GroupQueue {
  readonly #printer: Printer;
  readonly #waiting: Group[] = [];

  constructor(printer: Printer) {
    this.#printer = printer;
  }

  open(name: string): Group {
    const group = new Group(name, this.#printer, () => this.#advance());
    this.#waiting.push(group);
    this.#advance();
    return group;
  }

  /** Prints everything that is held back, finished or not. */
  flush(): void {
    for (const group of this.#waiting.splice(0)) {
      group.show();
      group.end();
    }
  }

  #advance(): void {
    for (let head = this.#waiting[0]; head !== undefined; head = this.#waiting[0]) {
      head.show();
      if (!head.closed) return;
      head.end();
      this.#waiting.shift();
    }
  }
}

class Group implements Log {
  readonly #name: string;
  readonly #printer: Printer;
  readonly #changed: () => void;
  readonly #held: string[] = [];
  #shown = false;
  #verdict: string | undefined;

  constructor(name: string, printer: Printer, changed: () => void) {
    this.#name = name;
    this.#printer = printer;
    this.#changed = changed;
  }

  get closed(): boolean {
    return this.#verdict !== undefined;
  }

  line(text: string): void {
    for (const line of text.split("\n").map(escapeWorkflowCommands)) {
      if (this.#shown) this.#printer.info(line);
      else this.#held.push(line);
    }
  }

  warning(message: string): void {
    this.#printer.warning(message);
  }

  close(verdict: string): void {
    this.#verdict = verdict;
    this.#changed();
  }

  show(): void {
    if (this.#shown) return;
    this.#shown = true;
    this.#printer.startGroup(this.#name);
    for (const line of this.#held.splice(0)) this.#printer.info(line);
  }

  end(): void {
    this.#printer.endGroup();
    if (this.#verdict !== undefined) this.#printer.info(this.#verdict);
  }
}
