import { describe, expect, it } from "vitest";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";

describe("a network that is removed", () => {
  it("is gone afterwards", async () => {
    const daemon = await dockerDaemon();
    daemon.networks.set("mine", { name: "mine" });
    expect(await daemon.engine.networks.remove("mine")).toBe(true);
    expect(daemon.networks.size).toBe(0);
  });

  it("is no error when it is gone already", async () => {
    expect(await (await dockerDaemon()).engine.networks.remove("gone")).toBe(true);
  });

  // Docker says 403 up to version 28, and 409 since.
  it.each([403, 409])("leaves a network in use alone, as a daemon says with %i", async (status) => {
    const daemon = await dockerDaemon();
    daemon.networks.set("kind", { name: "kind" });
    daemon.refuse = (call) =>
      call.startsWith("DELETE") ? { status, message: "network kind has active endpoints" } : undefined;
    expect(await daemon.engine.networks.remove("kind")).toBe(false);
    expect([...daemon.networks.keys()]).toEqual(["kind"]);
  });
});
