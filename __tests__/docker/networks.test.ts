import { describe, expect, it } from "vitest";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";

describe("Networks.remove", () => {
  it("removes a network", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("mine", { name: "mine" });
    expect(await daemon.engine.networks.remove("mine")).toBe(true);
    expect(daemon.networks.size).toBe(0);
  });

  it("accepts a missing network", async () => {
    expect(await (await dockerDaemon()).engine.networks.remove("gone")).toBe(true);
  });

  // The status is 403 up to Docker 28, and 409 since.
  it.each([403, 409])("does not remove a network in use, for which a daemon returns %i", async (status) => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind", { name: "kind" });
    daemon.refuse = (call) =>
      call.startsWith("DELETE") ? { status, message: "network kind has active endpoints" } : undefined;
    expect(await daemon.engine.networks.remove("kind")).toBe(false);
    expect([...daemon.networks.keys()]).toEqual(["kind"]);
  });
});
