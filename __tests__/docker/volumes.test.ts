import { test } from "vitest";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";

test("a volume that is removed may be gone already", async () => {
  await (await dockerDaemon()).engine.volumes.remove("gone");
});
