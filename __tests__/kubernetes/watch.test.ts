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

/** Follows the pods of a fake cluster, which goes on when the test says so. */
function followed(...looks: readonly Answers[]) {
  const api = new FakeApi(...looks);
  const told: unknown[] = [];
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const changed = (list: { items: readonly unknown[] } | undefined) =>
    told.push(
      list && Object.fromEntries(Pods.parse(list.items).map((pod) => [pod.metadata.name, pod.phase])),
    );
  const end = watchList(api, path, changed, stop.signal, () => setImmediate());
  return { api, told, stop, end, last: () => told.at(-1) };
}

describe("a list that is followed", () => {
  it("is told as it was read, and then after each change", async () => {
    const { api, told, last } = followed(
      pods({ web: "Pending" }),
      pods({ web: "Running" }),
      pods({ web: "Running", db: "Pending" }),
    );
    await expect.poll(last).toEqual({ web: "Pending" });
    api.advance();
    await expect.poll(last).toEqual({ web: "Running" });
    api.advance();
    await expect.poll(last).toEqual({ web: "Running", db: "Pending" });
    expect(told).toHaveLength(3);
    expect(api.reads).toEqual([path]);
  });

  it("has nothing that was deleted", async () => {
    const { api, last } = followed(
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

  it("tells what happened between reading it and following it", async () => {
    const { api, last } = followed(pods({ web: "Pending" }), pods({ web: "Running" }));
    // Before what was read has arrived.
    api.advance();
    await expect.poll(last).toEqual({ web: "Running" });
    expect(api.reads).toEqual([path]);
  });

  it.each([
    { why: "the API ends it", lastWords: [] },
    {
      why: "what it was read from is too old",
      lastWords: [
        {
          type: "ERROR",
          object: { kind: "Status", metadata: {}, code: 410, message: "too old resource version" },
        },
      ],
    },
    { why: "something is told that cannot be understood", lastWords: [{ type: "BROKEN" }] },
  ])("is read anew where $why, and is unknown until then", async ({ lastWords }) => {
    const { api, told, last } = followed(pods({ web: "Pending" }), pods({ web: "Running" }));
    await expect.poll(last).toEqual({ web: "Pending" });
    api.hangUp(...lastWords);
    await expect.poll(() => api.reads).toEqual([path, path]);
    api.advance();
    await expect.poll(last).toEqual({ web: "Running" });
    expect(told).toEqual([{ web: "Pending" }, undefined, { web: "Pending" }, { web: "Running" }]);
  });

  it("is read anew where following it is refused", async () => {
    const { api, last } = followed(pods({ web: "Pending" }), pods({ web: "Running" }));
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

  it("is tried until the API gives it, and is unknown until then", async () => {
    const starting = { [path]: new Error("connect ECONNREFUSED 127.0.0.1:6443") };
    const { api, told, last } = followed(starting, pods({ web: "Running" }));
    await expect.poll(() => api.reads.length).toBeGreaterThan(2);
    expect(new Set(told)).toEqual(new Set([undefined]));
    api.advance();
    await expect.poll(last).toEqual({ web: "Running" });
  });

  it("is left alone from the moment that nobody wants it any more", async () => {
    const { api, stop, end, last } = followed(pods({ web: "Running" }));
    await expect.poll(last).toEqual({ web: "Running" });
    stop.abort();
    await end;
    expect(api.reads).toEqual([path]);
  });
});
