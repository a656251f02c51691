import { describe, expect, it } from "vitest";
import {
  acquireNameLock,
  holdsNameLock,
  listLockedNames,
  releaseNameLock,
} from "../../src/cluster/name-lock.ts";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";

describe("a cluster's name", () => {
  it("belongs to the run that claimed it, and to no other", async () => {
    const { engine } = await dockerDaemon();
    await acquireNameLock(engine, "shop", "run-1");
    expect(await holdsNameLock(engine, "shop", "run-1")).toBe(true);
    expect(await holdsNameLock(engine, "shop", "run-10")).toBe(false);
    expect(await holdsNameLock(engine, "sho", "run-1")).toBe(false);
  });

  it("is had by one of two runs that claim it at once, and the other is told by whom", async () => {
    const { engine } = await dockerDaemon();
    const outcomes = await Promise.allSettled([
      acquireNameLock(engine, "shop", "run-1"),
      acquireNameLock(engine, "shop", "run-2"),
    ]);
    const won = (await holdsNameLock(engine, "shop", "run-1")) ? "run-1" : "run-2";
    expect(await holdsNameLock(engine, "shop", won === "run-1" ? "run-2" : "run-1")).toBe(false);
    const lost = outcomes.filter((outcome) => outcome.status === "rejected");
    expect(lost.map(({ reason }) => String(reason))).toEqual([
      `Error: The cluster name "shop" was taken a moment ago by another run of this action (${won}). Give each job on this machine its own \`cluster_name\`.`,
    ]);
  });

  it("is kept as a volume, which the daemon makes once whoever asks, labelled with its run", async () => {
    const daemon = await dockerDaemon();
    await acquireNameLock(daemon.engine, "shop", "run-1");
    expect([...daemon.volumes]).toEqual([["kind-action.shop", { "kind-action.run": "run-1" }]]);
  });

  it("can be claimed again by the run that has it", async () => {
    const { engine } = await dockerDaemon();
    await acquireNameLock(engine, "shop", "run-1");
    await acquireNameLock(engine, "shop", "run-1");
    expect(await listLockedNames(engine)).toEqual(["shop"]);
  });

  it("is free again after it was given back", async () => {
    const { engine } = await dockerDaemon();
    await acquireNameLock(engine, "shop", "run-1");
    await releaseNameLock(engine, "shop", "run-1");
    expect(await listLockedNames(engine)).toEqual([]);
    await acquireNameLock(engine, "shop", "run-2");
    expect(await holdsNameLock(engine, "shop", "run-2")).toBe(true);
  });

  it("is given back by nobody but the run that has it", async () => {
    const { engine } = await dockerDaemon();
    await acquireNameLock(engine, "shop", "run-1");
    await releaseNameLock(engine, "shop", "run-2");
    expect(await holdsNameLock(engine, "shop", "run-1")).toBe(true);
  });

  it("is listed while a run has it, among no volumes of other things", async () => {
    const daemon = await dockerDaemon();
    daemon.volumes.set("pgdata", {});
    daemon.volumes.set("kind-action.stale", { unrelated: "label" });
    await acquireNameLock(daemon.engine, "a", "run-1");
    await acquireNameLock(daemon.engine, "b", "run-2");
    expect((await listLockedNames(daemon.engine)).toSorted()).toEqual(["a", "b"]);
  });
});
