import { setImmediate } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { ApiError } from "../../src/kubernetes/client.ts";
import { watchList } from "../../src/kubernetes/watch.ts";
import { type Answers, FakeApi } from "../fixtures/kubernetes-api.ts";

const path = "/api/v1/namespaces/shop/pods";
const Pods = z.array(z.object({ metadata: z.object({ name: z.string() }), phase: z.string() }));

/** Each pod with its phase, by name. */
const pods = (phases: Readonly<Record<string, string>>): Answers => ({
  [path]: { items: Object.entries(phases).map(([name, phase]) => ({ metadata: { name }, phase })) },
});

/** Watches the pods of a fake cluster, which changes when the test advances it. */
function watched(...looks: readonly Answers[]) {
  const api = new FakeApi(...looks);
  const seen: unknown[] = [];
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const changed = (list: { items: readonly unknown[] } | undefined) =>
    seen.push(
      list && Object.fromEntries(Pods.parse(list.items).map((pod) => [pod.metadata.name, pod.phase])),
    );
  const end = watchList(api, path, changed, stop.signal, () => setImmediate());
  return { api, seen, stop, end, last: () => seen.at(-1) };
}

describe("watchList", () => {
  it("passes on the list after it was read, and after each event", async () => {
    const { api, seen, last } = watched(
      pods({ web: "Pending" }),
      pods({ web: "Running" }),
      pods({ web: "Running", db: "Pending" }),
    );
    await expect.poll(last).toEqual({ web: "Pending" });
    api.advance();
    await expect.poll(last).toEqual({ web: "Running" });
    api.advance();
    await expect.poll(last).toEqual({ web: "Running", db: "Pending" });
    expect(seen).toHaveLength(3);
    expect(api.reads).toEqual([path]);
  });

  it("removes deleted objects from the list", async () => {
    const { api, last } = watched(
      pods({ web: "Running", old: "Running" }),
      pods({ web: "Running" }),
      pods({}),
    );
    await expect.poll(last).toEqual({ web: "Running", old: "Running" });
    api.advance();
    await expect.poll(last).toEqual({ web: "Running" });
    api.advance();
    await expect.poll(last).toEqual({});
  });

  it("includes changes between the read and the watch", async () => {
    const { api, last } = watched(pods({ web: "Pending" }), pods({ web: "Running" }));
    // This happens before the response has arrived.
    api.advance();
    await expect.poll(last).toEqual({ web: "Running" });
    expect(api.reads).toEqual([path]);
  });

  it.each([
    { why: "the API ends the watch", lastEvents: [] },
    {
      why: "the resource version is too old",
      lastEvents: [
        {
          type: "ERROR",
          object: { kind: "Status", metadata: {}, code: 410, message: "too old resource version" },
        },
      ],
    },
    { why: "an event is unknown", lastEvents: [{ type: "BROKEN" }] },
  ])("reads the list again if $why, and passes on undefined until then", async ({ lastEvents }) => {
    const { api, seen, last } = watched(pods({ web: "Pending" }), pods({ web: "Running" }));
    await expect.poll(last).toEqual({ web: "Pending" });
    api.endWatches(...lastEvents);
    await expect.poll(() => api.reads).toEqual([path, path]);
    api.advance();
    await expect.poll(last).toEqual({ web: "Running" });
    expect(seen).toEqual([{ web: "Pending" }, undefined, { web: "Pending" }, { web: "Running" }]);
  });

  it("reads the list again if the API refuses the watch", async () => {
    const { api, last } = watched(pods({ web: "Pending" }), pods({ web: "Running" }));
    const { watch: changes } = api;
    api.watch = async function* () {
      api.watch = changes;
      throw new ApiError(`GET ${path}?watch=1`, 410, "too old resource version");
      // biome-ignore lint/correctness/noUnreachable: a generator yields.
      yield;
    };
    await expect.poll(() => api.reads).toEqual([path, path]);
    api.advance();
    await expect.poll(last).toEqual({ web: "Running" });
  });

  it("retries until the API returns the list, and passes on undefined until then", async () => {
    const starting = { [path]: new Error("connect ECONNREFUSED 127.0.0.1:6443") };
    const { api, seen, last } = watched(starting, pods({ web: "Running" }));
    await expect.poll(() => api.reads.length).toBeGreaterThan(2);
    expect(new Set(seen)).toEqual(new Set([undefined]));
    api.advance();
    await expect.poll(last).toEqual({ web: "Running" });
  });

  it("ends when the signal is aborted", async () => {
    const { api, stop, end, last } = watched(pods({ web: "Running" }));
    await expect.poll(last).toEqual({ web: "Running" });
    stop.abort();
    await end;
    expect(api.reads).toEqual([path]);
  });
});
