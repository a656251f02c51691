import { describe, expect, it } from "vitest";
import type { ServiceContainer } from "../../src/docker/containers.ts";
import { registryEnvironment, startRegistry } from "../../src/registries/registry-container.ts";
import type { KeptNetwork } from "../fixtures/daemon-networks.ts";
import { dockerDaemon } from "../fixtures/docker-daemon.ts";
import { failed, listening, misused, panicked, starting } from "../fixtures/registry-words.ts";

const registry: ServiceContainer = {
  name: "kind-registry",
  image: "registry:3",
  labels: { "kind-action.run": "run-1" },
  network: "kind",
  environment: registryEnvironment,
  binds: [],
};

/** Longer than anything here takes. */
const patient = 60_000;

/** A daemon whose registries end as soon as they have said something. */
async function daemonWhereItEnds(words: string) {
  const daemon = await dockerDaemon();
  daemon.printed = ({ id }) => {
    daemon.kill(id);
    return words;
  };
  return daemon;
}

describe("a registry", () => {
  it("is there when it takes requests, and not before", async () => {
    const daemon = await dockerDaemon();
    const words = ["", starting, starting, listening];
    daemon.printed = () => words.shift() ?? "";
    const id = await startRegistry(daemon.engine, registry, patient);
    expect(words).toEqual([]);
    expect((await daemon.engine.containers.inspect(id))?.running).toBe(true);
  });

  it("sends no traces, for which there is no collector: it would complain at each request", async () => {
    const daemon = await dockerDaemon();
    daemon.printed = () => listening;
    const id = await startRegistry(daemon.engine, registry, patient);
    expect(daemon.containers.get(id)?.made?.Env).toEqual(["OTEL_TRACES_EXPORTER=none"]);
  });

  it.each([
    [
      "its upstream is not there",
      panicked,
      'The registry kind-registry ended: panic: Get "https://ghcr.io/v2/": dial tcp: lookup ghcr.io on 127.0.0.11:53: no such host',
    ],
    [
      "somebody has its port",
      failed,
      "The registry kind-registry ended: listen tcp :5000: bind: address already in use",
    ],
    [
      "it cannot read its configuration",
      misused,
      "The registry kind-registry ended: configuration error: error parsing /etc/distribution/config.yml: yaml: line 3: did not find expected key",
    ],
    ["it says nothing of", "", "The registry kind-registry ended"],
    ["it says nothing that tells why", starting, "The registry kind-registry ended"],
  ])("that ends instead, is an error with the reason, and is gone: %s", async (_, words, message) => {
    const daemon = await daemonWhereItEnds(words);
    await expect(startRegistry(daemon.engine, registry, patient)).rejects.toThrow(
      expect.objectContaining({ message }),
    );
    expect(daemon.containers.size).toBe(0);
  });

  it("says no more of why than a line of a log can have", async () => {
    const daemon = await daemonWhereItEnds(`level=fatal ${"x".repeat(10_000)}\n`);
    const failure = await startRegistry(daemon.engine, registry, patient).catch(String);
    expect(failure.length).toBeLessThan(600);
  });

  it("that takes no requests in time is an error, with what it complains of, and is gone", async () => {
    const daemon = await dockerDaemon();
    daemon.printed = () => `${starting}level=error msg="no answer from https://ghcr.io"\n`;
    await expect(startRegistry(daemon.engine, registry, 100)).rejects.toThrow(
      "The registry kind-registry does not take requests after 0.1 s: no answer from https://ghcr.io",
    );
    expect(daemon.containers.size).toBe(0);
  });

  it("that somebody removes while it starts is an error", async () => {
    const daemon = await dockerDaemon();
    daemon.printed = ({ id }) => {
      daemon.containers.delete(id);
      return starting;
    };
    await expect(startRegistry(daemon.engine, registry, patient)).rejects.toThrow(
      "The registry kind-registry ended",
    );
  });

  describe("that is to have an address of its own", () => {
    const withAddress = { ...registry, address: "172.18.255.199" };

    /** Where it is on the network, on which others have their addresses already. */
    async function addressOn(network: Omit<KeptNetwork, "name">) {
      const daemon = await dockerDaemon();
      daemon.networks.set("kind", { name: "kind", ...network });
      daemon.printed = () => listening;
      const id = await startRegistry(daemon.engine, withAddress, patient);
      expect([...daemon.containers.keys()]).toEqual([id]);
      return (await daemon.engine.networks.inspect("kind"))?.containers.get(id);
    }

    it("has it on a network whose subnet was demanded", async () => {
      expect(await addressOn({ subnets: [{ subnet: "172.18.0.0/16" }] })).toEqual({
        name: "kind-registry",
        ipv4: "172.18.255.199",
      });
    });

    it("has another one on a network that somebody else made, which gives none out that are demanded", async () => {
      expect(await addressOn({ subnets: [{ subnet: "172.18.0.0/16" }], chosen: true })).toEqual({
        name: "kind-registry",
      });
    });

    it("has another one where somebody was faster", async () => {
      const containers = { theirs: { name: "theirs", ipv4: "172.18.255.199/16" } };
      expect(await addressOn({ subnets: [{ subnet: "172.18.0.0/16" }], containers })).toEqual({
        name: "kind-registry",
      });
    });
  });

  it("that Docker does not start is Docker's error, and nothing is left", async () => {
    const daemon = await dockerDaemon();
    daemon.refuse = (call) =>
      call === "POST /containers/create" ? { status: 404, message: "No such image: registry:3" } : undefined;
    await expect(startRegistry(daemon.engine, registry, patient)).rejects.toThrow(
      "No such image: registry:3",
    );
    expect(daemon.containers.size).toBe(0);
  });
});
