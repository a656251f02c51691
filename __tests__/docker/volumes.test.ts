import { describe, it } from "vitest";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";

describe("Volumes.remove", () => {
  it("accepts a missing volume", async () => {
    await (await dockerDaemon()).engine.volumes.remove("gone");
  });
});
