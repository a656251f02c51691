import { describe, expect, it } from "vitest";
import { createTaskGraph } from "../../src/lib/task-graph.ts";
import { recordingPrinter } from "../fixtures/recording.ts";

/** Something that a task waits for until the test lets it go on. */
function gate<T = void>() {
  return Promise.withResolvers<T>();
}

/** Lets everything run that can. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A timeline on a clock that stands still until the test moves it. */
function started() {
  const printer = recordingPrinter();
  const clock = { now: 1_000 };
  return { run: createTaskGraph(printer, () => clock.now), shown: printer.shown, clock };
}

describe("tasks", () => {
  it("that wait for nothing run at once", async () => {
    const { run } = started();
    const [first, second] = [gate(), gate()];
    const running: string[] = [];
    run.add("first", [], async () => {
      running.push("first");
      await first.promise;
    });
    run.add("second", [], async () => {
      running.push("second");
      await second.promise;
    });
    await settled();
    expect(running).toEqual(["first", "second"]);
    second.resolve();
    first.resolve();
    await run.waitForAll();
  });

  it("start as soon as all that they wait for is done, and get its results in order", async () => {
    const { run } = started();
    const [slow, quick] = [gate<number>(), gate<string>()];
    const a = run.add("a", [], () => slow.promise);
    const b = run.add("b", [], () => quick.promise);
    let got: unknown;
    const c = run.add("c", [a, b], async (_, number, text) => {
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

  it("never start when something that they wait for failed, and fail with its error", async () => {
    const { run, shown } = started();
    const failed = run.add("download", [], async () => {
      throw new Error("no network");
    });
    let began = false;
    const waiting = run.add("create", [failed], async () => {
      began = true;
    });
    const later = run.add("load", [waiting], async () => {
      began = true;
    });
    await expect(later.result).rejects.toThrow("no network");
    expect(began).toBe(false);
    expect(shown).not.toContain("> create");
    expect(run.timings().map(({ name }) => name)).toEqual(["download"]);
  });

  it("that fail unseen end no process", async () => {
    const { run } = started();
    run.add("fails", [], () => Promise.reject(new Error("nobody asks")));
    // An unhandled rejection would fail the test run.
    await settled();
  });
});

describe("the end of all tasks", () => {
  it("is waited for", async () => {
    const { run } = started();
    const last = gate();
    run.add("last", [], () => last.promise);
    let finished = false;
    const end = run.waitForAll().then(() => {
      finished = true;
    });
    await settled();
    expect(finished).toBe(false);
    last.resolve();
    await end;
    expect(finished).toBe(true);
  });

  it("comes at once when one fails, while others still run, and shows what these said", async () => {
    const { run, shown } = started();
    const never = gate();
    run.add("endless", [], async () => never.promise);
    run.add("quiet one", [], async (log) => {
      log.line("half way");
      await never.promise;
    });
    run.add("broken", [], async (log) => {
      log.line("trying");
      throw new Error("no network");
    });
    await expect(run.waitForAll()).rejects.toThrow("no network");
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

  it("comes at once when there is none", async () => {
    await started().run.waitForAll();
  });
});

describe("what tasks say", () => {
  it("is shown by the oldest as it goes, and kept for the others until their turn", async () => {
    const { run, shown } = started();
    const [first, second] = [gate(), gate()];
    run.add("first", [], async (log) => {
      log.line("one");
      await first.promise;
      log.line("two");
    });
    run.add("second", [], async (log) => {
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
    await run.waitForAll();
    expect(shown.slice(5)).toEqual(["> second", "three", "four", "<", "✓ second (0.0 s)"]);
  });

  it("never mixes, whichever order tasks end in", async () => {
    const { run, shown } = started();
    const gates = [gate(), gate(), gate(), gate()];
    gates.forEach((until, task) => {
      run.add(`task ${task}`, [], async (log) => {
        log.line(`${task} begins`);
        await until.promise;
        log.line(`${task} ends`);
      });
    });
    for (const task of [2, 0, 3, 1]) {
      gates[task]?.resolve();
      await settled();
    }
    await run.waitForAll();
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

  it("gives the runner no commands, while warnings are annotations at once", async () => {
    const { run, shown } = started();
    const first = gate();
    run.add("first", [], () => first.promise);
    run.add("second", [], async (log) => {
      log.line("::set-output name=a::b");
      log.warning("the cache is slow");
    });
    await settled();
    expect(shown).toEqual(["> first", "! the cache is slow"]);
    first.resolve();
    await run.waitForAll();
    expect(shown).toContain(": :set-output name=a::b");
  });
});

describe("the times of tasks", () => {
  it("are when each began and how long it took, in seconds, by their beginning", async () => {
    const { run, clock, shown } = started();
    const [first, second] = [gate(), gate()];
    const a = run.add("a", [], () => first.promise);
    await settled();
    clock.now += 500;
    run.add("b", [], () => second.promise);
    await settled();
    clock.now += 1_000;
    second.resolve();
    await settled();
    clock.now += 1_000;
    const c = run.add("c", [a], async () => {
      clock.now += 250;
      throw new Error("broken");
    });
    first.resolve();
    await c.result.catch(() => {});
    expect(run.timings()).toEqual([
      { name: "a", start: 0, seconds: 2.5, outcome: "done" },
      { name: "b", start: 0.5, seconds: 1, outcome: "done" },
      { name: "c", start: 2.5, seconds: 0.25, outcome: "failed" },
    ]);
    expect(shown).toContain("✓ a (2.5 s)");
    expect(shown).toContain("✗ c (0.3 s)");
  });

  it("are only of those that have ended", async () => {
    const { run } = started();
    const until = gate();
    run.add("a", [], () => until.promise);
    await settled();
    expect(run.timings()).toEqual([]);
    until.resolve();
    await run.waitForAll();
    expect(run.timings()).toHaveLength(1);
  });
});
