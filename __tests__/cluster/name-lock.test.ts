import { describe, expect, it } from "vitest";
import {
  acquireNameLock,
  holdsNameLock,
  listLockedNames,
  releaseNameLock,
} from "../../src/cluster/name-lock.ts";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";

describe("acquireNameLock", () => {
  it("locks the name for one run", async () => {
    const { engine } = await dockerDaemon();
    await acquireNameLock(engine, "shop", "run-1");
    expect(await holdsNameLock(engine, "shop", "run-1")).toBe(true);
    expect(await holdsNameLock(engine, "shop", "run-10")).toBe(false);
    expect(await holdsNameLock(engine, "sho", "run-1")).toBe(false);
  });

  it("succeeds for one of two concurrent runs, and names it in the error of the other", async () => {
    const { engine } = await dockerDaemon();
    const outcomes = await Promise.allSettled([
      acquireNameLock(engine, "shop", "run-1"),
      acquireNameLock(engine, "shop", "run-2"),
    ]);
    const won = (await holdsNameLock(engine, "shop", "run-1")) ? "run-1" : "run-2";
    expect(await holdsNameLock(engine, "shop", won === "run-1" ? "run-2" : "run-1")).toBe(false);
    const lost = outcomes.filter((outcome) => outcome.status === "rejected");
    expect(lost.map(({ reason }) => String(reason))).toEqual([
      `Error: The cluster name "shop" is locked by another run of this action (${won}). Set a different \`cluster_name\` in each job on this machine.`,
    ]);
  });

  it("creates a volume with the label of the run", async () => {
    const daemon = await dockerDaemon();
    await acquireNameLock(daemon.engine, "shop", "run-1");
    expect([...daemon.volumes]).toEqual([["kind-action.shop", { "kind-action.run": "run-1" }]]);
  });

  it("succeeds again for the run that holds the lock", async () => {
    const { engine } = await dockerDaemon();
    await acquireNameLock(engine, "shop", "run-1");
    await acquireNameLock(engine, "shop", "run-1");
    expect(await listLockedNames(engine)).toEqual(["shop"]);
  });
});

describe("releaseNameLock", () => {
  it("makes the name available to other runs", async () => {
    const { engine } = await dockerDaemon();
    await acquireNameLock(engine, "shop", "run-1");
    await releaseNameLock(engine, "shop", "run-1");
    expect(await listLockedNames(engine)).toEqual([]);
    await acquireNameLock(engine, "shop", "run-2");
    expect(await holdsNameLock(engine, "shop", "run-2")).toBe(true);
  });

  it("does not release the lock of another run", async () => {
    const { engine } = await dockerDaemon();
    await acquireNameLock(engine, "shop", "run-1");
    await releaseNameLock(engine, "shop", "run-2");
    expect(await holdsNameLock(engine, "shop", "run-1")).toBe(true);
  });
});

describe("listLockedNames", () => {
  it("returns the names that runs have locked, and ignores other volumes", async () => {
    const daemon = await dockerDaemon();
    daemon.volumes.set("pgdata", {});
    daemon.volumes.set("kind-action.stale", { unrelated: "label" });
    await acquireNameLock(daemon.engine, "a", "run-1");
    await acquireNameLock(daemon.engine, "b", "run-2");
    expect((await listLockedNames(daemon.engine)).toSorted()).toEqual(["a", "b"]);
  });
});
