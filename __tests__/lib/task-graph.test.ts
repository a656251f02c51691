import { describe, expect, it } from "vitest";
import { createTaskGraph } from "../../src/lib/task-graph.ts";
import { recordingPrinter } from "../fixtures/recording.ts";

/** A promise that a task waits for, and the test resolves. */
function gate<T = void>() {
  return Promise.withResolvers<T>();
}

/** Waits for all pending microtasks. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A graph with a clock that the test moves. */
function createGraph() {
  const printer = recordingPrinter();
  const clock = { now: 1_000 };
  return { graph: createTaskGraph(printer, () => clock.now), shown: printer.shown, clock };
}

describe("TaskGraph", () => {
  it("runs tasks without dependencies concurrently", async () => {
    const { graph } = createGraph();
    const [first, second] = [gate(), gate()];
    const running: string[] = [];
    graph.add("first", [], async () => {
      running.push("first");
      await first.promise;
    });
    graph.add("second", [], async () => {
      running.push("second");
      await second.promise;
    });
    await settled();
    expect(running).toEqual(["first", "second"]);
    second.resolve();
    first.resolve();
    await graph.waitForAll();
  });

  it("starts a task when all its dependencies have succeeded, with their results in order", async () => {
    const { graph } = createGraph();
    const [slow, quick] = [gate<number>(), gate<string>()];
    const a = graph.add("a", [], () => slow.promise);
    const b = graph.add("b", [], () => quick.promise);
    let got: unknown;
    const c = graph.add("c", [a, b], async (_, number, text) => {
      got = [number, text];
      return "done";
    });
    quick.resolve("text");
    await settled();
    expect(got).toBeUndefined();
    slow.resolve(7);
    expect(await c.result).toBe("done");
    expect(got).toEqual([7, "text"]);
  });

  it("does not start a task whose dependency failed, and fails it with that error", async () => {
    const { graph, shown } = createGraph();
    const failed = graph.add("download", [], async () => {
      throw new Error("no network");
    });
    let hasStarted = false;
    const waiting = graph.add("create", [failed], async () => {
      hasStarted = true;
    });
    const later = graph.add("load", [waiting], async () => {
      hasStarted = true;
    });
    await expect(later.result).rejects.toThrow("no network");
    expect(hasStarted).toBe(false);
    expect(shown).not.toContain("> create");
    expect(graph.timings().map(({ name }) => name)).toEqual(["download"]);
  });

  it("does not cause an unhandled rejection when a task fails", async () => {
    const { graph } = createGraph();
    graph.add("fails", [], () => Promise.reject(new Error("not awaited")));
    // An unhandled rejection would fail the test run.
    await settled();
  });
});

describe("TaskGraph.waitForAll", () => {
  it("waits for the last task", async () => {
    const { graph } = createGraph();
    const last = gate();
    graph.add("last", [], () => last.promise);
    let finished = false;
    const end = graph.waitForAll().then(() => {
      finished = true;
    });
    await settled();
    expect(finished).toBe(false);
    last.resolve();
    await end;
    expect(finished).toBe(true);
  });

  it("rejects as soon as a task fails, and prints the buffered output of the others", async () => {
    const { graph, shown } = createGraph();
    const never = gate();
    graph.add("endless", [], async () => never.promise);
    graph.add("quiet one", [], async (log) => {
      log.line("half way");
      await never.promise;
    });
    graph.add("broken", [], async (log) => {
      log.line("trying");
      throw new Error("no network");
    });
    await expect(graph.waitForAll()).rejects.toThrow("no network");
    expect(shown).toEqual([
      "> endless",
      "<",
      "> quiet one",
      "half way",
      "<",
      "> broken",
      "trying",
      "<",
      expect.stringContaining("✗ broken"),
    ]);
    never.resolve();
    await settled();
    expect(shown).toHaveLength(9);
  });

  it("returns immediately when there are no tasks", async () => {
    await createGraph().graph.waitForAll();
  });
});

describe("TaskGraph prints", () => {
  it("the oldest unfinished task immediately, and the others in their turn", async () => {
    const { graph, shown } = createGraph();
    const [first, second] = [gate(), gate()];
    graph.add("first", [], async (log) => {
      log.line("one");
      await first.promise;
      log.line("two");
    });
    graph.add("second", [], async (log) => {
      log.line("three");
      await second.promise;
      log.line("four");
    });
    await settled();
    expect(shown).toEqual(["> first", "one"]);
    first.resolve();
    await settled();
    expect(shown).toEqual(["> first", "one", "two", "<", "✓ first (0.0 s)", "> second", "three"]);
    second.resolve();
    await graph.waitForAll();
    expect(shown.slice(5)).toEqual(["> second", "three", "four", "<", "✓ second (0.0 s)"]);
  });

  it("each task in one piece, in whichever order they end", async () => {
    const { graph, shown } = createGraph();
    const gates = [gate(), gate(), gate(), gate()];
    gates.forEach((until, task) => {
      graph.add(`task ${task}`, [], async (log) => {
        log.line(`${task} begins`);
        await until.promise;
        log.line(`${task} ends`);
      });
    });
    for (const task of [2, 0, 3, 1]) {
      gates[task]?.resolve();
      await settled();
    }
    await graph.waitForAll();
    expect(shown).toEqual(
      [0, 1, 2, 3].flatMap((task) => [
        `> task ${task}`,
        `${task} begins`,
        `${task} ends`,
        "<",
        `✓ task ${task} (0.0 s)`,
      ]),
    );
  });

  it("lines without commands, and warnings immediately", async () => {
    const { graph, shown } = createGraph();
    const first = gate();
    graph.add("first", [], () => first.promise);
    graph.add("second", [], async (log) => {
      log.line("::set-output name=a::b");
      log.warning("the cache is slow");
    });
    await settled();
    expect(shown).toEqual(["> first", "! the cache is slow"]);
    first.resolve();
    await graph.waitForAll();
    expect(shown).toContain(": :set-output name=a::b");
  });
});

describe("TaskGraph.timings", () => {
  it("returns start and duration in seconds, sorted by start", async () => {
    const { graph, clock, shown } = createGraph();
    const [first, second] = [gate(), gate()];
    const a = graph.add("a", [], () => first.promise);
    await settled();
    clock.now += 500;
    graph.add("b", [], () => second.promise);
    await settled();
    clock.now += 1_000;
    second.resolve();
    await settled();
    clock.now += 1_000;
    const c = graph.add("c", [a], async () => {
      clock.now += 250;
      throw new Error("broken");
    });
    first.resolve();
    await c.result.catch(() => {});
    expect(graph.timings()).toEqual([
      { name: "a", start: 0, seconds: 2.5, outcome: "done" },
      { name: "b", start: 0.5, seconds: 1, outcome: "done" },
      { name: "c", start: 2.5, seconds: 0.25, outcome: "failed" },
    ]);
    expect(shown).toContain("✓ a (2.5 s)");
    expect(shown).toContain("✗ c (0.3 s)");
  });

  it("omits tasks that still run", async () => {
    const { graph } = createGraph();
    const until = gate();
    graph.add("a", [], () => until.promise);
    await settled();
    expect(graph.timings()).toEqual([]);
    until.resolve();
    await graph.waitForAll();
    expect(graph.timings()).toHaveLength(1);
  });
});
